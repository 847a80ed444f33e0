//! Softmax, int16 forward: scale 1/32768 and zero point 0 at the output.
//!
//! As in the reference: the exponential and the reciprocal come from tables of 513 entries with linear interpolation
//! between them. The host makes the tables.

use crate::arch::Isa;
use crate::kernels::util::{copy, elements, rows_mut};
use crate::memory::Slices;
use crate::plan::{Context, Ref, StepRecord, operands};
use crate::quant::multiply_by_quantized_multiplier;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Entries of one table: every 128th argument, and one more for the last slope.
pub const ENTRIES_I16: usize = 513;

/// How softmax reaches its tables.
#[derive(Clone, Copy, Debug)]
pub struct ScalingI16<'a> {
    /// Mantissa of `beta * input scale * 65535 / 10`.
    pub multiplier: i32,
    /// Its exponent.
    pub shift: i32,
    /// `e^x` for `x` from -10 to 0.
    pub exp: &'a [i16],
    /// `1 / (1 + x)` for `x` from 0 to 1.
    pub reciprocal: &'a [i16],
}

/// The function of `table` at `x`, a straight line between neighbours.
#[inline]
fn interpolate(table: &[i16], x: i16) -> i32 {
    let at = |index: i32| table.get(index as usize).copied().map_or(0, i32::from);
    let x = i32::from(x);
    let (index, offset) = (256 + (x >> 7), x & 127);
    let base = at(index);
    let slope = at(index + 1) - base;
    i32::from((base + ((slope * offset + 64) >> 7)) as i16)
}

impl ScalingI16<'_> {
    /// `e^difference` in Q15.
    #[inline]
    fn exp(&self, difference: i32) -> i32 {
        let scaled = multiply_by_quantized_multiplier(difference, self.multiplier, self.shift);
        interpolate(self.exp, scaled.saturating_add(32767).clamp(-32768, 32767) as i16)
    }
}

/// Softmax of every row of `len` elements, in place.
pub fn forward_i16(len: usize, scaling: &ScalingI16<'_>, y: &mut [i16]) {
    for y in rows_mut(y, len) {
        let greatest = y.iter().copied().fold(i16::MIN, i16::max);
        let mut sum = 0i32;
        for y in y.iter_mut() {
            let exp = scaling.exp(i32::from(*y) - i32::from(greatest));
            *y = exp as i16;
            sum = sum.wrapping_add(exp);
        }
        // The sum is at least e^0, so that it has at most 17 zeros in front; it becomes 1 + x.
        let zeros = sum.max(1).leading_zeros();
        let shifted = ((i64::from(sum) << zeros.saturating_sub(1)) + (1 << 13)) >> 14;
        let x = (shifted as i32).wrapping_sub((1 << 15) + (1 << 16)).clamp(-32768, 32767) as i16;
        let reciprocal = i64::from(interpolate(scaling.reciprocal, x));
        let bits = 31u32.saturating_sub(zeros).max(1);
        for y in y.iter_mut() {
            let share = (i64::from(*y) * reciprocal + (1 << (bits - 1))) >> bits;
            *y = share.clamp(0, 32767) as i16;
        }
    }
}

/// Forward step, int16; in place if `x` and `y` are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ForwardI16 {
    /// Rows of one sample.
    pub rows: u32,
    /// Elements of a row, fewer than 65536: their sum fits 32 bits.
    pub len: u32,
    /// Input.
    pub x: Ref,
    /// Output.
    pub y: Ref,
    /// Mantissa of `beta * input scale * 65535 / 10`.
    pub multiplier: i32,
    /// Its exponent.
    pub shift: i32,
    /// The table of the exponential.
    pub exp: Ref,
    /// The table of the reciprocal.
    pub reciprocal: Ref,
}

impl StepRecord for ForwardI16 {
    operands! {
        x: input i16 [samples, rows, len],
        exp: read i16 [const ENTRIES_I16],
        reciprocal: read i16 [const ENTRIES_I16],
        y: write i16 [samples, rows, len],
    }

    fn shape_is_valid(&self) -> bool {
        elements([self.rows, self.len]).is_some() && self.len < 1 << 16
    }

    fn run<I: Isa>(&self, _: I, at: &mut Slices<'_>, _: &mut Context) {
        let (x, exp, reciprocal) = (at.read(), at.read(), at.read());
        let y = at.write();
        copy(x, y);
        let scaling = ScalingI16 { multiplier: self.multiplier, shift: self.shift, exp, reciprocal };
        forward_i16(self.len as usize, &scaling, y);
    }
}
