//! Transposed convolution: the map from the output of a convolution back to its input, as a layer.
//!
//! Shapes: `x [samples][in_h][in_w][in_c]`, `b [out_c]`, `y [samples][out_h][out_w][out_c]`. The shape is that of the
//! convolution that goes the other way, from `y` to `x`: its input is our output, its filters are our input channels.
//! Weights are that convolution's for f32, `[in_c][kernel_h][kernel_w][out_c / groups]`, and
//! `[out_c][kernel_h][kernel_w][in_c / groups]` for integers, whose dot products run along the input.
//!
//! The f32 kernel is the convolution's gradient of its input; backward, the gradient of our input is that convolution.

mod int;

pub use int::ForwardInt;

use super::conv2d::{Conv2d, Scratch, accumulate_input_f32};
use super::util::start_from_bias;
use crate::arch::Isa;
use crate::memory::{Memory, view, view_mut};
use crate::plan::{Access, Context, Operand, Operands, Ref, StepRecord};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `y = clamp(transposed conv(x, w) + b, lo, hi)`; an empty `b` counts as zeros.
///
/// Every output starts from its bias and adds its products in order of input row, input column, input channel.
/// `scratch` as in [`super::conv2d::forward_f32`], for the shape `conv`.
pub fn forward_f32<I: Isa>(
    isa: I,
    conv: &Conv2d,
    x: &[f32],
    w: &[f32],
    b: &[f32],
    lo: f32,
    hi: f32,
    scratch: &mut [f32],
    y: &mut [f32],
) {
    start_from_bias(b, conv.in_c as usize, y);
    accumulate_input_f32(isa, conv, x, w, scratch, y);
    isa.clamp_f32(lo, hi, y);
}

/// Forward step, f32, with the activation's limits fused.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ForwardF32 {
    /// The convolution from `y` to `x`.
    pub conv: Conv2d,
    /// Input.
    pub x: Ref,
    /// Weights.
    pub w: Ref,
    /// Bias, or none.
    pub b: Ref,
    /// Output.
    pub y: Ref,
    /// Scratch for gathering.
    pub scratch: Scratch,
    /// Least output.
    pub lo: f32,
    /// Greatest output.
    pub hi: f32,
}

impl ForwardF32 {
    fn places(&self, samples: usize) -> ([Operand; 3], [Operand; 2]) {
        let conv = &self.conv;
        let reads = [
            Operand::f32(self.x, samples.saturating_mul(conv.out_elements()), Access::Read),
            Operand::f32(self.w, conv.weights(), Access::Read),
            Operand::f32(self.b, conv.in_c as usize, Access::Read),
        ];
        let y = Operand::f32(self.y, samples.saturating_mul(conv.in_elements()), Access::Write);
        (reads, [self.scratch.place(), y])
    }
}

impl StepRecord for ForwardF32 {
    fn operands(&self, samples: usize) -> Operands {
        let ([x, w, b], [scratch, y]) = self.places(samples);
        Operands::of([x, w, b, scratch, y])
    }

    fn shape_is_valid(&self) -> bool {
        self.conv.is_valid()
    }

    fn run<I: Isa>(&self, isa: I, memory: &mut Memory<'_>, context: &mut Context) {
        let (reads, writes) = self.places(context.samples);
        let ([x, w, b], [scratch, y]) = memory.carve(reads, writes);
        let (lo, hi) = (self.lo, self.hi);
        forward_f32(isa, &self.conv, view(x), view(w), view(b), lo, hi, view_mut(scratch), view_mut(y));
    }
}
