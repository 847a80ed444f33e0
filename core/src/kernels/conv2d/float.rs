//! The f32 kernels.
//!
//! All of them cut the work into matrix products over neighbouring outputs of one row, so that border arithmetic
//! stays outside the inner loops; where a token prefers it, [`packed`] makes larger products of them.

use super::turned::Turned;
use super::{Conv2d, packed};
use crate::arch::{Gemm, Isa};
use crate::kernels::compact::{Floats, Walk};
use crate::kernels::util::{clear, from, from_mut, limit, rows, rows_mut, start_from_bias, sub, sub_mut};
use crate::kernels::window::Window2d;
use crate::optim::GradSink;
use crate::plan::COMPACT;
use core::ops::Range;

/// Neighbouring outputs of one row that read a stretch of every filter which lies side by side in the input.
#[derive(Clone, Copy, Debug)]
pub(in crate::kernels) struct Piece {
    /// First output, counted over the sample.
    pub pixel: usize,
    /// How many outputs.
    pub pixels: usize,
    /// Where the first output's stretch begins in the input sample, for group 0.
    pub x: usize,
    /// Where it begins in a filter.
    pub column: usize,
    /// Its length.
    pub len: usize,
}

/// All pieces of output row `out_y`; those of one output come in order of the filter's weights.
#[inline(always)]
pub(in crate::kernels) fn pieces(shape: &Conv2d, out_y: usize, mut visit: impl FnMut(Piece)) {
    let (in_c, in_w, depth) = (shape.in_c as usize, shape.window.width.input as usize, shape.group_in());
    let (kernel_w, out_w) = (shape.window.width.kernel as usize, shape.window.width.output as usize);
    let down = shape.window.height.taps(out_y);
    for run in shape.window.width.runs() {
        let across = run.taps;
        let (strides, len) = strides(shape, across.count);
        let mut in_y = down.input;
        for k_y in down.first..down.first + down.count {
            let mut in_x = across.input;
            for k_x in across.first..across.first + strides {
                visit(Piece {
                    pixel: out_y * out_w + run.outputs.start,
                    pixels: run.outputs.len(),
                    x: (in_y * in_w + in_x) * in_c,
                    column: (k_y * kernel_w + k_x) * depth,
                    len,
                });
                in_x += shape.window.width.dilation as usize;
            }
            in_y += shape.window.height.dilation as usize;
        }
    }
}

/// The pieces of a whole sample, with the distances from an output to the next: of what they see in the input, and in
/// pixels. Those of one output come in order of the filter's weights.
///
/// Outputs of a piece lie one below the other where that makes fewer pieces: windows at the left and the right border see
/// other taps than their neighbours in the row, but the same as those above.
#[inline(always)]
fn lines(shape: &Conv2d, mut visit: impl FnMut(Piece, (usize, usize))) {
    let Window2d { height, width } = shape.window;
    let (in_c, in_row) = (shape.in_c as usize, width.input as usize * shape.in_c as usize);
    let (out_w, depth) = (width.output as usize, shape.group_in());
    let (right, below) = ((width.stride as usize * in_c, 1), (height.stride as usize * in_row, out_w));
    for run in width.runs() {
        let (across, outputs) = (run.taps, run.outputs);
        let (strides, len) = strides(shape, across.count);
        let down = outputs.len() < height.output as usize;
        let (step, next) = if down { (below, right) } else { (right, below) };
        for k_y in 0..height.kernel as usize {
            let rows = height.outputs(k_y);
            let (lines, pixels) = if down { (outputs.len(), rows.len()) } else { (rows.len(), outputs.len()) };
            let mut pixel = rows.start * out_w + outputs.start;
            let mut at = height.input_at(rows.start, k_y) * in_row + across.input * in_c;
            for _ in 0..lines {
                let (mut x, mut column) = (at, (k_y * width.kernel as usize + across.first) * depth);
                for _ in 0..strides {
                    visit(Piece { pixel, pixels, x, column, len }, step);
                    (x, column) = (x + width.dilation as usize * in_c, column + depth);
                }
                (at, pixel) = (at + next.0, pixel + next.1);
            }
        }
    }
}

/// How many stretches so many neighbouring taps of a filter are, and how long: a whole row at once, or tap by tap.
#[inline(always)]
fn strides(shape: &Conv2d, taps: usize) -> (usize, usize) {
    let depth = shape.group_in();
    if shape.rows_are_contiguous() { (taps.min(1), taps * depth) } else { (taps, depth) }
}

/// The same for kernels that do much with a piece: one copy for all of them.
#[inline(never)]
pub(super) fn each_piece(shape: &Conv2d, out_y: usize, visit: &mut dyn FnMut(Piece)) {
    pieces(shape, out_y, visit);
}

/// `y = clamp(conv(x, w) + b, lo, hi)`; an empty `b` counts as zeros.
///
/// Every output starts from its bias and adds its taps in order of `kernel_h`, `kernel_w`, `in_c`. `scratch` is for
/// tokens that pack filters (see [`super::scratch_elements`]) and may be empty.
pub fn forward_f32<I: Isa>(
    isa: I,
    shape: &Conv2d,
    x: &[f32],
    w: &[f32],
    b: &[f32],
    lo: f32,
    hi: f32,
    scratch: &mut [f32],
    y: &mut [f32],
) {
    if COMPACT {
        let walk = Walk::conv2d(shape);
        walk.over(y.len(), &mut Floats::new(&walk, x, w, b, y));
        return limit(isa, lo, hi, y);
    }
    let (in_elements, out_elements) = (shape.in_elements(), shape.out_elements());
    let packs = packs::<I>(shape, scratch);
    if packs {
        packed::pack(isa, shape, w, scratch);
    }
    let panels: &[f32] = scratch;
    let samples = rows(y, out_elements).len();
    isa.split(samples, cost(shape), [(y, out_elements)], |of, [y]| {
        let (isa, x) = (isa.alone(), from(x, of.start * in_elements));
        let begin = |y: &mut [f32]| isa.vectorize(|| start_from_bias(b, shape.out_c as usize, y));
        let end = |y: &mut [f32]| limit(isa, lo, hi, y);
        if packs {
            return packed::forward_in_strips(isa, shape, x, panels, y, begin, end);
        }
        if !I::ID.packs() {
            // Nothing is cached: all samples at once.
            begin(y);
            forward_direct(isa, shape, x, w, y);
            return end(y);
        }
        let some = cached(out_elements, of.len());
        // By reference: a pair of chunks would divide to know its length.
        for (x, y) in x.chunks((some * in_elements).max(1)).zip(&mut y.chunks_mut((some * out_elements).max(1))) {
            begin(y);
            forward_direct(isa, shape, x, w, y);
            end(y);
        }
    });
}

/// How many of some samples to finish before the next: on a host as many outputs as stay in the second-level cache
/// while they are cleared, summed and limited.
fn cached(elements: usize, samples: usize) -> usize {
    const FLOATS: usize = 16 * 1024;
    FLOATS.checked_div(elements).unwrap_or(0).clamp(1, samples.max(1))
}

/// What a sample costs; see [`Isa::split`].
pub(super) fn cost(shape: &Conv2d) -> usize {
    shape.window.out_pixels().saturating_mul(shape.weights()) / 16
}

/// Whether this token packs filters, and has room for them.
fn packs<I: Isa>(shape: &Conv2d, scratch: &[f32]) -> bool {
    I::ID.packs() && packed::helps(shape) && scratch.len() >= shape.weights()
}

/// Adds the products to `y`.
pub(super) fn forward_direct<I: Isa>(isa: I, shape: &Conv2d, x: &[f32], w: &[f32], y: &mut [f32]) {
    let (in_c, out_c, patch) = (shape.in_c as usize, shape.out_c as usize, shape.patch());
    let (depth, filters) = (shape.group_in(), shape.group_out());
    let product = |pixels: usize, len: usize, a_row: usize| Gemm {
        m: pixels,
        n: filters,
        k: len,
        a_row,
        a_col: 1,
        b_row: 1,
        b_col: patch,
        c_row: out_c,
    };
    for group in 0..shape.groups as usize {
        let w = from(w, group * filters * patch);
        if shape.window.is_pointwise() {
            // Input and output pixels correspond one to one: a single product.
            let pixels = rows(y, out_c).len();
            let shape = product(pixels, depth, in_c);
            isa.gemm_f32(&shape, from(x, group * depth), w, from_mut(y, group * filters));
            continue;
        }
        for (x, y) in rows(x, shape.in_elements()).zip(rows_mut(y, shape.out_elements())) {
            lines(shape, |piece, (x_step, y_step)| {
                let product = Gemm { c_row: y_step * out_c, ..product(piece.pixels, piece.len, x_step) };
                let x = from(x, piece.x + group * depth);
                let y = from_mut(y, piece.pixel * out_c + group * filters);
                isa.gemm_f32(&product, x, from(w, piece.column), y);
            });
        }
    }
}

/// `dx`: for every element the sum over `out_y`, `out_x`, `out_c` in order of `dy * w`, from zero.
///
/// `scratch` as in [`forward_f32`].
pub fn backward_input_f32<I: Isa>(isa: I, shape: &Conv2d, dy: &[f32], w: &[f32], scratch: &mut [f32], dx: &mut [f32]) {
    input_f32(isa, shape, dy, w, scratch, true, dx);
}

/// [`backward_input_f32`], but sums start from what `dx` holds: the transposed convolution.
pub fn accumulate_input_f32<I: Isa>(
    isa: I,
    shape: &Conv2d,
    dy: &[f32],
    w: &[f32],
    scratch: &mut [f32],
    dx: &mut [f32],
) {
    input_f32(isa, shape, dy, w, scratch, false, dx);
}

/// Both: sums start from zero or from what is there.
fn input_f32<I: Isa>(isa: I, shape: &Conv2d, dy: &[f32], w: &[f32], scratch: &mut [f32], afresh: bool, dx: &mut [f32]) {
    let (in_elements, out_elements) = (shape.in_elements(), shape.out_elements());
    let turned = if packs::<I>(shape, scratch) { Turned::new(shape) } else { None };
    if let Some(turned) = turned {
        turned.pack(isa, w, scratch);
    }
    let panels: &[f32] = scratch;
    let samples = rows(dx, in_elements).len();
    isa.split(samples, cost(shape), [(dx, in_elements)], |of, [dx]| {
        let (isa, dy) = (isa.alone(), sub(dy, of.start * out_elements, of.len() * out_elements));
        let begin = |dx: &mut [f32]| {
            if afresh {
                clear(dx);
            }
        };
        if let Some(turned) = turned {
            return turned.add(isa, dy, panels, dx, begin);
        }
        if !I::ID.packs() {
            begin(dx);
            return backward_input_direct(isa, shape, dy, w, dx);
        }
        let some = cached(in_elements, of.len());
        for (dy, dx) in dy.chunks((some * out_elements).max(1)).zip(&mut dx.chunks_mut((some * in_elements).max(1))) {
            begin(dx);
            backward_input_direct(isa, shape, dy, w, dx);
        }
    });
}

/// Adds the products to `dx`.
pub(super) fn backward_input_direct<I: Isa>(isa: I, shape: &Conv2d, dy: &[f32], w: &[f32], dx: &mut [f32]) {
    let (in_c, out_c, patch) = (shape.in_c as usize, shape.out_c as usize, shape.patch());
    let (in_w, out_w) = (shape.window.width.input as usize, shape.window.width.output as usize);
    let (depth, filters) = (shape.group_in(), shape.group_out());
    let (vertical, horizontal) = (shape.window.height, shape.window.width);
    let product = |pixels: usize, c_row: usize| Gemm {
        m: pixels,
        n: depth,
        k: filters,
        a_row: out_c,
        a_col: 1,
        b_row: patch,
        b_col: 1,
        c_row,
    };
    for group in 0..shape.groups as usize {
        let w = from(w, group * filters * patch);
        if shape.window.is_pointwise() {
            let pixels = rows(dy, out_c).len();
            let shape = product(pixels, in_c);
            isa.gemm_f32(&shape, from(dy, group * filters), w, from_mut(dx, group * depth));
            continue;
        }
        for (dy, dx) in rows(dy, shape.out_elements()).zip(rows_mut(dx, shape.in_elements())) {
            for out_y in 0..shape.window.height.output as usize {
                let down = vertical.taps(out_y);
                for k_y in down.first..down.first + down.count {
                    let in_y = vertical.input_at(out_y, k_y);
                    // One tap at a time, so that no element of dx meets two outputs within a product; the last
                    // tap first, so that it meets its outputs in order.
                    for k_x in (0..shape.window.width.kernel as usize).rev() {
                        let outputs = horizontal.outputs(k_x);
                        if outputs.is_empty() {
                            continue;
                        }
                        let in_x = horizontal.input_at(outputs.start, k_x);
                        let product = product(outputs.len(), shape.window.width.stride as usize * in_c);
                        let dy = from(dy, (out_y * out_w + outputs.start) * out_c + group * filters);
                        let w = from(w, (k_y * shape.window.width.kernel as usize + k_x) * depth);
                        let dx = from_mut(dx, (in_y * in_w + in_x) * in_c + group * depth);
                        isa.gemm_f32(&product, dy, w, dx);
                    }
                }
            }
        }
    }
}

/// `dw`, handed to `sink` in tiles of at most `tile.len()` elements.
///
/// Every element is the sum over samples, `out_y`, `out_x` in order of `dy * x`, from zero, however the tiles are
/// cut.
pub fn backward_weights_f32<I: Isa, S: GradSink>(
    isa: I,
    shape: &Conv2d,
    x: &[f32],
    dy: &[f32],
    tile: &mut [f32],
    sink: &mut S,
) {
    gradient_of(isa, shape, 0..shape.out_c as usize, x, dy, tile, sink);
}

/// The same for some of the filters, whose first weight is number 0 to the sink.
pub(super) fn gradient_of<I: Isa, S: GradSink>(
    isa: I,
    shape: &Conv2d,
    of: Range<usize>,
    x: &[f32],
    dy: &[f32],
    tile: &mut [f32],
    sink: &mut S,
) {
    let (filters, patch) = (shape.group_out(), shape.patch());
    let whole = tile.len().checked_div(patch).unwrap_or(0);
    // Either several whole filters at once, or a piece of one filter.
    let (row_step, column_step) = if whole > 0 { (whole, patch) } else { (1, tile.len().max(1)) };
    let packs = I::ID.packs() && whole > 0 && packed::helps(shape);
    for group in 0..shape.groups as usize {
        let (mut row, end) = ((group * filters).max(of.start), ((group + 1) * filters).min(of.end));
        while row < end {
            let m = row_step.min(end - row);
            let mut column = 0;
            while column < patch {
                let n = column_step.min(patch - column);
                let gradient = sub_mut(tile, 0, m * n);
                sink.begin((row - of.start) * patch + column, gradient);
                if packs {
                    packed::backward_weights(isa, shape, (row, m), x, dy, gradient);
                } else {
                    backward_weights_direct(isa, shape, group, (row, m), (column, n), x, dy, gradient);
                }
                sink.tile((row - of.start) * patch + column, gradient);
                column += n;
            }
            row += m;
        }
    }
}

/// Adds the gradient of columns `(first, count)` of filters `(first, count)` of one group to `gradient`.
pub(super) fn backward_weights_direct<I: Isa>(
    isa: I,
    shape: &Conv2d,
    group: usize,
    (row, m): (usize, usize),
    (column, n): (usize, usize),
    x: &[f32],
    dy: &[f32],
    gradient: &mut [f32],
) {
    let (in_c, out_c, depth) = (shape.in_c as usize, shape.out_c as usize, shape.group_in());
    let product = |n_now: usize, pixels: usize, b_row: usize| Gemm {
        m,
        n: n_now,
        k: pixels,
        a_row: 1,
        a_col: out_c,
        b_row,
        b_col: 1,
        c_row: n,
    };
    if shape.window.is_pointwise() {
        let product = product(n, rows(dy, out_c).len(), in_c);
        isa.gemm_f32(&product, from(dy, row), from(x, group * depth + column), gradient);
        return;
    }
    for (x, dy) in rows(x, shape.in_elements()).zip(rows(dy, shape.out_elements())) {
        for out_y in 0..shape.window.height.output as usize {
            each_piece(shape, out_y, &mut |piece| {
                let start = piece.column.max(column);
                let end = (piece.column + piece.len).min(column + n);
                if start < end {
                    let product = product(end - start, piece.pixels, shape.window.width.stride as usize * in_c);
                    let x = from(x, piece.x + group * depth + (start - piece.column));
                    let dy = from(dy, piece.pixel * out_c + row);
                    isa.gemm_f32(&product, dy, x, from_mut(gradient, start - column));
                }
            });
        }
    }
}
