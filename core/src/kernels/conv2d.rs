//! Convolution over height and width: any kernel, stride, dilation, padding and number of groups.
//!
//! Shapes: `x [samples][in_h][in_w][in_c]`, `w [out_c][kernel_h][kernel_w][in_c / groups]`, `b [out_c]`,
//! `y [samples][out_h][out_w][out_c]`. Group `g` reads and writes the `g`-th piece of the channels.
//! Taps beside the input are skipped (zero padding).

pub mod block;
mod block_records;
#[cfg(test)]
mod block_tests;
mod float;
mod int16;
mod int4;
mod int8;
mod packed;
mod records;
#[cfg(test)]
mod tests;
mod tiled;
mod trained_int8;
mod turned;
mod weights_i8;

pub use block_records::{BlockBackwardF32, BlockF32};
pub(super) use float::pieces;
pub use float::{accumulate_input_f32, backward_input_f32, backward_weights_f32, forward_f32};
pub use int4::{ForwardI4, forward_i4, scratch_bytes_i4};
pub use int8::{ForwardI8, forward_i8, scratch_bytes_i8};
pub use int16::{ForwardI16, forward_i16};
pub use packed::{pack_panels, scratch_elements};
pub use records::{BackwardInputF32, BackwardWeightsF32, ForwardF32, Scratch};
pub use tiled::{Tiled, row_bytes, scratch_words};
pub use trained_int8::{BackwardInputI8, BackwardWeightsI8, backward_input_i8, backward_weights_i8};
pub use weights_i8::{ForwardWeightsI8, forward_weights_i8};

use super::util::elements;
use super::window::Window2d;
use crate::plan::factors;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Shape of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Conv2d {
    /// How the filters walk over the input.
    pub window: Window2d,
    /// Channels of the input.
    pub in_c: u32,
    /// Channels of the output.
    pub out_c: u32,
    /// Groups of channels, usually 1; divides `in_c` and `out_c`.
    pub groups: u32,
}

impl Conv2d {
    /// Elements of one input sample.
    pub const INPUT: &[u8] = factors!(window.height.input, window.width.input, in_c);
    /// Elements of one output sample.
    pub const OUTPUT: &[u8] = factors!(window.height.output, window.width.output, out_c);
    /// Number of weights.
    pub const WEIGHTS: &[u8] = factors!(in_c, / groups, out_c, window.height.kernel, window.width.kernel);

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
        self.window.taps() * self.group_in()
    }

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
        self.out_c as usize * self.patch()
    }

    /// Whether the taps of one row of a filter lie side by side in the input as they do in the filter, so that one
    /// dot product covers them all.
    #[inline]
    pub fn rows_are_contiguous(&self) -> bool {
        self.window.width.dilation == 1 && self.groups == 1
    }

    /// Multiply-accumulates for one sample, padding included.
    pub fn macs(&self) -> u64 {
        self.window.out_pixels() as u64 * self.weights() as u64
    }

    /// Whether the shape is consistent: see [`crate::plan::StepRecord::shape_is_valid`].
    pub fn is_valid(&self) -> bool {
        let divides = |channels: u32| channels.checked_rem(self.groups) == Some(0);
        let Window2d { height, width } = self.window;
        divides(self.in_c)
            && divides(self.out_c)
            && self.window.is_valid(self.in_c, self.out_c)
            && elements([self.out_c, height.kernel, width.kernel, self.in_c]).is_some()
    }
}
