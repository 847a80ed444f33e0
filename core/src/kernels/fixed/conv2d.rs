//! Convolution, shapes as in [`crate::kernels::conv2d`]; `sums` has room for a row of what is made.

use super::block::{MIN_EXPONENT, exponent, open, stride};
use super::dense::train;
use super::images::{readers, row_by_row};
use super::number::Limits;
use super::sums::{Gradient, Sums};
use super::trained::{Parameter, Trained};
use super::update::{Sink, Tile, tiles};
use crate::arch::Isa;
use crate::kernels::conv2d::{Conv2d, pieces};
use crate::kernels::util::{from, from_mut, rows, rows_mut, sub, sub_mut};
use crate::memory::Slices;
use crate::plan::{Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `y = clamp(conv(x, w) + b)`; an empty `b` counts as zeros.
#[cfg_attr(target_os = "none", inline(never))]
pub fn forward<I: Isa>(
    isa: I,
    shape: &Conv2d,
    [x, w, b]: [&[i16]; 3],
    limits: Limits,
    sums: &mut [i32],
    y: &mut [i16],
) {
    let Walk { out_c, out_w, depth, filters, patch, step, .. } = Walk::new(shape);
    let (w_exponent, w) = open(w, shape.weights());
    let bias = open(b, out_c);
    row_by_row((x, shape.in_elements()), (y, shape.out_elements()), sums, |(exponent, x), out_y, sums| {
        let unit = Sums::new(patch, [exponent, w_exponent], bias.0);
        for sums in rows_mut(sums, out_c) {
            unit.start(bias, sums);
        }
        pieces(shape, out_y, |piece| {
            let mut x = from(x, piece.x);
            let first = piece.pixel - out_y * out_w;
            for sums in rows_mut(sub_mut(sums, first * out_c, piece.pixels * out_c), out_c) {
                let mut at = piece.column;
                for (group, sums) in rows_mut(sums, filters).enumerate() {
                    let x = sub(x, group * depth, piece.len);
                    for sum in sums {
                        *sum = isa.dot_fixed(*sum, unit.right, x, from(w, at));
                        at += patch;
                    }
                }
                x = from(x, step);
            }
        });
        limits.apply(unit.exponent, sums);
        unit.exponent
    });
}

/// `dx`: for every element the sum of `dy * w` over the taps by which outputs see it.
#[cfg_attr(target_os = "none", inline(never))]
pub fn backward_input<I: Isa>(isa: I, shape: &Conv2d, dy: &[i16], w: &[i16], sums: &mut [i32], dx: &mut [i16]) {
    let Walk { out_c, depth, filters, patch, step, row, .. } = Walk::new(shape);
    let (w_exponent, w) = open(w, shape.weights());
    row_by_row((dy, shape.out_elements()), (dx, shape.in_elements()), sums, |(exponent, dy), in_y, sums| {
        let unit = Sums::new(shape.window.taps() * filters, [exponent, w_exponent], MIN_EXPONENT);
        sums.fill(0);
        for out_y in readers(&shape.window.height, in_y) {
            pieces(shape, out_y, |piece| {
                // Of its rows of taps the one that meets this row.
                let Some(mut x) = piece.x.checked_sub(in_y * row).filter(|x| *x < row) else { return };
                for dy in rows(sub(dy, piece.pixel * out_c, piece.pixels * out_c), out_c) {
                    let mut at = piece.column;
                    for (group, dy) in rows(dy, filters).enumerate() {
                        let sums = sub_mut(sums, x + group * depth, piece.len);
                        for dy in dy {
                            if *dy != 0 {
                                isa.axpy_fixed(*dy, unit.right, from(w, at), sums);
                            }
                            at += patch;
                        }
                    }
                    x += step;
                }
            });
        }
        unit.exponent
    });
}

/// `dw`, handed to `update` a tile at a time.
#[cfg_attr(target_os = "none", inline(never))]
pub fn backward_weights<I: Isa>(
    isa: I,
    shape: &Conv2d,
    gradient: Gradient,
    x: &[i16],
    dy: &[i16],
    tile: &mut Tile,
    update: &mut Sink<'_>,
) {
    let Walk { out_c, depth, filters, patch, step, .. } = Walk::new(shape);
    let [inputs, outputs] = gradient.len;
    for group in 0..shape.groups as usize {
        tiles([filters, patch], |(row, count), (column, width)| {
            let row = group * filters + row;
            let sums = sub_mut(tile, 0, count * width);
            sums.fill(0);
            for (x, dy) in rows(x, stride(inputs)).zip(rows(dy, stride(outputs))) {
                let right = gradient.right([exponent(x), exponent(dy)]);
                let (x, dy) = (open(x, inputs).1, open(dy, outputs).1);
                for out_y in 0..shape.window.height.output as usize {
                    pieces(shape, out_y, |piece| {
                        let start = piece.column.max(column);
                        let end = (piece.column + piece.len).min(column + width);
                        if start >= end {
                            return;
                        }
                        let mut x = from(x, piece.x + group * depth + (start - piece.column));
                        for dy in rows(sub(dy, piece.pixel * out_c, piece.pixels * out_c), out_c) {
                            let seen = sub(x, 0, end - start);
                            for (sums, dy) in rows_mut(sums, width).zip(from(dy, row)) {
                                if *dy != 0 {
                                    isa.axpy_fixed(*dy, right, seen, from_mut(sums, start - column));
                                }
                            }
                            x = from(x, step);
                        }
                    });
                }
            }
            update.tile(isa, row * patch + column, sums);
        });
    }
}

/// The shape as loops need it.
struct Walk {
    out_c: usize,
    out_w: usize,
    /// Channels that a filter reads.
    depth: usize,
    /// Filters of a group.
    filters: usize,
    patch: usize,
    /// From a window to the next one of its row, in elements.
    step: usize,
    /// Elements of a row of the input.
    row: usize,
}

impl Walk {
    fn new(shape: &Conv2d) -> Self {
        let (width, in_c) = (shape.window.width, shape.in_c as usize);
        Self {
            out_c: shape.out_c as usize,
            out_w: width.output as usize,
            depth: shape.group_in(),
            filters: shape.group_out(),
            patch: shape.patch(),
            step: width.stride as usize * in_c,
            row: width.input as usize * in_c,
        }
    }
}

/// Forward step, with the activation's limits fused.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Forward {
    /// Shape.
    pub shape: Conv2d,
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
        x: read block [samples, shape => Conv2d::INPUT],
        w: read block [shape => Conv2d::WEIGHTS],
        b: read block [shape.out_c],
        sums: scratch i32 [shape.window.width.output, shape.out_c],
        y: write block [samples, shape => Conv2d::OUTPUT],
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid()
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, _: &mut Context) {
        let operands = [at.read(), at.read(), at.read()];
        let (sums, y) = (at.write(), at.write());
        forward(isa, &self.shape, operands, Limits { lo: self.lo, hi: self.hi }, sums, y);
    }
}

/// Backward step for the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BackwardInput {
    /// Shape.
    pub shape: Conv2d,
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
        dy: read block [samples, shape => Conv2d::OUTPUT],
        w: read block [shape => Conv2d::WEIGHTS],
        sums: scratch i32 [shape.window.width.input, shape.in_c],
        dx: write block [samples, shape => Conv2d::INPUT],
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid()
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
    pub shape: Conv2d,
    /// Input of the forward step; none if the bias learns alone.
    pub x: Ref,
    /// Gradient of the output.
    pub dy: Ref,
    /// Parameters and their state.
    pub trained: Trained,
}

impl StepRecord for BackwardWeights {
    operands! {
        x: read block [samples, shape => Conv2d::INPUT],
        dy: read block [samples, shape => Conv2d::OUTPUT],
        trained.w: update block [shape => Conv2d::WEIGHTS],
        trained.w_first: update block [shape => Conv2d::WEIGHTS],
        trained.w_second: update block [shape => Conv2d::WEIGHTS],
        trained.w_sum: update i32 [shape => Conv2d::WEIGHTS],
        trained.b: update block [shape.out_c],
        trained.b_first: update block [shape.out_c],
        trained.b_second: update block [shape.out_c],
        trained.b_sum: update i32 [shape.out_c],
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid() && self.trained.is_valid()
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
