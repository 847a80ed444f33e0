//! What max and average pools share: the shape. A global pool is a window as large as the input.

use super::util::elements;
use super::window::Axis;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Shape of a pool: `x [samples][in_h][in_w][channels]` to `y [samples][out_h][out_w][channels]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Pool2d {
    /// Rows of the input.
    pub in_h: u32,
    /// Columns of the input.
    pub in_w: u32,
    /// Channels.
    pub channels: u32,
    /// Rows of the output.
    pub out_h: u32,
    /// Columns of the output.
    pub out_w: u32,
    /// Rows of a window.
    pub window_h: u32,
    /// Columns of a window.
    pub window_w: u32,
    /// Rows between windows.
    pub stride_h: u32,
    /// Columns between windows.
    pub stride_w: u32,
    /// Padding above the input, less than the window; what lies below follows from `out_h`.
    pub pad_top: u32,
    /// Padding left of the input, less than the window; what lies right follows from `out_w`.
    pub pad_left: u32,
}

impl Pool2d {
    /// Rows.
    #[inline]
    pub fn vertical(&self) -> Axis {
        Axis {
            input: self.in_h,
            output: self.out_h,
            kernel: self.window_h,
            stride: self.stride_h,
            dilation: 1,
            pad: self.pad_top,
        }
    }

    /// Columns.
    #[inline]
    pub fn horizontal(&self) -> Axis {
        Axis {
            input: self.in_w,
            output: self.out_w,
            kernel: self.window_w,
            stride: self.stride_w,
            dilation: 1,
            pad: self.pad_left,
        }
    }

    /// Elements of one input sample.
    #[inline]
    pub fn in_elements(&self) -> usize {
        self.in_h as usize * self.in_w as usize * self.channels as usize
    }

    /// Elements of one output sample.
    #[inline]
    pub fn out_elements(&self) -> usize {
        self.out_h as usize * self.out_w as usize * self.channels as usize
    }

    /// Whether the shape is consistent, which includes that every window holds at least one element of the input.
    pub fn is_valid(&self) -> bool {
        self.vertical().is_valid()
            && self.horizontal().is_valid()
            && self.pad_top < self.window_h
            && self.pad_left < self.window_w
            && elements([self.in_h, self.in_w, self.channels]).is_some()
            && elements([self.out_h, self.out_w, self.channels]).is_some()
    }
}
