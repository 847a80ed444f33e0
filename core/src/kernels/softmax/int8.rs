//! Softmax, int8 forward: scale 1/256 and zero point -128 at the output, fixed point throughout.
//!
//! As in the reference: differences from the row's maximum, scaled to Q5, go through the exponential; the sum of
//! the exponentials in Q12 has its reciprocal taken; exponentials are computed twice, so that no row of 32-bit
//! numbers has to be kept.

use crate::arch::Isa;
use crate::kernels::util::{copy, elements, rows_mut};
use crate::memory::Slices;
use crate::plan::{Context, Ref, StepRecord, operands};
use crate::quant::functions::{exp_of_negative, reciprocal};
use crate::quant::{rounding_divide_by_pot, saturating_rounding_doubling_high_mul};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Longest row: its sum still fits Q12.
pub const MAX_LEN_I8: u32 = 4095;

const DIFFERENCE_BITS: u32 = 5;

/// How differences of inputs become Q5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ScalingI8 {
    /// Mantissa of `beta * input scale * 2^26`.
    pub multiplier: i32,
    /// Its exponent, 0 to 31.
    pub left_shift: i32,
    /// Differences below this count as minus infinity.
    pub diff_min: i32,
}

impl ScalingI8 {
    /// Integer bits of a sum.
    pub(super) const SUM_BITS: u32 = 12;

    /// Whether no shift overflows.
    pub(super) fn is_valid(&self) -> bool {
        (0..32).contains(&self.left_shift) && self.diff_min <= 0
    }

    /// The difference in Q5.
    #[inline]
    pub(super) fn scaled(&self, difference: i32) -> i32 {
        saturating_rounding_doubling_high_mul(difference.wrapping_shl(self.left_shift as u32), self.multiplier)
    }

    /// The sum of the exponentials of a row's differences from its greatest element, in Q12.
    #[inline]
    pub(super) fn sum(&self, greatest: i8, row: &[i8]) -> i32 {
        row.iter().fold(0i32, |sum, x| {
            let exp = self.exp(i32::from(*x) - i32::from(greatest));
            sum.wrapping_add(rounding_divide_by_pot(exp, Self::SUM_BITS))
        })
    }

    /// `exp(difference)` in Q0; 0 for differences below `diff_min`.
    #[inline]
    fn exp(&self, difference: i32) -> i32 {
        if difference < self.diff_min {
            return 0;
        }
        exp_of_negative(self.scaled(difference), DIFFERENCE_BITS)
    }
}

/// Softmax of every row of `len` elements, in place.
pub fn forward_i8(len: usize, scaling: &ScalingI8, y: &mut [i8]) {
    for y in rows_mut(y, len) {
        let greatest = y.iter().copied().fold(i8::MIN, i8::max);
        let difference = |y: i8| i32::from(y) - i32::from(greatest);
        let (mantissa, exponent) = reciprocal(scaling.sum(greatest, y), ScalingI8::SUM_BITS);
        // Q0 to the output's 1/256: 31 fraction bits less 8. The reference aborts beyond 31 (a sum of 512 or more),
        // where no share reaches more than half a step.
        let exponent = exponent.wrapping_add(31 - 8);
        for y in y.iter_mut() {
            let share = saturating_rounding_doubling_high_mul(mantissa, scaling.exp(difference(*y)));
            let steps = if exponent > 31 { 0 } else { rounding_divide_by_pot(share, exponent as u32) };
            *y = steps.saturating_sub(128).clamp(-128, 127) as i8;
        }
    }
}

/// Forward step, int8; in place if `x` and `y` are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ForwardI8 {
    /// Rows of one sample.
    pub rows: u32,
    /// Elements of a row, at most [`MAX_LEN_I8`].
    pub len: u32,
    /// Input.
    pub x: Ref,
    /// Output.
    pub y: Ref,
    /// How differences of inputs become Q5.
    pub scaling: ScalingI8,
}

impl StepRecord for ForwardI8 {
    operands! {
        x: input i8 [samples, rows, len],
        y: write i8 [samples, rows, len],
    }

    fn shape_is_valid(&self) -> bool {
        elements([self.rows, self.len]).is_some() && self.len <= MAX_LEN_I8 && self.scaling.is_valid()
    }

    fn run<I: Isa>(&self, _: I, at: &mut Slices<'_>, _: &mut Context) {
        let (x, y) = (at.read(), at.write());
        copy(x, y);
        forward_i8(self.len as usize, &self.scaling, y);
    }
}

#[cfg(test)]
mod tests;
