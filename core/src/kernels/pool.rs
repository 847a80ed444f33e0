//! What max and average pools share: the shape. A global pool is a window as large as the input.

use super::window::Window2d;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Shape of a pool: `x [samples][in_h][in_w][channels]` to `y [samples][out_h][out_w][channels]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Pool2d {
    /// The windows: without dilation, and with less padding before the input than they are long.
    pub window: Window2d,
    /// Channels.
    pub channels: u32,
}

impl Pool2d {
    /// Elements of one input sample.
    #[inline]
    pub fn in_elements(&self) -> usize {
        self.window.in_pixels() * self.channels as usize
    }

    /// Elements of one output sample.
    #[inline]
    pub fn out_elements(&self) -> usize {
        self.window.out_pixels() * self.channels as usize
    }

    /// Whether the shape is consistent, which includes that every window holds at least one element of the input.
    pub fn is_valid(&self) -> bool {
        let Window2d { height, width } = self.window;
        [height, width].iter().all(|axis| axis.dilation == 1 && axis.pad < axis.kernel)
            && self.window.is_valid(self.channels, self.channels)
    }
}
