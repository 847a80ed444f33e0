//! Depthwise convolution: every input channel has its own `multiplier` filters.
//!
//! Shapes: `x [samples][in_h][in_w][in_c]`, `w [kernel_h][kernel_w][out_c]`, `b [out_c]`,
//! `y [samples][out_h][out_w][out_c]` with `out_c = in_c * multiplier`; output channel `c` reads input channel
//! `c / multiplier`. Taps beside the input are skipped (zero padding).
//!
//! The filters lie with the channel last, as in TFLite, so that inner loops run over channels.

mod float;
mod gradient;
mod int16;
mod int4;
mod int8;
mod records;
#[cfg(test)]
mod tests;
mod trained_int8;

pub use float::{backward_input_f32, forward_f32};
pub use gradient::backward_weights_f32;
pub use int4::ForwardI4;
#[cfg(test)]
pub(crate) use int8::Ordered;
pub use int8::{ForwardI8, forward_i8};
pub use int16::{ForwardI16, forward_i16};
pub use records::{BackwardInputF32, BackwardWeightsF32, ForwardF32};
pub use trained_int8::{BackwardInputI8, BackwardWeightsI8};

use super::util::elements;
use super::window::Window2d;
use crate::plan::factors;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Shape of a depthwise convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DepthwiseConv2d {
    /// How the filters walk over the input.
    pub window: Window2d,
    /// Channels of the input.
    pub in_c: u32,
    /// Channels of the output: `in_c * multiplier`.
    pub out_c: u32,
    /// Filters for each input channel.
    pub multiplier: u32,
}

impl DepthwiseConv2d {
    /// Elements of one input sample.
    pub const INPUT: &[u8] = factors!(window.height.input, window.width.input, in_c);
    /// Elements of one output sample.
    pub const OUTPUT: &[u8] = factors!(window.height.output, window.width.output, out_c);
    /// Number of weights.
    pub const WEIGHTS: &[u8] = factors!(window.height.kernel, window.width.kernel, out_c);

    /// Elements of one input sample.
    #[inline]
    pub fn in_elements(&self) -> usize {
        self.window.in_pixels() * self.in_c as usize
    }

    /// Elements of one output sample.
    #[inline]
    pub fn out_elements(&self) -> usize {
        self.window.out_pixels() * self.out_c as usize
    }

    /// Number of weights.
    #[inline]
    pub fn weights(&self) -> usize {
        self.window.taps() * self.out_c as usize
    }

    /// Multiply-accumulates for one sample, padding included.
    pub fn macs(&self) -> u64 {
        self.window.out_pixels() as u64 * self.weights() as u64
    }

    /// Whether the shape is consistent: see [`crate::plan::StepRecord::shape_is_valid`].
    pub fn is_valid(&self) -> bool {
        let Window2d { height, width } = self.window;
        self.in_c.checked_mul(self.multiplier) == Some(self.out_c)
            && self.window.is_valid(self.in_c, self.out_c)
            && elements([height.kernel, width.kernel, self.out_c]).is_some()
    }
}
