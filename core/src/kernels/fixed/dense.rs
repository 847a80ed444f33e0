//! Fully connected layer: `y = clamp(x * w^T + b)`, shapes as in [`crate::kernels::dense`].

use super::block::{exponent, open, store, stride};
use super::number::Limits;
use super::sums::{Gradient, ONE, Sums};
use super::trained::{Parameter, Trained};
use super::update::{Sink, TILE, Tile, tiles};
use crate::arch::Isa;
use crate::kernels::dense::Dense;
use crate::kernels::util::{elements, from, rows, rows_mut, sub_mut};
use crate::memory::Slices;
use crate::plan::{Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `y = clamp(x * w^T + b)`; an empty `b` counts as zeros. `sums` has room for the outputs of one sample.
// By itself on a device, as those below: its loops find more registers than within a step.
#[cfg_attr(target_os = "none", inline(never))]
pub fn forward<I: Isa>(
    isa: I,
    shape: &Dense,
    x: &[i16],
    w: &[i16],
    b: &[i16],
    limits: Limits,
    sums: &mut [i32],
    y: &mut [i16],
) {
    let (inputs, outputs) = dims(shape);
    let (w_exponent, w) = open(w, inputs * outputs);
    let bias = open(b, outputs);
    for (x, y) in rows(x, stride(inputs)).zip(rows_mut(y, stride(outputs))) {
        let (x_exponent, x) = open(x, inputs);
        let unit = Sums::new(inputs, [x_exponent, w_exponent], bias.0);
        unit.start(bias, sums);
        for (sum, w) in sums.iter_mut().zip(rows(w, inputs)) {
            *sum = isa.dot_fixed(*sum, unit.right, x, w);
        }
        limits.apply(unit.exponent, sums);
        store(sums, unit.exponent, y);
    }
}

/// `dx = dy * w`. `sums` has room for the inputs of one sample.
#[cfg_attr(target_os = "none", inline(never))]
pub fn backward_input<I: Isa>(isa: I, shape: &Dense, dy: &[i16], w: &[i16], sums: &mut [i32], dx: &mut [i16]) {
    let (inputs, outputs) = dims(shape);
    let (w_exponent, w) = open(w, inputs * outputs);
    for (dy, dx) in rows(dy, stride(outputs)).zip(rows_mut(dx, stride(inputs))) {
        let (dy_exponent, dy) = open(dy, outputs);
        let unit = Sums::new(outputs, [dy_exponent, w_exponent], super::block::MIN_EXPONENT);
        sums.fill(0);
        for (dy, w) in dy.iter().zip(rows(w, inputs)) {
            isa.axpy_fixed(*dy, unit.right, w, sums);
        }
        store(sums, unit.exponent, dx);
    }
}

/// `dw = dy^T * x`, handed to `update` some outputs' weights at a time, or a piece of one's.
#[cfg_attr(target_os = "none", inline(never))]
pub fn backward_weights<I: Isa>(
    isa: I,
    shape: &Dense,
    gradient: Gradient,
    x: &[i16],
    dy: &[i16],
    tile: &mut Tile,
    update: &mut Sink<'_>,
) {
    let (inputs, outputs) = dims(shape);
    tiles([outputs, inputs], |(row, count), (column, width)| {
        let sums = sub_mut(tile, 0, count * width);
        sums.fill(0);
        for (x, dy) in rows(x, stride(inputs)).zip(rows(dy, stride(outputs))) {
            let right = gradient.right([exponent(x), exponent(dy)]);
            let (x, dy) = (from(open(x, inputs).1, column), from(open(dy, outputs).1, row));
            for (sums, dy) in rows_mut(sums, width).zip(dy) {
                isa.axpy_fixed(*dy, right, x, sums);
            }
        }
        update.tile(isa, row * inputs + column, sums);
    });
}

/// Gradient of a bias: for each output the sum of `dy` over all samples and the `pixels` of each. Shared by all layers
/// whose bias is added to the last axis.
#[cfg_attr(target_os = "none", inline(never))]
pub fn bias_backward<I: Isa>(
    isa: I,
    [pixels, outputs]: [usize; 2],
    gradient: Gradient,
    dy: &[i16],
    tile: &mut Tile,
    update: &mut Sink<'_>,
) {
    let mut column = 0;
    while column < outputs {
        let sums = sub_mut(tile, 0, TILE.min(outputs - column));
        sums.fill(0);
        for dy in rows(dy, stride(pixels * outputs)) {
            let right = gradient.right([ONE.1, exponent(dy)]);
            for dy in rows(open(dy, pixels * outputs).1, outputs) {
                isa.axpy_fixed(ONE.0, right, from(dy, column), sums);
            }
        }
        update.tile(isa, column, sums);
        column += TILE;
    }
}

/// Both, for whichever the layer trains. `weights` makes the gradients of the weights.
pub(super) fn train<I: Isa>(
    isa: I,
    context: &Context,
    [inputs, outputs, pixels]: [usize; 3],
    [x, dy]: [&[i16]; 2],
    [w, b]: [Parameter<'_>; 2],
    weights: impl FnOnce(Gradient, &mut Tile, &mut Sink<'_>),
) {
    let mut tile = [0; TILE];
    let own = Gradient::new([inputs, outputs * pixels], x, dy, pixels);
    if let Some(mut update) = w.update(context, own.exponent) {
        weights(own, &mut tile, &mut update);
        update.finish();
    }
    let own = Gradient::new([0, outputs * pixels], &[], dy, pixels);
    if let Some(mut update) = b.update(context, own.exponent) {
        bias_backward(isa, [pixels, outputs], own, dy, &mut tile, &mut update);
        update.finish();
    }
}

fn dims(shape: &Dense) -> (usize, usize) {
    (shape.inputs as usize, shape.outputs as usize)
}

/// Forward step, with the activation's limits fused.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Forward {
    /// Shape.
    pub shape: Dense,
    /// Input.
    pub x: Ref,
    /// Weights.
    pub w: Ref,
    /// Bias, or none.
    pub b: Ref,
    /// Output.
    pub y: Ref,
    /// For the sums of one sample.
    pub sums: Ref,
    /// Least output.
    pub lo: f32,
    /// Greatest output.
    pub hi: f32,
}

impl StepRecord for Forward {
    operands! {
        x: read block [samples, shape.inputs],
        w: read block [shape.outputs, shape.inputs],
        b: read block [shape.outputs],
        sums: scratch i32 [shape.outputs],
        y: write block [samples, shape.outputs],
    }

    fn shape_is_valid(&self) -> bool {
        elements([self.shape.inputs, self.shape.outputs]).is_some()
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, _: &mut Context) {
        let (x, w, b) = (at.read(), at.read(), at.read());
        let (sums, y) = (at.write(), at.write());
        forward(isa, &self.shape, x, w, b, Limits { lo: self.lo, hi: self.hi }, sums, y);
    }
}

/// Backward step for the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BackwardInput {
    /// Shape.
    pub shape: Dense,
    /// Gradient of the output.
    pub dy: Ref,
    /// Weights.
    pub w: Ref,
    /// Gradient of the input.
    pub dx: Ref,
    /// For the sums of one sample.
    pub sums: Ref,
}

impl StepRecord for BackwardInput {
    operands! {
        dy: read block [samples, shape.outputs],
        w: read block [shape.outputs, shape.inputs],
        sums: scratch i32 [shape.inputs],
        dx: write block [samples, shape.inputs],
    }

    fn shape_is_valid(&self) -> bool {
        elements([self.shape.inputs, self.shape.outputs]).is_some()
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, _: &mut Context) {
        let (dy, w) = (at.read(), at.read());
        let (sums, dx) = (at.write(), at.write());
        backward_input(isa, &self.shape, dy, w, sums, dx);
    }
}

/// Backward step for the parameters: computes gradients and updates in one go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BackwardWeights {
    /// Shape.
    pub shape: Dense,
    /// Input of the forward step; none if the bias learns alone.
    pub x: Ref,
    /// Gradient of the output.
    pub dy: Ref,
    /// Parameters and their state.
    pub trained: Trained,
}

impl StepRecord for BackwardWeights {
    operands! {
        x: read block [samples, shape.inputs],
        dy: read block [samples, shape.outputs],
        trained.w: update block [shape.outputs, shape.inputs],
        trained.w_first: update block [shape.outputs, shape.inputs],
        trained.w_second: update block [shape.outputs, shape.inputs],
        trained.w_sum: update i32 [shape.outputs, shape.inputs],
        trained.b: update block [shape.outputs],
        trained.b_first: update block [shape.outputs],
        trained.b_second: update block [shape.outputs],
        trained.b_sum: update i32 [shape.outputs],
    }

    fn shape_is_valid(&self) -> bool {
        elements([self.shape.inputs, self.shape.outputs]).is_some() && self.trained.is_valid()
    }

    fn optimizer_slots(&self) -> Option<u32> {
        Some(self.trained.slots)
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, context: &mut Context) {
        let (x, dy) = (at.read(), at.read());
        let (inputs, outputs) = dims(&self.shape);
        let parameters = [inputs * outputs, outputs].map(|len| Parameter::take(len, at));
        train(isa, context, [inputs, outputs, 1], [x, dy], parameters, |gradient, tile, update| {
            backward_weights(isa, &self.shape, gradient, x, dy, tile, update);
        });
    }
}

#[cfg(test)]
mod tests;
