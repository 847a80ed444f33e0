//! Layers of windows in the fewest bytes of program: for device programs that are built for size ([`crate::plan::COMPACT`]).
//!
//! Convolutions, depthwise and transposed ones, and pools, of all numbers, are one walk over outputs and taps
//! ([`Walk::over`]); what a tap does to a sum is a layer's own ([`Layer`]). Bits are those of the other kernels: an output
//! starts from its bias and adds its products in the same order. Nothing is blocked, gathered or split at borders, and each
//! tap costs a call.

mod float;
mod integer;
mod pool;
#[cfg(test)]
mod tests;

pub use float::Floats;
pub use integer::{Integers, Weights};
pub use pool::{FloatPool, IntegerPool};

use super::conv2d::Conv2d;
use super::dense::Dense;
use super::depthwise_conv2d::DepthwiseConv2d;
use super::pool::Pool2d;
use super::window::{Axis, Window2d};

/// What is done for each output of a layer, one output after the other.
pub trait Layer {
    /// The sum of channel `output` begins.
    fn start(&mut self, output: usize);
    /// A tap, in order: where its inputs begin, or nothing beside the input, and where its weights begin.
    fn tap(&mut self, x: Option<usize>, w: usize);
    /// The sum is whole; its output is the next one.
    fn end(&mut self, output: usize);
}

/// How outputs meet inputs and weights.
#[derive(Clone, Copy, Debug)]
pub struct Walk {
    window: Window2d,
    /// Whether the window is that of the convolution that goes the other way.
    turned: bool,
    in_c: usize,
    out_c: usize,
    /// Input channels that a tap sums up.
    depth: usize,
    /// Neighbouring outputs that read the same input channels.
    filters: usize,
    /// From the first weight of a group of such outputs to that of the next.
    group_step: usize,
    /// From one output's first weight to the next one's.
    filter_step: usize,
    /// From one tap's weights to the next one's.
    tap_step: usize,
}

impl Walk {
    /// Of a convolution.
    pub fn conv2d(shape: &Conv2d) -> Self {
        let (depth, filters, patch) = (shape.group_in(), shape.group_out(), shape.patch());
        Self {
            window: shape.window,
            turned: false,
            in_c: shape.in_c as usize,
            out_c: shape.out_c as usize,
            depth,
            filters,
            group_step: filters * patch,
            filter_step: patch,
            tap_step: depth,
        }
    }

    /// Of a dense layer, whose samples are the pixels of one.
    pub fn dense(shape: &Dense, samples: usize) -> Self {
        let window = Window2d::pointwise(samples as u32);
        Self::conv2d(&Conv2d { window, in_c: shape.inputs, out_c: shape.outputs, groups: 1 })
    }

    /// Of a depthwise convolution.
    pub fn depthwise_conv2d(shape: &DepthwiseConv2d) -> Self {
        let (out_c, filters) = (shape.out_c as usize, shape.multiplier as usize);
        Self {
            window: shape.window,
            turned: false,
            in_c: shape.in_c as usize,
            out_c,
            depth: 1,
            filters,
            group_step: filters,
            filter_step: 1,
            tap_step: out_c,
        }
    }

    /// Of a transposed convolution whose weights lie output by output. `conv` is the convolution that goes the other way.
    pub fn transpose_conv2d(conv: &Conv2d) -> Self {
        let (depth, filters) = (conv.group_out(), conv.group_in());
        let patch = conv.window.taps() * depth;
        Self {
            window: conv.window,
            turned: true,
            in_c: conv.out_c as usize,
            out_c: conv.in_c as usize,
            depth,
            filters,
            group_step: filters * patch,
            filter_step: patch,
            tap_step: depth,
        }
    }

    /// The same where weights are those of `conv`: a tap's lie a filter of that apart ([`Conv2d::patch`]).
    pub fn transpose_conv2d_f32(conv: &Conv2d) -> Self {
        let walk = Self::transpose_conv2d(conv);
        Self { group_step: walk.depth * conv.patch(), filter_step: 1, tap_step: walk.filters, ..walk }
    }

    /// Of a pool, which has no weights.
    pub fn pool(shape: &Pool2d) -> Self {
        let channels = shape.channels as usize;
        Self {
            window: shape.window,
            turned: false,
            in_c: channels,
            out_c: channels,
            depth: 1,
            filters: 1,
            group_step: 0,
            filter_step: 0,
            tap_step: 0,
        }
    }

    /// Input channels that a tap sums up.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Visits `elements` outputs, those of whole samples, in order, and for each its taps.
    #[inline(never)]
    pub fn over(&self, elements: usize, layer: &mut dyn Layer) {
        let Window2d { height, width } = self.window;
        let outputs = |axis: Axis| if self.turned { axis.input } else { axis.output } as usize;
        let in_w = if self.turned { width.output } else { width.input } as usize;
        let in_h = if self.turned { height.output } else { height.input } as usize;
        let (rows, columns) = (outputs(height), outputs(width));
        let samples = elements.checked_div(rows * columns * self.out_c).unwrap_or(0);
        for at in 0..samples * rows * columns {
            let all_rows = at.checked_div(columns).unwrap_or(0);
            let sample = all_rows.checked_div(rows).unwrap_or(0);
            let (row, column) = (all_rows - sample * rows, at - all_rows * columns);
            for output in 0..self.out_c {
                let group = output.checked_div(self.filters).unwrap_or(0);
                let filter = group * self.group_step + (output - group * self.filters) * self.filter_step;
                layer.start(output);
                for step_y in 0..height.kernel as usize {
                    let tap_y = self.tap(height, step_y);
                    let in_y = self.place(height, row, tap_y);
                    for step_x in 0..width.kernel as usize {
                        let tap_x = self.tap(width, step_x);
                        let x = in_y.and_then(|in_y| {
                            let in_x = self.place(width, column, tap_x)?;
                            Some(((sample * in_h + in_y) * in_w + in_x) * self.in_c + group * self.depth)
                        });
                        layer.tap(x, filter + (tap_y * width.kernel as usize + tap_x) * self.tap_step);
                    }
                }
                layer.end(output);
            }
        }
    }

    /// Which tap comes next: going the other way, the last one meets the first input.
    #[inline]
    fn tap(&self, axis: Axis, step: usize) -> usize {
        if self.turned { (axis.kernel as usize).saturating_sub(step + 1) } else { step }
    }

    /// The position of the input that output `position` sees by tap `k`, if it is inside.
    #[inline]
    fn place(&self, axis: Axis, position: usize, k: usize) -> Option<usize> {
        let (stride, pad, offset) = (axis.stride as usize, axis.pad as usize, k * axis.dilation as usize);
        if self.turned {
            let reach = (position + pad).checked_sub(offset)?;
            let place = reach.checked_div(stride)?;
            return (place * stride == reach && place < axis.output as usize).then_some(place);
        }
        let place = (position * stride + offset).checked_sub(pad)?;
        (place < axis.input as usize).then_some(place)
    }
}
