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
#[cfg(test)]
pub(crate) use int::forward as forward_int;

use super::compact::{Floats, Walk};
use super::conv2d::{Conv2d, Scratch, accumulate_input_f32};
use super::util::start_from_bias;
use crate::arch::Isa;
use crate::memory::Slices;
use crate::plan::{COMPACT, Context, Ref, StepRecord, operands};
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
    if COMPACT {
        let walk = Walk::transpose_conv2d_f32(conv);
        walk.over(y.len(), &mut Floats::new(&walk, x, w, b, y).every(conv.patch()));
        return isa.clamp_f32(lo, hi, y);
    }
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

impl StepRecord for ForwardF32 {
    operands! {
        x: read f32 [samples, conv => Conv2d::OUTPUT],
        w: read f32 [conv => Conv2d::WEIGHTS],
        b: read f32 [conv.in_c],
        scratch.at: scratch f32 [scratch.elements],
        y: write f32 [samples, conv => Conv2d::INPUT],
    }

    fn shape_is_valid(&self) -> bool {
        self.conv.is_valid()
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, _: &mut Context) {
        let (x, w, b) = (at.read(), at.read(), at.read());
        let (scratch, y) = (at.write(), at.write());
        let (lo, hi) = (self.lo, self.hi);
        forward_f32(isa, &self.conv, x, w, b, lo, hi, scratch, y);
    }
}
