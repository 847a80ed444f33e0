//! How the 32-bit sums of a layer become int8 outputs.

use super::util::{copy, from, sub};
use crate::arch::Isa;
use crate::memory::Slices;
use crate::plan::Ref;
use crate::quant::{multiply_by_quantized_multiplier, multiply_wide};
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
    /// Bits of a sum: 64 for int16 layers whose multipliers have 15 bits, else 32.
    pub sum_bits: u32,
}

/// A real factor: `multiplier * 2^(shift - 31)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Rescale {
    /// Mantissa of 31 bits.
    pub multiplier: i32,
    /// Positive multiplies.
    pub shift: i32,
}

impl Rescale {
    /// `x` times the factor, rounded twice.
    #[inline]
    pub fn of(self, x: i32) -> i32 {
        multiply_by_quantized_multiplier(x, self.multiplier, self.shift)
    }

    /// As int16, saturated.
    #[inline]
    pub fn to_i16(self, x: i32) -> i16 {
        self.of(x).clamp(-32768, 32767) as i16
    }
}

/// Whether `lo..=hi` is a range of int8.
pub fn limits_are_valid(lo: i32, hi: i32) -> bool {
    -128 <= lo && lo <= hi && hi <= 127
}

/// Whether `lo..=hi` is a range of int16.
pub fn limits_are_valid_i16(lo: i32, hi: i32) -> bool {
    -32768 <= lo && lo <= hi && hi <= 32767
}

/// Whether elements have 1 or 2 bytes, and `lo..=hi` is a range of theirs.
pub fn integer_limits_are_valid(size: u32, lo: i32, hi: i32) -> bool {
    match size {
        1 => limits_are_valid(lo, hi),
        2 => limits_are_valid_i16(lo, hi),
        _ => false,
    }
}

/// A 64-bit bias as it lies in flash: low word, high word.
pub type Wide = [u32; 2];

/// The bias of output `index`; 0 if there is none.
#[inline]
pub fn bias_i16(b: &[Wide], index: usize) -> i64 {
    b.get(index).map_or(0, |[low, high]| (u64::from(*high) << 32 | u64::from(*low)) as i64)
}

impl Requantize<'_> {
    /// Multiplier and shift of output `index`.
    #[inline]
    pub fn of(&self, index: usize) -> (i32, i32) {
        let of = |table: &[i32]| if table.len() == 1 { table.first() } else { table.get(index) }.copied().unwrap_or(0);
        (of(self.multiplier), of(self.shift))
    }

    #[inline(always)]
    fn scaled(&self, index: usize, sum: i64) -> i32 {
        let (multiplier, shift) = self.of(index);
        match self.sum_bits {
            32 => multiply_by_quantized_multiplier(sum as i32, multiplier, shift),
            _ => multiply_wide(sum, multiplier, shift),
        }
    }

    /// The sum of output `index` to int16; the zero point is 0.
    #[inline]
    pub fn to_i16(&self, index: usize, sum: i64) -> i16 {
        self.scaled(index, sum).max(self.lo).min(self.hi) as i16
    }

    /// The sum of output `index` to int8 or int16.
    #[cfg_attr(target_os = "none", inline(never))]
    #[cfg_attr(not(target_os = "none"), inline)]
    pub fn output(&self, index: usize, sum: i64) -> i16 {
        self.scaled(index, sum).wrapping_add(self.zero_point).max(self.lo).min(self.hi) as i16
    }
}

/// Sums start from the biases of the outputs from `first` on; an absent `b` counts as zeros.
#[inline]
pub fn start_from_bias_i8(b: &[i32], first: usize, acc: &mut [i32]) {
    if b.is_empty() {
        acc.fill(0);
    } else {
        copy(sub(b, first, acc.len()), acc);
    }
}

/// `acc[j] += value * sum of w[j * row + i]` over the first `count` of each row: what `count` equal inputs add.
#[inline]
pub fn add_constant_i8<I: Isa>(isa: I, value: i8, count: usize, w: &[i8], row: usize, acc: &mut [i32]) {
    let constant = [value; 32];
    let mut start = 0;
    while start < count {
        let piece = sub(&constant, 0, constant.len().min(count - start));
        isa.matvec_i8(piece, from(w, start), row, acc);
        start += constant.len();
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
    /// Bits of a sum: 64, or 32; for int8 always 32.
    pub sum_bits: u32,
}

impl RequantizeRecord {
    /// Whether it fits a layer of `outputs` outputs.
    pub fn is_valid(&self, outputs: u32) -> bool {
        (self.channels == 1 || self.channels == outputs) && self.sum_bits == 32 && limits_are_valid(self.lo, self.hi)
    }

    /// Whether it fits an int16 layer of `outputs` outputs.
    pub fn is_valid_i16(&self, outputs: u32) -> bool {
        (self.channels == 1 || self.channels == outputs)
            && self.zero_point == 0
            && matches!(self.sum_bits, 32 | 64)
            && limits_are_valid_i16(self.lo, self.hi)
    }

    /// Without the tables, which a token's stream of weights has.
    pub fn limits<'a>(&self) -> Requantize<'a> {
        let Self { zero_point, lo, hi, sum_bits, .. } = *self;
        Requantize { multiplier: &[], shift: &[], zero_point, lo, hi, sum_bits }
    }

    /// With the tables, which are the next operands: `multiplier, shift`.
    #[cfg_attr(target_os = "none", inline(never))]
    pub fn read<'m>(&self, at: &mut Slices<'m>) -> Requantize<'m> {
        Requantize { multiplier: at.read(), shift: at.read(), ..self.limits() }
    }
}
