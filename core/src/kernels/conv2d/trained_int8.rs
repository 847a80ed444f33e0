//! Backward steps of an int8 convolution; see [`crate::kernels::trained_int8`]. A dense layer is one over a single pixel.

use super::Conv2d;
use super::float::{Piece, each_piece};
use crate::arch::{Gemm, Isa};
use crate::kernels::quantize::dequantize;
use crate::kernels::trained_int8::{Input, TrainedI8, Updated, scale_of, scales_are_valid};
use crate::kernels::util::{clear, from, from_mut, rows, rows_mut, sub, sub_mut};
use crate::memory::Slices;
use crate::optim::GradSink;
use crate::optim::quantized::unpack;
use crate::plan::{Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `dx`: for every element the sum over taps, then over filters, in order of `dy * (scale * w)`, from zero.
///
/// Weights are unpacked into `tile`, at least one element; its length changes no bit.
pub fn backward_input_i8<I: Isa>(
    isa: I,
    shape: &Conv2d,
    dy: &[f32],
    w: &[i8],
    scale: &[f32],
    tile: &mut [f32],
    dx: &mut [f32],
) {
    clear(dx);
    let (depth, filters, patch) = (shape.group_in(), shape.group_out(), shape.patch());
    let most = tile.len().max(1);
    let columns = depth.min(most);
    let block = most.checked_div(columns).unwrap_or(1).max(1);
    for group in 0..shape.groups as usize {
        for tap in 0..shape.window.taps() {
            let mut column = 0;
            while column < depth {
                let n = columns.min(depth - column);
                let mut row = 0;
                while row < filters {
                    let m = block.min(filters - row);
                    let first = group * filters + row;
                    let unpacked = sub_mut(tile, 0, m * n);
                    for (filter, to) in (first..).zip(rows_mut(unpacked, n)) {
                        unpack(scale_of(scale, filter), w, filter * patch + tap * depth + column, to);
                    }
                    add_tap(isa, shape, tap, (first, m), (group * depth + column, n), dy, unpacked, dx);
                    row += m;
                }
                column += n;
            }
        }
    }
}

/// Adds what one tap of filters `(first, count)` gives input channels `(first, count)`; `w` is `[filters][channels]`.
fn add_tap<I: Isa>(
    isa: I,
    shape: &Conv2d,
    tap: usize,
    (filter, m): (usize, usize),
    (channel, n): (usize, usize),
    dy: &[f32],
    w: &[f32],
    dx: &mut [f32],
) {
    let (in_c, out_c) = (shape.in_c as usize, shape.out_c as usize);
    let (vertical, horizontal) = (shape.window.height, shape.window.width);
    let product = |pixels, c_row| Gemm { m: pixels, n, k: m, a_row: out_c, a_col: 1, b_row: n, b_col: 1, c_row };
    if shape.window.is_pointwise() {
        let pixels = rows(dy, out_c).len();
        isa.gemm_f32(&product(pixels, in_c), from(dy, filter), w, from_mut(dx, channel));
        return;
    }
    let k_y = tap.checked_div(horizontal.kernel as usize).unwrap_or(0);
    let k_x = tap - k_y * horizontal.kernel as usize;
    let (down, across) = (vertical.outputs(k_y), horizontal.outputs(k_x));
    if across.is_empty() {
        return;
    }
    let in_x = horizontal.input_at(across.start, k_x);
    let product = product(across.len(), horizontal.stride as usize * in_c);
    for (dy, dx) in rows(dy, shape.out_elements()).zip(rows_mut(dx, shape.in_elements())) {
        for out_y in down.clone() {
            let in_y = vertical.input_at(out_y, k_y);
            let dy = from(dy, (out_y * horizontal.output as usize + across.start) * out_c + filter);
            let dx = from_mut(dx, (in_y * horizontal.input as usize + in_x) * in_c + channel);
            isa.gemm_f32(&product, dy, w, dx);
        }
    }
}

/// `dw`, handed to `sink` in tiles of at most `tile.len()` elements.
///
/// Every element is the sum over samples, `out_y`, `out_x` in order of `dy * (scale * (x - zero_point))`, from zero.
/// Inputs are unpacked into `unpacked`, which must not be shorter than `tile`. Neither length changes a bit.
pub fn backward_weights_i8<I: Isa, S: GradSink>(
    isa: I,
    shape: &Conv2d,
    x: &[i8],
    input: Input,
    dy: &[f32],
    tile: &mut [f32],
    unpacked: &mut [f32],
    sink: &mut S,
) {
    let (filters, patch) = (shape.group_out(), shape.patch());
    let whole = tile.len().checked_div(patch).unwrap_or(0);
    // Several whole filters at once, or a piece of one filter.
    let (row_step, column_step) = if whole > 0 { (whole, patch) } else { (1, tile.len().max(1)) };
    for group in 0..shape.groups as usize {
        let mut row = 0;
        while row < filters {
            let m = row_step.min(filters - row);
            let first = group * filters + row;
            let mut column = 0;
            while column < patch {
                let n = column_step.min(patch - column);
                let gradient = sub_mut(tile, 0, m * n);
                sink.begin(first * patch + column, gradient);
                Products { isa, shape, group, filters: (first, m), columns: (column, n), input }
                    .add(x, dy, unpacked, gradient);
                sink.tile(first * patch + column, gradient);
                column += n;
            }
            row += m;
        }
    }
}

/// A tile of the gradient: columns `(first, count)` of filters `(first, count)` of one group.
struct Products<'a, I> {
    isa: I,
    shape: &'a Conv2d,
    group: usize,
    filters: (usize, usize),
    columns: (usize, usize),
    input: Input,
}

impl<I: Isa> Products<'_, I> {
    /// Adds the products of all samples.
    fn add(&self, x: &[i8], dy: &[f32], unpacked: &mut [f32], gradient: &mut [f32]) {
        let shape = self.shape;
        if shape.window.is_pointwise() {
            let pixels = rows(dy, shape.out_c as usize).len();
            let piece = Piece { pixel: 0, pixels, x: 0, column: 0, len: shape.group_in() };
            return self.add_piece(piece, x, dy, unpacked, gradient);
        }
        for (x, dy) in rows(x, shape.in_elements()).zip(rows(dy, shape.out_elements())) {
            for out_y in 0..shape.window.height.output as usize {
                each_piece(shape, out_y, &mut |piece| self.add_piece(piece, x, dy, unpacked, gradient));
            }
        }
    }

    /// Adds those of neighbouring pixels, as many at once as can be unpacked.
    fn add_piece(&self, piece: Piece, x: &[i8], dy: &[f32], unpacked: &mut [f32], gradient: &mut [f32]) {
        let Self { isa, shape, group, filters: (filter, m), columns: (column, width), input } = *self;
        let start = piece.column.max(column);
        let n = (piece.column + piece.len).min(column + width).saturating_sub(start);
        let most = unpacked.len().checked_div(n).unwrap_or(0);
        if most == 0 {
            return;
        }
        let (step, out_c) = (shape.window.width.stride as usize * shape.in_c as usize, shape.out_c as usize);
        let first = piece.x + group * shape.group_in() + (start - piece.column);
        let mut pixel = 0;
        while pixel < piece.pixels {
            let k = most.min(piece.pixels - pixel);
            let block = sub_mut(unpacked, 0, k * n);
            for (number, to) in (pixel..).zip(rows_mut(block, n)) {
                dequantize(input.scale, input.zero_point, sub(x, first + number * step, n), to);
            }
            let product = Gemm { m, n, k, a_row: 1, a_col: out_c, b_row: n, b_col: 1, c_row: width };
            let dy = from(dy, (piece.pixel + pixel) * out_c + filter);
            isa.gemm_f32(&product, dy, block, from_mut(gradient, start - column));
            pixel += k;
        }
    }
}

/// Backward step for the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BackwardInputI8 {
    /// Shape.
    pub shape: Conv2d,
    /// Gradient of the output.
    pub dy: Ref,
    /// Weights.
    pub w: Ref,
    /// Their scales.
    pub scale: Ref,
    /// How many: the layer's outputs, or 1 for all of them.
    pub scales: u32,
    /// Scratch for unpacked weights.
    pub tile: Ref,
    /// Its elements.
    pub tile_elements: u32,
    /// Gradient of the input.
    pub dx: Ref,
}

impl StepRecord for BackwardInputI8 {
    operands! {
        dy: read f32 [samples, shape => Conv2d::OUTPUT],
        w: read i8 [shape => Conv2d::WEIGHTS],
        scale: read f32 [scales],
        tile: scratch f32 [tile_elements],
        dx: write f32 [samples, shape => Conv2d::INPUT],
    }

    fn shape_is_valid(&self) -> bool {
        let tiled = !self.tile.is_none() && self.tile_elements > 0;
        tiled && self.shape.is_valid() && scales_are_valid(self.scale, self.scales, self.shape.out_c)
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, _: &mut Context) {
        let (dy, w, scale) = (at.read(), at.read(), at.read());
        let (tile, dx) = (at.write(), at.write());
        backward_input_i8(isa, &self.shape, dy, w, scale, tile, dx);
    }
}

/// Backward step for the parameters: computes gradients and updates in one go.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BackwardWeightsI8 {
    /// Shape.
    pub shape: Conv2d,
    /// Input of the forward step; none if only biases learn.
    pub x: Ref,
    /// Gradient of the output.
    pub dy: Ref,
    /// Parameters and what belongs to them.
    pub trained: TrainedI8,
}

impl StepRecord for BackwardWeightsI8 {
    operands! {
        x: read i8 [samples, shape => Conv2d::INPUT],
        dy: read f32 [samples, shape => Conv2d::OUTPUT],
        trained.scale: read f32 [trained.scales],
        trained.w: update i8 [shape => Conv2d::WEIGHTS],
        trained.b: update i32 [shape.out_c],
        trained.w_state: update state(trained.slots) [shape => Conv2d::WEIGHTS],
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
            shape.patch(),
            Updated::take(at),
            (dy, shape.out_c as usize),
            &mut |tile, unpacked, sink| backward_weights_i8(isa, shape, x, input, dy, tile, unpacked, sink),
        );
    }
}

#[cfg(test)]
mod tests;
