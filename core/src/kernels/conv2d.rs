//! Convolution over height and width: any kernel, stride, dilation, padding and number of groups.
//!
//! Shapes: `x [samples][in_h][in_w][in_c]`, `w [out_c][kernel_h][kernel_w][in_c / groups]`, `b [out_c]`,
//! `y [samples][out_h][out_w][out_c]`. Group `g` reads and writes the `g`-th piece of the channels.
//! Taps beside the input are skipped (zero padding).

mod float;
mod gather;
mod int16;
mod int8;
mod records;
#[cfg(test)]
mod tests;

pub use float::{backward_input_f32, backward_weights_f32, forward_f32};
pub use gather::scratch_elements;
pub use int8::{ForwardI8, forward_i8, scratch_bytes_i8};
pub use int16::{ForwardI16, forward_i16};
pub use records::{BackwardInputF32, BackwardWeightsF32, ForwardF32, Scratch};

use super::util::elements;
use super::window::Axis;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Shape of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Conv2d {
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
    /// Channels of the output.
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
    /// Groups of channels, usually 1; divides `in_c` and `out_c`.
    pub groups: u32,
}

impl Conv2d {
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

    /// Input channels that one filter reads.
    #[inline]
    pub fn group_in(&self) -> usize {
        self.in_c.checked_div(self.groups).unwrap_or(0) as usize
    }

    /// Filters of one group.
    #[inline]
    pub fn group_out(&self) -> usize {
        self.out_c.checked_div(self.groups).unwrap_or(0) as usize
    }

    /// Weights of one filter.
    #[inline]
    pub fn patch(&self) -> usize {
        self.kernel_h as usize * self.kernel_w as usize * self.group_in()
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
        self.out_c as usize * self.patch()
    }

    /// Whether the taps of one row of a filter lie side by side in the input as they do in the filter, so that one
    /// dot product covers them all.
    #[inline]
    pub fn rows_are_contiguous(&self) -> bool {
        self.dilation_w == 1 && self.groups == 1
    }

    /// Whether input and output pixels correspond one to one: a 1x1 filter, stride 1, no padding.
    #[inline]
    pub fn is_pointwise(&self) -> bool {
        [self.kernel_h, self.kernel_w, self.stride_h, self.stride_w] == [1; 4]
            && (self.pad_top, self.pad_left) == (0, 0)
            && (self.in_h, self.in_w) == (self.out_h, self.out_w)
    }

    /// Multiply-accumulates for one sample, padding included.
    pub fn macs(&self) -> u64 {
        u64::from(self.out_h) * u64::from(self.out_w) * self.weights() as u64
    }

    /// Whether the shape is consistent: see [`crate::plan::StepRecord::shape_is_valid`].
    pub fn is_valid(&self) -> bool {
        let divides = |channels: u32| channels.checked_rem(self.groups) == Some(0);
        self.vertical().is_valid()
            && self.horizontal().is_valid()
            && divides(self.in_c)
            && divides(self.out_c)
            && elements([self.in_h, self.in_w, self.in_c]).is_some()
            && elements([self.out_h, self.out_w, self.out_c]).is_some()
            && elements([self.out_c, self.kernel_h, self.kernel_w, self.in_c]).is_some()
    }
}
