//! Fully connected layer: `y = clamp(x * w^T + b)`.
//!
//! Shapes: `x [samples][inputs]`, `w [outputs][inputs]`, `b [outputs]`, `y [samples][outputs]`.
//! Backward: `dx = dy * w`, `dw = dy^T * x`, `db = sum of dy over samples`.
//!
//! This file is the pattern for all layers: the shape, the kernels as plain functions over slices, and the step
//! records that bind them to a plan. Tests lie in `dense/tests.rs`.

mod across;
mod int16;

pub use across::{AcrossF32, forward_across_f32};
pub use int16::{ForwardI16, forward_i16};

use super::compact::{Floats, Integers, Walk, Weights};
use super::order::OrderRecord;
use super::requantize::{Requantize, RequantizeRecord, start_from_bias_i8};
use super::trained::{Trained, update_bias, with_tile};
use super::util::{clear, elements, from, limit, relu_backward, rows, rows_mut, start_from_bias, sub_mut};
use crate::arch::layout::{self, Layout};
use crate::arch::{Gemm, Isa};
use crate::memory::Slices;
use crate::optim::{GradSink, Update};
use crate::plan::{COMPACT, Context, PLAIN, Ref, StepRecord, operands};
use core::ops::Range;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Shape of a dense layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Dense {
    /// Features in.
    pub inputs: u32,
    /// Features out.
    pub outputs: u32,
}

impl Dense {
    fn dims(&self) -> (usize, usize) {
        (self.inputs as usize, self.outputs as usize)
    }

    fn is_valid(&self) -> bool {
        elements([self.inputs, self.outputs]).is_some()
    }

    /// Multiply-accumulates for one sample.
    pub fn macs(&self) -> u64 {
        u64::from(self.inputs) * u64::from(self.outputs)
    }
}

// ---------------------------------------------------------------------------------------------------- kernels, f32

/// `y = clamp(x * w^T + b, lo, hi)`; an empty `b` counts as zeros.
pub fn forward_f32<I: Isa>(isa: I, shape: &Dense, x: &[f32], w: &[f32], b: &[f32], lo: f32, hi: f32, y: &mut [f32]) {
    let (inputs, outputs) = shape.dims();
    if COMPACT {
        let walk = Walk::dense(shape, rows(y, outputs).len());
        walk.over(y.len(), &mut Floats::new(&walk, x, w, b, y));
        return limit(isa, lo, hi, y);
    }
    if y.len() == outputs {
        isa.dense_one_f32(x, w, b, y);
    } else {
        let (m, n, k) = (rows(y, outputs).len(), outputs, inputs);
        start_from_bias(b, outputs, y);
        let gemm = Gemm { m, n, k, a_row: inputs, a_col: 1, b_row: 1, b_col: inputs, c_row: outputs };
        isa.gemm_f32(&gemm, x, w, y);
    }
    limit(isa, lo, hi, y);
}

/// `dx = dy * w`.
#[cfg_attr(target_os = "none", inline(never))] // Two steps make it.
#[cfg_attr(not(target_os = "none"), inline)]
pub fn backward_input_f32<I: Isa>(isa: I, shape: &Dense, dy: &[f32], w: &[f32], dx: &mut [f32]) {
    let (inputs, outputs) = shape.dims();
    if dx.len() == inputs {
        return isa.dense_one_backward_f32(dy, w, dx);
    }
    clear(dx);
    let (m, n, k) = (rows(dx, inputs).len(), inputs, outputs);
    let gemm = Gemm { m, n, k, a_row: outputs, a_col: 1, b_row: inputs, b_col: 1, c_row: inputs };
    isa.gemm_f32(&gemm, dy, w, dx);
}

/// `dw = dy^T * x`, handed to `sink` in tiles of at most `tile.len()` elements.
///
/// Every element is the sum over samples in order, however the tiles are cut.
pub fn backward_weights_f32<I: Isa, S: GradSink>(
    isa: I,
    shape: &Dense,
    x: &[f32],
    dy: &[f32],
    tile: &mut [f32],
    sink: &mut S,
) {
    gradient_of(isa, shape, 0..shape.outputs as usize, x, dy, tile, sink);
}

/// The block of weights whose gradient a host makes at a time: it stays in the first-level cache until the update.
const BLOCK_ROWS: usize = 12;
const BLOCK_COLUMNS: usize = 256;

/// The same for some of the outputs, whose first weight is number 0 to the sink.
fn gradient_of<I: Isa, S: GradSink>(
    isa: I,
    shape: &Dense,
    of: Range<usize>,
    x: &[f32],
    dy: &[f32],
    tile: &mut [f32],
    sink: &mut S,
) {
    let (inputs, outputs) = shape.dims();
    let samples = rows(dy, outputs).len();
    let whole_rows = tile.len().checked_div(inputs).unwrap_or(0);
    // Several whole rows of w at once, or pieces of them: of one row, or, where there is room, of several.
    let (row_step, column_step) = match whole_rows {
        0 => (1, tile.len().max(1)),
        _ if I::ID.packs() && inputs > BLOCK_COLUMNS && whole_rows >= BLOCK_ROWS => (BLOCK_ROWS, BLOCK_COLUMNS),
        _ => (whole_rows, inputs),
    };
    let mut row = of.start;
    while row < of.end {
        let m = row_step.min(of.end - row);
        let mut column = 0;
        while column < inputs {
            let n = column_step.min(inputs - column);
            let gradient = sub_mut(tile, 0, m * n);
            if n == inputs {
                sink.begin((row - of.start) * inputs, gradient);
            } else {
                for (row, gradient) in (row - of.start..).zip(rows_mut(gradient, n)) {
                    sink.begin(row * inputs + column, gradient);
                }
            }
            let gemm = Gemm { m, n, k: samples, a_row: 1, a_col: outputs, b_row: inputs, b_col: 1, c_row: n };
            isa.gemm_f32(&gemm, dy.get(row..).unwrap_or(&[]), x.get(column..).unwrap_or(&[]), gradient);
            if n == inputs {
                sink.tile((row - of.start) * inputs, gradient);
            } else {
                for (row, gradient) in (row - of.start..).zip(rows(gradient, n)) {
                    sink.tile(row * inputs + column, gradient);
                }
            }
            column += column_step;
        }
        row += row_step;
    }
}

// --------------------------------------------------------------------------------------------------- kernels, int8

/// Outputs whose sums are held at once.
const BLOCK: usize = 8;

/// `y = requantize(x * w^T + b)`. The host has folded the input's zero point into `b`: `b' = b - zero_point * sum(w)`.
pub fn forward_i8<I: Isa>(isa: I, shape: &Dense, x: &[i8], w: &[i8], b: &[i32], to: &Requantize<'_>, y: &mut [i8]) {
    let (inputs, outputs) = shape.dims();
    if COMPACT {
        let walk = Walk::dense(shape, rows(y, outputs).len());
        return walk.over(y.len(), &mut Integers::of_i8(&walk, x, Weights::I8(w), b, 0, to, y));
    }
    for (x, y) in rows(x, inputs).zip(rows_mut(y, outputs)) {
        for (block, y) in y.chunks_mut(BLOCK).enumerate() {
            let first = block * BLOCK;
            let mut acc = [0; BLOCK];
            let Some(acc) = acc.get_mut(..y.len()) else { return };
            start_from_bias_i8(b, first, acc);
            isa.matvec_i8(x, from(w, first * inputs), inputs, acc);
            isa.requantize_i8(to, first, acc, y);
        }
    }
}

// ---------------------------------------------------------------------------------------------------- step records

/// Forward step, f32, with the activation's limits fused.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ForwardF32 {
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
    /// Least output.
    pub lo: f32,
    /// Greatest output.
    pub hi: f32,
}

impl StepRecord for ForwardF32 {
    operands! {
        x: read f32 [samples, shape.inputs],
        w: read f32 [shape.outputs, shape.inputs],
        b: read f32 [shape.outputs],
        y: write f32 [samples, shape.outputs],
    }

    const SMALL: bool = true;

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid()
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, _: &mut Context) {
        let (x, w, b) = (at.read(), at.read(), at.read());
        let y = at.write();
        forward_f32(isa, &self.shape, x, w, b, self.lo, self.hi, y);
    }
}

/// Backward step for the input, f32.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BackwardInputF32 {
    /// Shape.
    pub shape: Dense,
    /// Gradient of the output.
    pub dy: Ref,
    /// Weights.
    pub w: Ref,
    /// Gradient of the input.
    pub dx: Ref,
}

impl StepRecord for BackwardInputF32 {
    operands! {
        dy: read f32 [samples, shape.outputs],
        w: read f32 [shape.outputs, shape.inputs],
        dx: write f32 [samples, shape.inputs],
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid()
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, _: &mut Context) {
        let (dy, w, dx) = (at.read(), at.read(), at.write());
        backward_input_f32(isa, &self.shape, dy, w, dx);
    }
}

/// Backward step for the parameters, f32: computes gradients and updates in one go. Before the update it may make the
/// gradient of the input, too.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BackwardWeightsF32 {
    /// Shape.
    pub shape: Dense,
    /// Input of the forward step.
    pub x: Ref,
    /// Gradient of the output.
    pub dy: Ref,
    /// Parameters and their state.
    pub trained: Trained,
    /// Gradient of the input, or none; only if weights are trained.
    pub dx: Ref,
    /// Where the input is a relu's output, its greatest value: the gradient is 0 unless the input lies between 0 and that.
    /// Else 0.
    pub relu: f32,
}

impl StepRecord for BackwardWeightsF32 {
    operands! {
        x: read f32 [samples, shape.inputs],
        dy: read f32 [samples, shape.outputs],
        trained.w: update f32 [shape.outputs, shape.inputs],
        trained.b: update f32 [shape.outputs],
        dx: write f32 [samples, shape.inputs],
        trained.w_state: update state(trained.slots) [shape.outputs, shape.inputs],
        trained.b_state: update state(trained.slots) [shape.outputs],
        trained.tile: scratch f32 [trained.tile_elements],
    }

    const SMALL: bool = true;

    fn shape_is_valid(&self) -> bool {
        let reads_weights = self.dx.is_none() || !self.trained.w.is_none();
        self.shape.is_valid() && self.trained.is_valid_without_tile() && reads_weights
    }

    fn optimizer_slots(&self) -> Option<u32> {
        Some(self.trained.slots)
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, context: &mut Context) {
        let (x, dy) = (at.read(), at.read());
        let (w, b, dx) = (at.write(), at.write(), at.write());
        // Gradient descent has none; even to find that out takes a small layer's time.
        let (w_state, b_state) = if self.trained.slots == 0 { Default::default() } else { (at.write(), at.write()) };
        let tile = if self.trained.tile.is_none() { Default::default() } else { at.write() };
        let (optimizer, is_one) = (&context.optimizer, context.samples == 1);
        let (inputs, outputs) = self.shape.dims();
        if !self.dx.is_none() {
            backward_input_f32(isa, &self.shape, dy, w, dx);
            if self.relu > 0.0 {
                relu_backward(self.relu, x, dx);
            }
        }
        if !self.trained.w.is_none() {
            let mut update = Update { isa, optimizer, w, state: w_state };
            if !is_one || !update.outer(dy, x) {
                update.split(outputs, inputs * context.samples / 16, tile, |of, tile, part| {
                    with_tile(tile, |tile| gradient_of(isa.alone(), &self.shape, of, x, dy, tile, part));
                });
            }
        }
        if !self.trained.b.is_none() {
            let mut update = Update { isa, optimizer, w: b, state: b_state };
            if !is_one || !update.outer(&[1.0], dy) {
                update_bias(update, outputs, dy, tile);
            }
        }
    }
}

/// Forward step, int8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ForwardI8 {
    /// Shape.
    pub shape: Dense,
    /// Input.
    pub x: Ref,
    /// Weights, symmetric.
    pub w: Ref,
    /// Bias with the input's zero point folded in, or none.
    pub b: Ref,
    /// Output.
    pub y: Ref,
    /// How sums become outputs.
    pub requantize: RequantizeRecord,
    /// The order of the weights. Unless it is the plain one, they come with biases and multipliers.
    pub order: OrderRecord,
}

impl StepRecord for ForwardI8 {
    operands! {
        x: read i8 [samples, shape.inputs],
        w: read order(order) [shape.outputs, shape.inputs],
        b: read i32 [shape.outputs],
        requantize.multiplier: read i32 [requantize.channels],
        requantize.shift: read i32 [requantize.channels],
        y: write i8 [samples, shape.outputs],
    }

    const SMALL: bool = true;

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid() && self.requantize.is_valid(self.shape.outputs) && self.order.is_valid()
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, _: &mut Context) {
        let shape = &self.shape;
        if let Some(id) = self.order.id() {
            let (x, stream, y) = (at.read(), at.read(), at.write());
            return layout::run(isa, id, Ordered { shape, x, stream, to: self.requantize.limits(), y });
        }
        if !PLAIN {
            return;
        }
        let (x, w, b, to) = (at.read(), at.read(), at.read(), self.requantize.read(at));
        forward_i8(isa, shape, x, w, b, &to, at.write());
    }
}

/// A dense layer whose weights lie in a token's order.
#[derive(Debug)]
pub(crate) struct Ordered<'a> {
    pub(crate) shape: &'a Dense,
    pub(crate) x: &'a [i8],
    pub(crate) stream: &'a [u32],
    pub(crate) to: Requantize<'a>,
    pub(crate) y: &'a mut [i8],
}

impl layout::Task for Ordered<'_> {
    fn run<L: Layout>(self, layout: L) {
        let (inputs, outputs) = self.shape.dims();
        for (x, y) in rows(self.x, inputs).zip(rows_mut(self.y, outputs)) {
            layout.dense(self.shape, self.stream, &self.to, x, y);
        }
    }
}

#[cfg(test)]
mod int8_tests;
#[cfg(test)]
mod tests;
