//! Depthwise convolution: every input channel has its own `multiplier` filters.
//!
//! Shapes: `x [samples][in_h][in_w][in_c]`, `w [kernel_h][kernel_w][out_c]`, `b [out_c]`,
//! `y [samples][out_h][out_w][out_c]` with `out_c = in_c * multiplier`; output channel `c` reads input channel
//! `c / multiplier`. Taps beside the input are skipped (zero padding).
//!
//! The filters lie with the channel last, as in TFLite, so that inner loops run over channels.

mod float;
mod int16;
mod int8;
mod records;
#[cfg(test)]
mod tests;

pub use float::{backward_input_f32, backward_weights_f32, forward_f32};
pub use int8::{ForwardI8, forward_i8};
pub use int16::{ForwardI16, forward_i16};
pub use records::{BackwardInputF32, BackwardWeightsF32, ForwardF32};

use super::util::elements;
use super::window::Axis;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Shape of a depthwise convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DepthwiseConv2d {
    /// Rows of the input.
    pub in_h: u32,
    /// Columns of the input.
    pub in_w: u32,
    /// Channels of the input.
    pub in_c: u32,
    /// Rows of the output.
    pub out_h: u32,
    /// Columns of the output.
    pub out_w: u32,
    /// Channels of the output: `in_c * multiplier`.
    pub out_c: u32,
    /// Rows of a filter.
    pub kernel_h: u32,
    /// Columns of a filter.
    pub kernel_w: u32,
    /// Rows between windows.
    pub stride_h: u32,
    /// Columns between windows.
    pub stride_w: u32,
    /// Rows between taps.
    pub dilation_h: u32,
    /// Columns between taps.
    pub dilation_w: u32,
    /// Padding above the input; what lies below follows from `out_h`.
    pub pad_top: u32,
    /// Padding left of the input; what lies right follows from `out_w`.
    pub pad_left: u32,
    /// Filters for each input channel.
    pub multiplier: u32,
}

impl DepthwiseConv2d {
    /// Rows.
    #[inline]
    pub fn vertical(&self) -> Axis {
        Axis {
            input: self.in_h,
            output: self.out_h,
            kernel: self.kernel_h,
            stride: self.stride_h,
            dilation: self.dilation_h,
            pad: self.pad_top,
        }
    }

    /// Columns.
    #[inline]
    pub fn horizontal(&self) -> Axis {
        Axis {
            input: self.in_w,
            output: self.out_w,
            kernel: self.kernel_w,
            stride: self.stride_w,
            dilation: self.dilation_w,
            pad: self.pad_left,
        }
    }

    /// Elements of one input sample.
    #[inline]
    pub fn in_elements(&self) -> usize {
        self.in_h as usize * self.in_w as usize * self.in_c as usize
    }

    /// Elements of one output sample.
    #[inline]
    pub fn out_elements(&self) -> usize {
        self.out_h as usize * self.out_w as usize * self.out_c as usize
    }

    /// Number of weights.
    #[inline]
    pub fn weights(&self) -> usize {
        self.kernel_h as usize * self.kernel_w as usize * self.out_c as usize
    }

    /// Multiply-accumulates for one sample, padding included.
    pub fn macs(&self) -> u64 {
        u64::from(self.out_h) * u64::from(self.out_w) * self.weights() as u64
    }

    /// Whether the shape is consistent: see [`crate::plan::StepRecord::shape_is_valid`].
    pub fn is_valid(&self) -> bool {
        self.vertical().is_valid()
            && self.horizontal().is_valid()
            && self.in_c.checked_mul(self.multiplier) == Some(self.out_c)
            && elements([self.in_h, self.in_w, self.in_c]).is_some()
            && elements([self.out_h, self.out_w, self.out_c]).is_some()
            && elements([self.kernel_h, self.kernel_w, self.out_c]).is_some()
    }
}
