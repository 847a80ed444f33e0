//! Logarithm of softmax, int8 forward: scale 16/256 and zero point 127 at the output, fixed point throughout.
//!
//! As in the reference: differences from the row's maximum in Q5, less the logarithm of the sum of their exponentials.

use super::{MAX_LEN_I8, ScalingI8};
use crate::arch::Isa;
use crate::kernels::requantize::Rescale;
use crate::kernels::util::{copy, elements, rows_mut};
use crate::memory::Slices;
use crate::plan::{Context, Ref, StepRecord, operands};
use crate::quant::functions::ln;
use crate::quant::rounding_divide_by_pot;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// From Q5 to the output's 1/16.
const OUTPUT_BITS: u32 = 31 - 5 - 4;

/// How differences of inputs become Q5, and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct LogScalingI8 {
    /// To Q5.
    pub scaling: ScalingI8,
    /// From Q5.
    pub back: Rescale,
}

/// The logarithm of softmax of every row of `len` elements, in place.
pub fn forward_log_i8(len: usize, to: &LogScalingI8, y: &mut [i8]) {
    let LogScalingI8 { scaling, back } = to;
    for y in rows_mut(y, len) {
        let greatest = y.iter().copied().fold(i8::MIN, i8::max);
        let log_sum = ln(scaling.sum(greatest, y), ScalingI8::SUM_BITS);
        // Below this the result would leave Q5.
        let least = back.of(log_sum.wrapping_add(i32::MIN)).max(scaling.diff_min.wrapping_sub(1));
        for y in y.iter_mut() {
            let difference = i32::from(*y) - i32::from(greatest);
            *y = if difference > least {
                let logarithm = scaling.scaled(difference).wrapping_sub(log_sum);
                (rounding_divide_by_pot(logarithm, OUTPUT_BITS) + 127).clamp(-128, 127) as i8
            } else {
                i8::MIN
            };
        }
    }
}

/// Forward step, int8; in place if `x` and `y` are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ForwardLogI8 {
    /// Rows of one sample.
    pub rows: u32,
    /// Elements of a row, at most [`MAX_LEN_I8`].
    pub len: u32,
    /// Input.
    pub x: Ref,
    /// Output.
    pub y: Ref,
    /// How differences of inputs become Q5, and back.
    pub scaling: LogScalingI8,
}

impl StepRecord for ForwardLogI8 {
    operands! {
        x: input i8 [samples, rows, len],
        y: write i8 [samples, rows, len],
    }

    fn shape_is_valid(&self) -> bool {
        elements([self.rows, self.len]).is_some() && self.len <= MAX_LEN_I8 && self.scaling.scaling.is_valid()
    }

    fn run<I: Isa>(&self, _: I, at: &mut Slices<'_>, _: &mut Context) {
        let (x, y) = (at.read(), at.write());
        copy(x, y);
        forward_log_i8(self.len as usize, &self.scaling, y);
    }
}
