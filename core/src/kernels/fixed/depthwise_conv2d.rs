//! Depthwise convolution with one filter for each channel, shapes as in [`crate::kernels::depthwise_conv2d`]; `sums` has
//! room for a row of what is made.

use super::block::{MIN_EXPONENT, exponent, open, stride};
use super::dense::train;
use super::images::{multiply_add, readers, row_by_row};
use super::number::Limits;
use super::sums::{Gradient, Sums};
use super::trained::{Parameter, Trained};
use super::update::{Sink, TILE, Tile};
use crate::arch::Isa;
use crate::kernels::depthwise_conv2d::DepthwiseConv2d;
use crate::kernels::util::{from, rows, rows_mut, sub_mut};
use crate::memory::Slices;
use crate::plan::{Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `y = clamp(conv(x, w) + b)`; an empty `b` counts as zeros.
#[cfg_attr(target_os = "none", inline(never))]
pub fn forward(shape: &DepthwiseConv2d, [x, w, b]: [&[i16]; 3], limits: Limits, sums: &mut [i32], y: &mut [i16]) {
    let channels = shape.in_c as usize;
    let (w_exponent, w) = open(w, shape.weights());
    let bias = open(b, channels);
    row_by_row((x, shape.in_elements()), (y, shape.out_elements()), sums, |(exponent, x), out_y, sums| {
        let unit = Sums::new(shape.window.taps(), [exponent, w_exponent], bias.0);
        for sums in rows_mut(sums, channels) {
            unit.start(bias, sums);
        }
        pairs(shape, out_y, |[out_x, tap], [in_y, in_x]| {
            let x = from(x, (in_y * shape.window.width.input as usize + in_x) * channels);
            multiply_add(unit.right, x, from(w, tap * channels), sub_mut(sums, out_x * channels, channels));
        });
        limits.apply(unit.exponent, sums);
        unit.exponent
    });
}

/// `dx`: for every element the sum of `dy * w` over the taps by which outputs see it.
#[cfg_attr(target_os = "none", inline(never))]
pub fn backward_input(shape: &DepthwiseConv2d, dy: &[i16], w: &[i16], sums: &mut [i32], dx: &mut [i16]) {
    let channels = shape.in_c as usize;
    let (w_exponent, w) = open(w, shape.weights());
    row_by_row((dy, shape.out_elements()), (dx, shape.in_elements()), sums, |(exponent, dy), row, sums| {
        let unit = Sums::new(shape.window.taps(), [exponent, w_exponent], MIN_EXPONENT);
        sums.fill(0);
        for out_y in readers(&shape.window.height, row) {
            pairs(shape, out_y, |[out_x, tap], [in_y, in_x]| {
                if in_y == row {
                    let dy = from(dy, (out_y * shape.window.width.output as usize + out_x) * channels);
                    multiply_add(unit.right, dy, from(w, tap * channels), sub_mut(sums, in_x * channels, channels));
                }
            });
        }
        unit.exponent
    });
}

/// `dw`, handed to `update` some channels of a tap at a time.
#[cfg_attr(target_os = "none", inline(never))]
pub fn backward_weights<I: Isa>(
    isa: I,
    shape: &DepthwiseConv2d,
    gradient: Gradient,
    x: &[i16],
    dy: &[i16],
    tile: &mut Tile,
    update: &mut Sink<'_>,
) {
    let (channels, [inputs, outputs]) = (shape.in_c as usize, gradient.len);
    let (vertical, horizontal) = (shape.window.height, shape.window.width);
    for k_y in 0..vertical.kernel as usize {
        for k_x in 0..horizontal.kernel as usize {
            let mut channel = 0;
            while channel < channels {
                let sums = sub_mut(tile, 0, TILE.min(channels - channel));
                sums.fill(0);
                for (x, dy) in rows(x, stride(inputs)).zip(rows(dy, stride(outputs))) {
                    let right = gradient.right([exponent(x), exponent(dy)]);
                    let (x, dy) = (from(open(x, inputs).1, channel), from(open(dy, outputs).1, channel));
                    for out_y in vertical.outputs(k_y) {
                        let x_row = vertical.input_at(out_y, k_y) * horizontal.input as usize;
                        for out_x in horizontal.outputs(k_x) {
                            let x = from(x, (x_row + horizontal.input_at(out_x, k_x)) * channels);
                            let dy = from(dy, (out_y * horizontal.output as usize + out_x) * channels);
                            multiply_add(right, x, dy, sums);
                        }
                    }
                }
                update.tile(isa, (k_y * horizontal.kernel as usize + k_x) * channels + channel, sums);
                channel += TILE;
            }
        }
    }
}

/// Every `[out_x, tap]` of a row of outputs, and the `[in_y, in_x]` that they meet.
#[inline(always)]
fn pairs(shape: &DepthwiseConv2d, out_y: usize, mut visit: impl FnMut([usize; 2], [usize; 2])) {
    let (vertical, horizontal) = (shape.window.height, shape.window.width);
    let down = vertical.taps(out_y);
    for out_x in 0..horizontal.output as usize {
        let across = horizontal.taps(out_x);
        for row in 0..down.count {
            let tap = (down.first + row) * horizontal.kernel as usize + across.first;
            let in_y = down.input + row * vertical.dilation as usize;
            for column in 0..across.count {
                visit([out_x, tap + column], [in_y, across.input + column * horizontal.dilation as usize]);
            }
        }
    }
}

/// Forward step, with the activation's limits fused.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Forward {
    /// Shape.
    pub shape: DepthwiseConv2d,
    /// Input.
    pub x: Ref,
    /// Weights.
    pub w: Ref,
    /// Bias, or none.
    pub b: Ref,
    /// Output.
    pub y: Ref,
    /// For the sums of a row of outputs.
    pub sums: Ref,
    /// Least output.
    pub lo: f32,
    /// Greatest output.
    pub hi: f32,
}

impl StepRecord for Forward {
    operands! {
        x: read block [samples, shape => DepthwiseConv2d::INPUT],
        w: read block [shape => DepthwiseConv2d::WEIGHTS],
        b: read block [shape.out_c],
        sums: scratch i32 [shape.window.width.output, shape.out_c],
        y: write block [samples, shape => DepthwiseConv2d::OUTPUT],
    }

    fn shape_is_valid(&self) -> bool {
        is_valid(&self.shape)
    }

    fn run<I: Isa>(&self, _: I, at: &mut Slices<'_>, _: &mut Context) {
        let operands = [at.read(), at.read(), at.read()];
        let (sums, y) = (at.write(), at.write());
        forward(&self.shape, operands, Limits { lo: self.lo, hi: self.hi }, sums, y);
    }
}

fn is_valid(shape: &DepthwiseConv2d) -> bool {
    shape.is_valid() && shape.multiplier == 1
}

/// Backward step for the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BackwardInput {
    /// Shape.
    pub shape: DepthwiseConv2d,
    /// Gradient of the output.
    pub dy: Ref,
    /// Weights.
    pub w: Ref,
    /// Gradient of the input.
    pub dx: Ref,
    /// For the sums of a row of inputs.
    pub sums: Ref,
}

impl StepRecord for BackwardInput {
    operands! {
        dy: read block [samples, shape => DepthwiseConv2d::OUTPUT],
        w: read block [shape => DepthwiseConv2d::WEIGHTS],
        sums: scratch i32 [shape.window.width.input, shape.in_c],
        dx: write block [samples, shape => DepthwiseConv2d::INPUT],
    }

    fn shape_is_valid(&self) -> bool {
        is_valid(&self.shape)
    }

    fn run<I: Isa>(&self, _: I, at: &mut Slices<'_>, _: &mut Context) {
        let (dy, w) = (at.read(), at.read());
        let (sums, dx) = (at.write(), at.write());
        backward_input(&self.shape, dy, w, sums, dx);
    }
}

/// Backward step for the parameters: computes gradients and updates in one go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BackwardWeights {
    /// Shape.
    pub shape: DepthwiseConv2d,
    /// Input of the forward step; none if the bias learns alone.
    pub x: Ref,
    /// Gradient of the output.
    pub dy: Ref,
    /// Parameters and their state.
    pub trained: Trained,
}

impl StepRecord for BackwardWeights {
    operands! {
        x: read block [samples, shape => DepthwiseConv2d::INPUT],
        dy: read block [samples, shape => DepthwiseConv2d::OUTPUT],
        trained.w: update block [shape => DepthwiseConv2d::WEIGHTS],
        trained.w_first: update block [shape => DepthwiseConv2d::WEIGHTS],
        trained.w_second: update block [shape => DepthwiseConv2d::WEIGHTS],
        trained.w_sum: update i32 [shape => DepthwiseConv2d::WEIGHTS],
        trained.b: update block [shape.out_c],
        trained.b_first: update block [shape.out_c],
        trained.b_second: update block [shape.out_c],
        trained.b_sum: update i32 [shape.out_c],
    }

    fn shape_is_valid(&self) -> bool {
        is_valid(&self.shape) && self.trained.is_valid()
    }

    fn optimizer_slots(&self) -> Option<u32> {
        Some(self.trained.slots)
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, context: &mut Context) {
        let shape = &self.shape;
        let (x, dy) = (at.read(), at.read());
        let outputs = shape.out_c as usize;
        let parameters = [shape.weights(), outputs].map(|len| Parameter::take(len, at));
        let lengths = [shape.in_elements(), outputs, shape.window.out_pixels()];
        train(isa, context, lengths, [x, dy], parameters, |gradient, tile, update| {
            backward_weights(isa, shape, gradient, x, dy, tile, update);
        });
    }
}

#[cfg(test)]
mod tests;
