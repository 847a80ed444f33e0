//! Mean over neighbouring axes. Unlike an average pool, an int8 mean may change the scale.
//!
//! Shapes: `x [samples][outer][count][inner]` to `y [samples][outer][inner]`.

mod int8;

pub use int8::{ForwardI8, ScalingI8, forward_i8};

use super::util::elements;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Shape of a mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Mean {
    /// Product of the axes before those that vanish.
    pub outer: u32,
    /// Product of the axes that vanish.
    pub count: u32,
    /// Product of the axes behind them.
    pub inner: u32,
}

impl Mean {
    /// Elements of one input sample.
    pub fn in_elements(&self) -> usize {
        self.outer as usize * self.count as usize * self.inner as usize
    }

    /// Elements of one output sample.
    pub fn out_elements(&self) -> usize {
        self.outer as usize * self.inner as usize
    }

    /// Whether the shape is consistent.
    pub fn is_valid(&self) -> bool {
        elements([self.outer, self.count, self.inner]).is_some()
    }
}
