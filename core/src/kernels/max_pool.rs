//! Max pool: every output is the greatest element of its window; padding counts for nothing.
//!
//! Shapes as in [`Pool2d`]. Backward sends each output's gradient to the first greatest element of its window,
//! found again from `x`, so that no indices need to be kept.

mod int16;
mod int8;
mod int8_backward;

pub use int8::{ForwardI8, forward_i8};
pub use int8_backward::{BackwardI8, backward_i8};
pub use int16::{ForwardI16, forward_i16};

use super::compact::{FloatPool, Walk};
use super::pool::Pool2d;
use super::util::{clear, from, rows, rows_mut};
use crate::arch::{Isa, Patch, scalar};
use crate::memory::Slices;
use crate::plan::{COMPACT, Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

// ---------------------------------------------------------------------------------------------------- kernels, f32

/// `y = clamp(max of window, lo, hi)`. Not-a-number wins only as the first element of its window.
pub fn forward_f32<I: Isa>(isa: I, shape: &Pool2d, x: &[f32], lo: f32, hi: f32, y: &mut [f32]) {
    if COMPACT {
        Walk::pool(shape).over(y.len(), &mut FloatPool::new(false, x, y));
        return isa.clamp_f32(lo, hi, y);
    }
    let (in_elements, out_elements) = (shape.in_elements(), shape.out_elements());
    let samples = rows(y, out_elements).len();
    isa.split(samples, in_elements, [(y, out_elements)], |of, [y]| {
        for (x, y) in rows(from(x, of.start * in_elements), in_elements).zip(rows_mut(y, out_elements)) {
            for (patch, y) in shape.patches().zip(rows_mut(y, shape.channels as usize)) {
                isa.greatest_f32(&patch, x, y);
            }
        }
        isa.clamp_f32(lo, hi, y);
    });
}

/// `dx`: zero but for the first greatest element of each window, which receives that window's `dy`; where windows
/// share it, the sum in order of outputs.
pub fn backward_f32<I: Isa>(isa: I, shape: &Pool2d, x: &[f32], dy: &[f32], dx: &mut [f32]) {
    let (in_elements, out_elements) = (shape.in_elements(), shape.out_elements());
    let samples = rows(dx, in_elements).len();
    isa.split(samples, 2 * in_elements, [(dx, in_elements)], |of, [dx]| {
        let (x, dy) = (from(x, of.start * in_elements), from(dy, of.start * out_elements));
        for ((x, dx), dy) in rows(x, in_elements).zip(rows_mut(dx, in_elements)).zip(rows(dy, out_elements)) {
            clear(dx);
            for (patch, dy) in shape.patches().zip(rows(dy, shape.channels as usize)) {
                isa.add_to_greatest_f32(&patch, x, dy, dx);
            }
        }
    });
}

/// The same over `x` itself, of a shape that [tiles](Pool2d::tiles) its input.
pub fn backward_in_place_f32<I: Isa>(isa: I, shape: &Pool2d, dy: &[f32], x: &mut [f32]) {
    let (in_elements, out_elements) = (shape.in_elements(), shape.out_elements());
    let samples = rows(x, in_elements).len();
    isa.split(samples, 2 * in_elements, [(x, in_elements)], |of, [x]| {
        let dy = rows(from(dy, of.start * out_elements), out_elements);
        for (x, dy) in rows_mut(x, in_elements).zip(dy) {
            for (patch, dy) in shape.patches().zip(rows(dy, shape.channels as usize)) {
                scalar::leave_at_greatest_f32(&patch, dy, x);
            }
        }
    });
}

/// Where the first greatest element of a channel lies in a window; `None` if it sees nothing.
pub(super) fn first_greatest<T: Copy + Into<i32>>(patch: &Patch, x: &[T], channel: usize) -> Option<usize> {
    let (mut greatest, mut place) = (i32::MIN, None);
    for row in 0..patch.rows {
        for column in 0..patch.columns {
            let at = patch.at + row * patch.row + column * patch.column + channel;
            let x = x.get(at).map_or(i32::MIN, |x| (*x).into());
            if x > greatest {
                (greatest, place) = (x, Some(at));
            }
        }
    }
    place
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
        self.shape.is_valid()
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, _: &mut Context) {
        let (x, y) = (at.read(), at.write());
        forward_f32(isa, &self.shape, x, self.lo, self.hi, y);
    }
}

/// Backward step, f32. Where `x` and `dx` have one place, it works there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BackwardF32 {
    /// Shape.
    pub shape: Pool2d,
    /// Input of the forward step.
    pub x: Ref,
    /// Gradient of the output.
    pub dy: Ref,
    /// Gradient of the input.
    pub dx: Ref,
}

impl StepRecord for BackwardF32 {
    operands! {
        x: input f32 [samples, shape => Pool2d::INPUT],
        dy: read f32 [samples, shape => Pool2d::OUTPUT],
        dx: write f32 [samples, shape => Pool2d::INPUT],
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid() && (self.x != self.dx || self.shape.tiles())
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, _: &mut Context) {
        let (x, dy, dx) = (at.read(), at.read(), at.write());
        if self.x == self.dx {
            backward_in_place_f32(isa, &self.shape, dy, dx);
        } else {
            backward_f32(isa, &self.shape, x, dy, dx);
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
