//! Softmax over the last axis: `y = e^(beta (x - max)) / sum of e^(beta (x - max))`, and its logarithm for a beta of 1.
//!
//! Backward, from the forward step's output: `dx = beta * y * (dy - sum of dy * y)`. Both work in place where both places
//! are the same. A classifier's loss has its own softmax: see [`crate::loss`].

mod int16;
mod int8;
mod log_int8;

pub use int8::{ForwardI8, MAX_LEN_I8, ScalingI8, forward_i8};
pub use int16::{ENTRIES_I16, ForwardI16, ScalingI16, forward_i16};
pub use log_int8::{ForwardLogI8, LogScalingI8, forward_log_i8};

use super::util::{copy, elements, rows, rows_mut};
use crate::arch::Isa;
use crate::math::{self, Maths};
use crate::memory::Slices;
use crate::plan::{Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

// ---------------------------------------------------------------------------------------------------- kernels, f32

/// Softmax of every row of `len` elements, in place. The greatest is subtracted first, so that nothing overflows;
/// sums start from zero and run in order.
pub fn forward_f32(maths: Maths, len: usize, beta: f32, y: &mut [f32]) {
    for y in rows_mut(y, len) {
        let greatest = y.iter().copied().fold(f32::NEG_INFINITY, math::max);
        let mut total = 0.0;
        for y in y.iter_mut() {
            *y = maths.exp((*y - greatest) * beta);
            total += *y;
        }
        for y in y {
            *y /= total;
        }
    }
}

/// `x - max - ln(sum of e^(x - max))` for every row of `len` elements, in place; sums as in [`forward_f32`].
pub fn log_forward_f32(maths: Maths, len: usize, y: &mut [f32]) {
    for y in rows_mut(y, len) {
        let greatest = y.iter().copied().fold(f32::NEG_INFINITY, math::max);
        let total = y.iter().fold(0.0, |total, y| total + maths.exp(*y - greatest));
        let logarithm = math::ln(total);
        for y in y {
            *y = (*y - greatest) - logarithm;
        }
    }
}

/// `dy = beta * y * (dy - sum of dy * y)` for every row of `len` elements.
pub fn backward_f32<I: Isa>(isa: I, len: usize, beta: f32, y: &[f32], dy: &mut [f32]) {
    for (dy, y) in rows_mut(dy, len).zip(rows(y, len)) {
        let sum = isa.dot_f32(0.0, dy, y);
        for (dy, y) in dy.iter_mut().zip(y) {
            *dy = beta * y * (*dy - sum);
        }
    }
}

// ---------------------------------------------------------------------------------------------- step records, f32

/// Forward step, f32; in place if `x` and `y` are equal.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ForwardF32 {
    /// Rows of one sample.
    pub rows: u32,
    /// Elements of a row.
    pub len: u32,
    /// Factor of the exponents.
    pub beta: f32,
    /// 1 for the logarithm, whose `beta` is 1; else 0.
    pub logarithm: u32,
    /// Input.
    pub x: Ref,
    /// Output.
    pub y: Ref,
}

impl StepRecord for ForwardF32 {
    operands! {
        x: input f32 [samples, rows, len],
        y: write f32 [samples, rows, len],
    }

    fn shape_is_valid(&self) -> bool {
        elements([self.rows, self.len]).is_some() && self.logarithm <= 1
    }

    fn run<I: Isa>(&self, _: I, at: &mut Slices<'_>, context: &mut Context) {
        let (x, y) = (at.read(), at.write());
        copy(x, y);
        let (maths, len) = (Maths::of(context.training), self.len as usize);
        if self.logarithm == 1 {
            log_forward_f32(maths, len, y);
        } else {
            forward_f32(maths, len, self.beta, y);
        }
    }
}

/// Backward step, f32; in place if `dy` and `dx` are equal.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BackwardF32 {
    /// Rows of one sample.
    pub rows: u32,
    /// Elements of a row.
    pub len: u32,
    /// Factor of the exponents.
    pub beta: f32,
    /// Output of the forward step.
    pub y: Ref,
    /// Gradient of the output.
    pub dy: Ref,
    /// Gradient of the input.
    pub dx: Ref,
}

impl StepRecord for BackwardF32 {
    operands! {
        y: read f32 [samples, rows, len],
        dy: input f32 [samples, rows, len],
        dx: write f32 [samples, rows, len],
    }

    fn shape_is_valid(&self) -> bool {
        elements([self.rows, self.len]).is_some()
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, _: &mut Context) {
        let (y, dy, dx) = (at.read(), at.read(), at.write());
        copy(dy, dx);
        backward_f32(isa, self.len as usize, self.beta, y, dx);
    }
}

#[cfg(test)]
mod tests;
