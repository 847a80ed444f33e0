//! The sliding window that convolutions and pools share.

use super::super::error::OpError;
use super::at_least_one;
use serde::{Deserialize, Serialize};

/// What surrounds the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Padding {
    /// None.
    #[default]
    Valid,
    /// As much that the output has `ceil(input / stride)` rows; an odd total puts one more at the end.
    Same,
    /// As given, in rows and columns.
    #[allow(missing_docs)]
    Explicit { top: usize, bottom: usize, left: usize, right: usize },
}

/// The window along one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Number of positions, which is the output's size.
    pub output: usize,
    /// Padding before the first input element.
    pub before: usize,
    /// Padding after the last input element.
    pub after: usize,
}

/// Kernel, stride and dilation as `[height, width]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Taps.
    pub kernel: [usize; 2],
    /// Distance between windows.
    pub strides: [usize; 2],
    /// Distance between taps.
    pub dilation: [usize; 2],
    /// What surrounds the image.
    pub padding: Padding,
}

impl Window {
    /// Checks what does not depend on the input.
    pub(crate) fn check(&self) -> Result<(), OpError> {
        for axis in 0..2 {
            at_least_one("kernel", self.kernel[axis])?;
            at_least_one("strides", self.strides[axis])?;
            at_least_one("dilation", self.dilation[axis])?;
        }
        Ok(())
    }

    /// From the first tap to the last one, `[height, width]`.
    pub fn reach(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.kernel[axis].saturating_sub(1).saturating_mul(self.dilation[axis]))
    }

    /// Whether taps lie no further apart than an image of `[height, width]` is long, as a pool wants it.
    pub(crate) fn reaches(&self, image: [usize; 2]) -> bool {
        (0..2).all(|axis| self.dilation[axis] <= image[axis].max(1))
    }

    /// Positions and padding for an input of `[height, width]`.
    pub fn spans(&self, input: [usize; 2]) -> Result<[Span; 2], OpError> {
        Ok([self.span(0, input[0])?, self.span(1, input[1])?])
    }

    fn span(&self, axis: usize, input: usize) -> Result<Span, OpError> {
        let (kernel, stride, dilation) = (self.kernel[axis], self.strides[axis], self.dilation[axis]);
        // Rows that one window covers, gaps included.
        let covered = kernel
            .checked_sub(1)
            .and_then(|k| k.checked_mul(dilation))
            .and_then(|k| k.checked_add(1))
            .ok_or(OpError::Overflow)?;
        let (before, after) = match self.padding {
            Padding::Valid => (0, 0),
            Padding::Same => {
                let steps = input.div_ceil(stride).checked_sub(1).ok_or(OpError::Overflow)?;
                let reach = steps.checked_mul(stride).and_then(|s| s.checked_add(covered)).ok_or(OpError::Overflow)?;
                let total = reach.saturating_sub(input);
                (total / 2, total - total / 2)
            }
            Padding::Explicit { top, bottom, left, right } => [(top, bottom), (left, right)][axis],
        };
        let padded = before.checked_add(after).and_then(|p| p.checked_add(input)).ok_or(OpError::Overflow)?;
        let Some(room) = padded.checked_sub(covered) else {
            let axis = ["height", "width"][axis];
            return Err(OpError::WindowTooLarge { axis, kernel: covered, input: padded });
        };
        Ok(Span { output: room / stride + 1, before, after })
    }
}
