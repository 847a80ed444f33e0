//! Average pool: every output is the mean of its window; padding counts neither in the sum nor in the number of
//! elements (as in TFLite and Keras). A global pool is a window as large as the input.
//!
//! Shapes as in [`Pool2d`]. Backward gives each element of a window an equal part of that window's gradient.

mod int16;
mod int8;

pub use int8::{ForwardI8, forward_i8};
pub use int16::{ForwardI16, forward_i16};

use super::compact::{FloatPool, Walk};
use super::pool::Pool2d;
use super::util::{clear, from, rows, rows_mut, sub, sub_mut};
use crate::arch::Isa;
use crate::memory::Slices;
use crate::plan::{COMPACT, Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

// ---------------------------------------------------------------------------------------------------- kernels, f32

/// `y = clamp(sum of window / elements of window, lo, hi)`; sums start from zero and run in order of rows, columns.
pub fn forward_f32<I: Isa>(isa: I, shape: &Pool2d, x: &[f32], lo: f32, hi: f32, y: &mut [f32]) {
    if COMPACT {
        Walk::pool(shape).over(y.len(), &mut FloatPool::new(true, x, y));
        return isa.clamp_f32(lo, hi, y);
    }
    let (in_elements, out_elements) = (shape.in_elements(), shape.out_elements());
    let samples = rows(y, out_elements).len();
    isa.split(samples, in_elements, [(y, out_elements)], |of, [y]| {
        forward_samples(isa, shape, from(x, of.start * in_elements), y);
        isa.clamp_f32(lo, hi, y);
    });
}

fn forward_samples<I: Isa>(isa: I, shape: &Pool2d, x: &[f32], y: &mut [f32]) {
    let (channels, in_w, out_w) =
        (shape.channels as usize, shape.window.width.input as usize, shape.window.width.output as usize);
    let (vertical, horizontal) = (shape.window.height, shape.window.width);
    clear(y);
    for (x, y) in rows(x, shape.in_elements()).zip(rows_mut(y, shape.out_elements())) {
        for (out_y, y) in rows_mut(y, out_w * channels).enumerate() {
            let down = vertical.taps(out_y);
            for (out_x, y) in rows_mut(y, channels).enumerate() {
                let across = horizontal.taps(out_x);
                for in_y in down.input..down.input + down.count {
                    let row = sub(x, (in_y * in_w + across.input) * channels, across.count * channels);
                    for x in rows(row, channels) {
                        isa.accumulate_f32(x, y);
                    }
                }
                let count = (down.count * across.count) as f32;
                for y in y {
                    *y /= count;
                }
            }
        }
    }
}

/// `dx`: sum over the windows that hold the element, in order of outputs, of `(1 / elements of window) * dy`.
pub fn backward_f32<I: Isa>(isa: I, shape: &Pool2d, dy: &[f32], dx: &mut [f32]) {
    let (in_elements, out_elements) = (shape.in_elements(), shape.out_elements());
    let samples = rows(dx, in_elements).len();
    isa.split(samples, in_elements, [(dx, in_elements)], |of, [dx]| {
        backward_samples(isa, shape, from(dy, of.start * out_elements), dx);
    });
}

fn backward_samples<I: Isa>(isa: I, shape: &Pool2d, dy: &[f32], dx: &mut [f32]) {
    let (channels, in_w, out_w) =
        (shape.channels as usize, shape.window.width.input as usize, shape.window.width.output as usize);
    let (vertical, horizontal) = (shape.window.height, shape.window.width);
    clear(dx);
    for (dx, dy) in rows_mut(dx, shape.in_elements()).zip(rows(dy, shape.out_elements())) {
        for (out_y, dy) in rows(dy, out_w * channels).enumerate() {
            let down = vertical.taps(out_y);
            for (out_x, dy) in rows(dy, channels).enumerate() {
                let across = horizontal.taps(out_x);
                let part = 1.0 / (down.count * across.count) as f32;
                for in_y in down.input..down.input + down.count {
                    let row = sub_mut(dx, (in_y * in_w + across.input) * channels, across.count * channels);
                    for dx in rows_mut(row, channels) {
                        isa.axpy_f32(part, dy, dx);
                    }
                }
            }
        }
    }
}

// ---------------------------------------------------------------------------------------------- step records, f32

/// Forward step, f32, with the activation's limits fused.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ForwardF32 {
    /// Shape.
    pub shape: Pool2d,
    /// Input.
    pub x: Ref,
    /// Output.
    pub y: Ref,
    /// Least output.
    pub lo: f32,
    /// Greatest output.
    pub hi: f32,
}

impl StepRecord for ForwardF32 {
    operands! {
        x: read f32 [samples, shape => Pool2d::INPUT],
        y: write f32 [samples, shape => Pool2d::OUTPUT],
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_dense()
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, _: &mut Context) {
        let (x, y) = (at.read(), at.write());
        forward_f32(isa, &self.shape, x, self.lo, self.hi, y);
    }
}

/// Backward step, f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BackwardF32 {
    /// Shape.
    pub shape: Pool2d,
    /// Gradient of the output.
    pub dy: Ref,
    /// Gradient of the input.
    pub dx: Ref,
}

impl StepRecord for BackwardF32 {
    operands! {
        dy: read f32 [samples, shape => Pool2d::OUTPUT],
        dx: write f32 [samples, shape => Pool2d::INPUT],
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_dense()
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, _: &mut Context) {
        let (dy, dx) = (at.read(), at.write());
        backward_f32(isa, &self.shape, dy, dx);
    }
}

#[cfg(test)]
mod tests;
