//! Layer normalisation: every row to mean 0 and variance 1, then scaled and shifted element by element.
//!
//! Shapes: `x [samples][rows][len]`, `gamma [len]`, `beta [len]`, `y` as `x`.

mod backward;

pub use backward::{BackwardF32, input_backward_f32, parameters_backward_f32};

use super::util::{copy, elements, rows_mut};
use crate::arch::Isa;
use crate::math;
use crate::memory::Slices;
use crate::plan::{Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `y = (y - mean) / sqrt(variance + epsilon) * gamma + beta`, in rows of `len`; an empty `beta` counts as zeros.
///
/// The mean is the sum in index order divided by the length; the variance likewise, of the squares of `y - mean`.
pub fn forward_f32(len: usize, epsilon: f32, gamma: &[f32], beta: &[f32], y: &mut [f32]) {
    for y in rows_mut(y, len) {
        let count = len as f32;
        let mean = y.iter().fold(0.0, |sum, y| sum + y) / count;
        y.iter_mut().for_each(|y| *y -= mean);
        let variance = y.iter().fold(0.0, |sum, y| sum + y * y) / count;
        let deviation = math::sqrt(variance + epsilon);
        for (y, gamma) in y.iter_mut().zip(gamma) {
            *y = *y / deviation * gamma;
        }
        for (y, beta) in y.iter_mut().zip(beta) {
            *y += beta;
        }
    }
}

/// Forward step, f32; in place if `x` and `y` are equal.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ForwardF32 {
    /// Rows of one sample.
    pub rows: u32,
    /// Elements of a row.
    pub len: u32,
    /// Input.
    pub x: Ref,
    /// Factors.
    pub gamma: Ref,
    /// Summands, or none.
    pub beta: Ref,
    /// Output.
    pub y: Ref,
    /// Added to the variance; positive.
    pub epsilon: f32,
}

impl StepRecord for ForwardF32 {
    operands! {
        x: input f32 [samples, rows, len],
        gamma: read f32 [len],
        beta: read f32 [len],
        y: write f32 [samples, rows, len],
    }

    fn shape_is_valid(&self) -> bool {
        elements([self.rows, self.len]).is_some()
    }

    fn run<I: Isa>(&self, _: I, at: &mut Slices<'_>, _: &mut Context) {
        let (x, gamma, beta) = (at.read(), at.read(), at.read());
        let y = at.write();
        copy(x, y);
        forward_f32(self.len as usize, self.epsilon, gamma, beta, y);
    }
}
