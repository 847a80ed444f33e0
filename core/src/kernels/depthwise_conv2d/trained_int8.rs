//! Backward steps of an int8 depthwise convolution; see [`crate::kernels::trained_int8`].

use super::DepthwiseConv2d;
use super::gradient::that_see;
use crate::arch::Isa;
use crate::kernels::trained_int8::{Input, TrainedI8, Updated, scale_of, scales_are_valid};
use crate::kernels::util::{clear, rows, rows_mut, sub, sub_mut};
use crate::memory::Slices;
use crate::optim::GradSink;
use crate::plan::{Context, Ref, StepRecord, operands};
use crate::quant::dequantize_i8;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Channels whose weights are unpacked at once.
const BLOCK: usize = 64;

/// Calls `visit` with every output that sees `tap`: where its input channels begin, and where its output channels do.
fn each_output(shape: &DepthwiseConv2d, tap: usize, mut visit: impl FnMut(usize, usize)) {
    let walk = that_see(shape, tap);
    for row in 0..walk.rows {
        for column in 0..walk.columns {
            visit(
                walk.a + row * walk.a_row + column * walk.a_column,
                walk.b + row * walk.b_row + column * walk.b_column,
            );
        }
    }
}

/// Neighbouring output channels `first..first + count` as pieces that read input channels side by side: calls `visit`
/// with the first input channel, the first output channel within the range, and how many. Several filters may share an
/// input channel; then a piece is one output.
fn each_piece(shape: &DepthwiseConv2d, first: usize, count: usize, mut visit: impl FnMut(usize, usize, usize)) {
    if shape.multiplier == 1 {
        return visit(first, 0, count);
    }
    for at in 0..count {
        visit((first + at).checked_div(shape.multiplier as usize).unwrap_or(0), at, 1);
    }
}

/// `dx`: for every element the sum over taps, then over its filters, in order of `dy * (scale * w)`, from zero.
pub fn backward_input_i8(shape: &DepthwiseConv2d, dy: &[f32], w: &[i8], scale: &[f32], dx: &mut [f32]) {
    clear(dx);
    let out_c = shape.out_c as usize;
    for (tap, w) in rows(w, out_c).enumerate() {
        for (block, w) in w.chunks(BLOCK).enumerate() {
            let first = block * BLOCK;
            let mut reals = [0.0; BLOCK];
            for ((real, w), channel) in reals.iter_mut().zip(w).zip(first..) {
                *real = f32::from(*w) * scale_of(scale, channel);
            }
            for (dy, dx) in rows(dy, shape.out_elements()).zip(rows_mut(dx, shape.in_elements())) {
                each_output(shape, tap, |input, output| {
                    each_piece(shape, first, w.len(), |channel, at, count| {
                        let (dy, w) = (sub(dy, output + first + at, count), sub(&reals, at, count));
                        for ((dx, dy), w) in sub_mut(dx, input + channel, count).iter_mut().zip(dy).zip(w) {
                            *dx += dy * w;
                        }
                    });
                });
            }
        }
    }
}

/// `dw`, handed to `sink` in tiles of at most `tile.len()` elements.
///
/// Every element is the sum over samples, `out_y`, `out_x` in order of `dy * (scale * (x - zero_point))`, from zero,
/// however the tiles are cut.
pub fn backward_weights_i8<S: GradSink>(
    shape: &DepthwiseConv2d,
    x: &[i8],
    input: Input,
    dy: &[f32],
    tile: &mut [f32],
    sink: &mut S,
) {
    let (out_c, weights, step) = (shape.out_c as usize, shape.weights(), tile.len().max(1));
    let mut start = 0;
    while start < weights {
        let gradient = sub_mut(tile, 0, step.min(weights - start));
        sink.begin(start, gradient);
        // Tap by tap; the tile's first and last tap may lack channels.
        let tap = start.checked_div(out_c).unwrap_or(0);
        let (mut tap, mut channel, mut rest) = (tap, start - tap * out_c, &mut *gradient);
        while !rest.is_empty() {
            let (of_tap, after) = rest.split_at_mut_checked(rest.len().min(out_c - channel)).unwrap_or_default();
            gradient_of_tap(shape, tap, channel, x, input, dy, of_tap);
            (tap, channel, rest) = (tap + 1, 0, after);
        }
        sink.tile(start, gradient);
        start += step;
    }
}

/// One tap: adds the gradient of the output channels from `first` on.
fn gradient_of_tap(
    shape: &DepthwiseConv2d,
    tap: usize,
    first: usize,
    x: &[i8],
    from: Input,
    dy: &[f32],
    gradient: &mut [f32],
) {
    for (x, dy) in rows(x, shape.in_elements()).zip(rows(dy, shape.out_elements())) {
        each_output(shape, tap, |input, output| {
            each_piece(shape, first, gradient.len(), |channel, at, count| {
                let (x, dy) = (sub(x, input + channel, count), sub(dy, output + first + at, count));
                for ((gradient, x), dy) in sub_mut(gradient, at, count).iter_mut().zip(x).zip(dy) {
                    *gradient += dy * dequantize_i8(*x, from.scale, from.zero_point);
                }
            });
        });
    }
}

/// Backward step for the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BackwardInputI8 {
    /// Shape.
    pub shape: DepthwiseConv2d,
    /// Gradient of the output.
    pub dy: Ref,
    /// Weights.
    pub w: Ref,
    /// Their scales.
    pub scale: Ref,
    /// How many: the layer's outputs, or 1 for all of them.
    pub scales: u32,
    /// Gradient of the input.
    pub dx: Ref,
}

impl StepRecord for BackwardInputI8 {
    operands! {
        dy: read f32 [samples, shape => DepthwiseConv2d::OUTPUT],
        w: read i8 [shape => DepthwiseConv2d::WEIGHTS],
        scale: read f32 [scales],
        dx: write f32 [samples, shape => DepthwiseConv2d::INPUT],
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid() && scales_are_valid(self.scale, self.scales, self.shape.out_c)
    }

    fn run<I: Isa>(&self, _: I, at: &mut Slices<'_>, _: &mut Context) {
        let (dy, w, scale, dx) = (at.read(), at.read(), at.read(), at.write());
        backward_input_i8(&self.shape, dy, w, scale, dx);
    }
}

/// Backward step for the parameters: computes gradients and updates in one go.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BackwardWeightsI8 {
    /// Shape.
    pub shape: DepthwiseConv2d,
    /// Input of the forward step; none if only biases learn.
    pub x: Ref,
    /// Gradient of the output.
    pub dy: Ref,
    /// Parameters and what belongs to them.
    pub trained: TrainedI8,
}

impl StepRecord for BackwardWeightsI8 {
    operands! {
        x: read i8 [samples, shape => DepthwiseConv2d::INPUT],
        dy: read f32 [samples, shape => DepthwiseConv2d::OUTPUT],
        trained.scale: read f32 [trained.scales],
        trained.w: update i8 [shape => DepthwiseConv2d::WEIGHTS],
        trained.b: update i32 [shape.out_c],
        trained.w_state: update state(trained.slots) [shape => DepthwiseConv2d::WEIGHTS],
        trained.b_state: update state(trained.slots) [shape.out_c],
        trained.tile: scratch f32 [trained.tile_elements],
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid() && self.trained.is_valid(self.shape.out_c)
    }

    fn optimizer_slots(&self) -> Option<u32> {
        Some(self.trained.slots)
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, context: &mut Context) {
        let (shape, trained) = (&self.shape, &self.trained);
        let (x, dy, scale) = (at.read(), at.read(), at.read());
        let input = trained.input();
        trained.update(
            isa,
            &context.optimizer,
            scale,
            1,
            Updated::take(at),
            (dy, shape.out_c as usize),
            // Nothing is unpacked here: an input meets one product.
            &mut |tile, _, sink| backward_weights_i8(shape, x, input, dy, tile, sink),
        );
    }
}

#[cfg(test)]
mod tests;
