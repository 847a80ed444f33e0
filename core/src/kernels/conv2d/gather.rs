//! Convolution by gathering: the patches of a block of output rows become a matrix in scratch, `[pixels][patch]`,
//! with zeros for padding. One large product then replaces many small ones; a host with wide registers gains more
//! by that than the copying costs.

use super::Conv2d;
use super::float::pieces;
use crate::arch::{Gemm, Isa, IsaId};
use crate::kernels::util::{copy, from, from_mut, sub, sub_mut};

/// How much scratch a block may use, in elements: it should stay in a core's second cache.
const BLOCK_ELEMENTS: usize = 1 << 16;

/// Scratch that `shape` can use when it carries `samples` samples on `isa`, in f32 elements; 0 if none.
///
/// One size serves forward and both backward kernels. With less, they gather smaller blocks or not at all.
pub fn scratch_elements(shape: &Conv2d, samples: usize, isa: IsaId) -> usize {
    if !isa.gathers() || !helps(shape) {
        return 0;
    }
    let row = row_elements(shape);
    let rows = samples.saturating_mul(shape.window.height.output as usize);
    let block = BLOCK_ELEMENTS.checked_div(row).unwrap_or(0).clamp(1, rows.max(1));
    block.saturating_mul(row)
}

/// Whether there is anything to gather: a 1x1 convolution finds its matrix in the input.
pub(super) fn helps(shape: &Conv2d) -> bool {
    !shape.window.is_pointwise()
}

/// How many output rows `scratch` can hold; 0 if not even one.
pub(super) fn rows_at_once(shape: &Conv2d, scratch: &[f32]) -> usize {
    scratch.len().checked_div(row_elements(shape)).unwrap_or(0)
}

/// Elements of the patches of one output row, one group.
fn row_elements(shape: &Conv2d) -> usize {
    (shape.window.width.output as usize).saturating_mul(shape.patch())
}

/// Calls `visit(first pixel, pixels, first row, rows)` for each block; rows and pixels are counted over all samples.
#[inline(always)]
fn blocks(shape: &Conv2d, pixels: usize, scratch: usize, mut visit: impl FnMut(usize, usize, usize, usize)) {
    let out_w = shape.window.width.output as usize;
    let rows = pixels.checked_div(out_w).unwrap_or(0);
    let step = scratch.checked_div(row_elements(shape)).unwrap_or(0).max(1);
    let mut row = 0;
    while row < rows {
        let count = step.min(rows - row);
        visit(row * out_w, count * out_w, row, count);
        row += count;
    }
}

/// Calls `visit(where a stretch begins in x, where in the matrix, its length)` for every output of those rows.
#[inline(always)]
fn stretches(shape: &Conv2d, group: usize, row: usize, count: usize, mut visit: impl FnMut(usize, usize, usize)) {
    let (out_h, patch) = (shape.window.height.output as usize, shape.patch());
    let (out_w, step) = (shape.window.width.output as usize, shape.window.width.stride as usize * shape.in_c as usize);
    for i in 0..count {
        let sample = (row + i).checked_div(out_h).unwrap_or(0);
        let out_y = row + i - sample * out_h;
        pieces(shape, out_y, |piece| {
            let mut x = sample * shape.in_elements() + group * shape.group_in() + piece.x;
            // Pieces count pixels over the sample, the matrix from its own first row.
            let mut to = (i * out_w + piece.pixel - out_y * out_w) * patch + piece.column;
            for _ in 0..piece.pixels {
                visit(x, to, piece.len);
                x += step;
                to += patch;
            }
        });
    }
}

fn gather(shape: &Conv2d, group: usize, row: usize, count: usize, x: &[f32], columns: &mut [f32]) {
    columns.fill(0.0);
    stretches(shape, group, row, count, |at, to, len| copy(sub(x, at, len), sub_mut(columns, to, len)));
}

/// Adds the products to `y`, which holds the bias.
pub(super) fn forward<I: Isa>(isa: I, shape: &Conv2d, x: &[f32], w: &[f32], scratch: &mut [f32], y: &mut [f32]) {
    let (out_c, patch, filters) = (shape.out_c as usize, shape.patch(), shape.group_out());
    let total = y.len().checked_div(out_c).unwrap_or(0);
    for group in 0..shape.groups as usize {
        let w = from(w, group * filters * patch);
        blocks(shape, total, scratch.len(), |pixel, pixels, row, count| {
            let columns = sub_mut(scratch, 0, pixels * patch);
            gather(shape, group, row, count, x, columns);
            let product =
                Gemm { m: pixels, n: filters, k: patch, a_row: patch, a_col: 1, b_row: 1, b_col: patch, c_row: out_c };
            isa.gemm_f32(&product, columns, w, from_mut(y, pixel * out_c + group * filters));
        });
    }
}

/// Adds the products to `dx`.
pub(super) fn backward_input<I: Isa>(
    isa: I,
    shape: &Conv2d,
    dy: &[f32],
    w: &[f32],
    scratch: &mut [f32],
    dx: &mut [f32],
) {
    let (out_c, patch, filters) = (shape.out_c as usize, shape.patch(), shape.group_out());
    let total = dy.len().checked_div(out_c).unwrap_or(0);
    for group in 0..shape.groups as usize {
        let w = from(w, group * filters * patch);
        blocks(shape, total, scratch.len(), |pixel, pixels, row, count| {
            let columns = sub_mut(scratch, 0, pixels * patch);
            columns.fill(0.0);
            let product =
                Gemm { m: pixels, n: patch, k: filters, a_row: out_c, a_col: 1, b_row: patch, b_col: 1, c_row: patch };
            isa.gemm_f32(&product, from(dy, pixel * out_c + group * filters), w, columns);
            stretches(shape, group, row, count, |at, to, len| {
                isa.accumulate_f32(sub(columns, to, len), sub_mut(dx, at, len));
            });
        });
    }
}

/// Adds the gradient of filters `first..first + m` of one group to `gradient`, `[m][patch]`.
pub(super) fn backward_weights<I: Isa>(
    isa: I,
    shape: &Conv2d,
    group: usize,
    first: usize,
    m: usize,
    x: &[f32],
    dy: &[f32],
    scratch: &mut [f32],
    gradient: &mut [f32],
) {
    let (out_c, patch) = (shape.out_c as usize, shape.patch());
    let total = dy.len().checked_div(out_c).unwrap_or(0);
    blocks(shape, total, scratch.len(), |pixel, pixels, row, count| {
        let columns = sub_mut(scratch, 0, pixels * patch);
        gather(shape, group, row, count, x, columns);
        let product = Gemm { m, n: patch, k: pixels, a_row: 1, a_col: out_c, b_row: patch, b_col: 1, c_row: patch };
        isa.gemm_f32(&product, from(dy, pixel * out_c + first), columns, gradient);
    });
}
