//! Depthwise convolutions of three by three taps as lines: how Cortex-M's DSP loop walks over them.
//!
//! A channel is done for itself, line after line; along a line each column of three inputs is loaded once and counts
//! for up to three outputs. Lines should run along the longer axis of the output, so that there are few: the host says
//! which way, because it turns the weights accordingly. Where a line's first or last row of taps lies beside the input, the loop begins one row further inside and shifts the weights.

use crate::kernels::depthwise_conv2d::DepthwiseConv2d;
use crate::kernels::window::Axis;

/// In the first word of a layer's stream: lines run down the image.
pub const UPRIGHT: u32 = 1;
/// In that word: factors are the general ones, not those of a layer that is clipped.
pub const GENERAL: u32 = 2;

/// The walk over one channel. Distances are in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lines {
    /// 1 or 2, along both axes.
    pub stride: usize,
    /// The axis along a line.
    pub along: Line,
    /// The axis from line to line.
    pub across: Line,
}

/// One axis of the walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Inputs, at least 3.
    pub inputs: usize,
    /// Outputs.
    pub outputs: usize,
    /// Whether the first window's first tap lies before the input.
    pub before: bool,
    /// Whether the last window's last tap lies behind the input.
    pub behind: bool,
    /// Distance between inputs.
    pub x: usize,
    /// Distance between outputs.
    pub y: usize,
}

impl Line {
    fn of(axis: &Axis, x: usize, y: usize) -> Option<Self> {
        let (inputs, outputs) = (axis.input as usize, axis.output as usize);
        let end = outputs.checked_sub(1)?.checked_mul(axis.stride as usize)?.checked_add(3)?;
        let end = end.checked_sub(axis.pad as usize)?;
        let fits = axis.kernel == 3 && axis.dilation == 1 && axis.pad <= 1 && inputs >= 3 && end <= inputs + 1;
        fits.then_some(Self { inputs, outputs, before: axis.pad == 1, behind: end > inputs, x, y })
    }
}

impl Lines {
    /// The walk over a layer, down the image or along its rows; `None` if it has other taps, strides or borders.
    pub fn of(shape: &DepthwiseConv2d, upright: bool) -> Option<Self> {
        let (height, width, channels) = (&shape.window.height, &shape.window.width, shape.in_c as usize);
        let fits = shape.multiplier == 1 && height.stride == width.stride && matches!(width.stride, 1 | 2);
        if !fits {
            return None;
        }
        let columns = Line::of(width, channels, channels)?;
        let rows = Line::of(height, columns.inputs * channels, columns.outputs * channels)?;
        let (along, across) = if upright { (rows, columns) } else { (columns, rows) };
        // A line with a border on both sides across has no three rows to begin at; a window has one border at most.
        Some(Self { stride: width.stride as usize, along, across })
    }
}
