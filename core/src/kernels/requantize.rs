//! How the 32-bit sums of a layer become int8 outputs.

use crate::memory::view;
use crate::plan::{Access, Operand, Ref};
use crate::quant::requantize_i8;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// How sums become int8: one multiplier and shift per output, or one for all.
#[derive(Clone, Copy, Debug)]
pub struct Requantize<'a> {
    /// 31-bit mantissas: `outputs` of them, or 1.
    pub multiplier: &'a [i32],
    /// Exponents, as many; positive multiplies.
    pub shift: &'a [i32],
    /// Zero point of the output.
    pub zero_point: i32,
    /// Least value after activation.
    pub lo: i32,
    /// Greatest value after activation.
    pub hi: i32,
}

impl Requantize<'_> {
    /// The sum `acc` of output `channel` as int8.
    #[inline]
    pub fn apply(&self, channel: usize, acc: i32) -> i8 {
        let index = if self.multiplier.len() == 1 { 0 } else { channel };
        let multiplier = self.multiplier.get(index).copied().unwrap_or(0);
        let shift = self.shift.get(index).copied().unwrap_or(0);
        requantize_i8(acc, multiplier, shift, self.zero_point, self.lo, self.hi)
    }
}

/// Where the requantisation of a layer lies and what it aims at; shared by all int8 layers with weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RequantizeRecord {
    /// Multipliers, `channels` of them.
    pub multiplier: Ref,
    /// Shifts, as many.
    pub shift: Ref,
    /// How many: the layer's outputs, or 1 for all of them.
    pub channels: u32,
    /// Zero point of the output.
    pub zero_point: i32,
    /// Least output.
    pub lo: i32,
    /// Greatest output.
    pub hi: i32,
}

impl RequantizeRecord {
    /// Operands `multiplier, shift`.
    pub fn places(&self) -> [Operand; 2] {
        let channels = self.channels as usize;
        [Operand::i32(self.multiplier, channels, Access::Read), Operand::i32(self.shift, channels, Access::Read)]
    }

    /// Whether it fits a layer of `outputs` outputs.
    pub fn is_valid(&self, outputs: u32) -> bool {
        (self.channels == 1 || self.channels == outputs) && self.lo <= self.hi && self.lo >= -128 && self.hi <= 127
    }

    /// With the tables resolved.
    pub fn view<'a>(&self, multiplier: &'a [u8], shift: &'a [u8]) -> Requantize<'a> {
        Requantize {
            multiplier: view(multiplier),
            shift: view(shift),
            zero_point: self.zero_point,
            lo: self.lo,
            hi: self.hi,
        }
    }
}
