//! Convolution as few large matrix products: filters are copied once into panels in scratch, whose columns are
//! filters; inputs are read where they lie. For tokens with wide registers.
//!
//! Neighbouring outputs that see the same taps are the rows of a product. A row of such taps lies side by side in the
//! input, and the next row a fixed distance away, so that one sum of products ([`crate::arch::Folds`]) does a whole window. No tap
//! is multiplied by padding: every sum is the definition's chain.

use super::Conv2d;
use crate::arch::{Fold, Folds, Gemm, Isa, IsaId, Scalar};
use crate::kernels::util::{from, from_mut, rows, rows_mut, sub_mut};
use crate::kernels::window::{Run, Window2d};
use core::ops::Range;

/// Filters in a panel: two vectors of the widest token.
const WIDTH: usize = 32;

/// Scratch that `shape` can use on `isa`, in f32 elements; 0 if none. One size serves forward and backward.
pub fn scratch_elements(shape: &Conv2d, isa: IsaId) -> usize {
    if isa.packs() && helps(shape) { shape.weights() } else { 0 }
}

/// Whether there is anything to pack: the filters of a 1x1 convolution are a matrix already.
pub(super) fn helps(shape: &Conv2d) -> bool {
    !shape.window.is_pointwise() && shape.rows_are_contiguous()
}

/// Filters `[out_c][patch]` as [`super::block`] reads them, where they are constants: panels of 32 of them, in which
/// their first weights come first, then their second ones. `panels` is as long as `w`.
pub fn pack_panels(shape: &Conv2d, w: &[f32], panels: &mut [f32]) {
    pack(Scalar, shape, w, panels);
}

/// Copies filters, `[out_c][patch]`, into panels of [`WIDTH`] columns.
pub(super) fn pack<I: Isa>(isa: I, shape: &Conv2d, w: &[f32], panels: &mut [f32]) {
    let patch = shape.patch();
    lines(isa, shape.out_c as usize, patch, panels, |filter, p, line| {
        for (to, filter) in line.iter_mut().zip(rows(from(w, filter * patch), patch)) {
            *to = filter.get(p).copied().unwrap_or(0.0);
        }
    });
}

/// Calls `fill` for every line of the panels of a matrix of `columns` times `depth`, with the first column of its panel,
/// its number in there and the line.
pub(super) fn lines<I: Isa>(
    isa: I,
    columns: usize,
    depth: usize,
    panels: &mut [f32],
    fill: impl Fn(usize, usize, &mut [f32]) + Sync,
) {
    let whole = columns / WIDTH * WIDTH;
    let (wide, narrow) = panels.split_at_mut_checked(whole * depth).unwrap_or_default();
    let narrow = sub_mut(narrow, 0, (columns - whole) * depth);
    for (first, width, panels) in [(0, WIDTH, wide), (whole, columns - whole, narrow)] {
        let count = rows(panels, width).len();
        isa.split(count, 4 * width, [(panels, width)], |of, [panels]| {
            for (line, to) in of.zip(rows_mut(panels, width)) {
                let (panel, p) = (line.checked_div(depth).unwrap_or(0), line.checked_rem(depth).unwrap_or(0));
                fill(first + panel * WIDTH, p, to);
            }
        });
    }
}

/// Floats of outputs that are worked on at a time: they stay in the second-level cache from the bias to the limits.
pub(super) const STRIP: usize = 1 << 15;

/// Rows of outputs, counted over all samples, to work on at a time: several whole samples, or a part of one.
pub(super) fn rows_at_once(shape: &Conv2d) -> usize {
    let (height, row) =
        (shape.window.height.output as usize, shape.window.width.output as usize * shape.out_c as usize);
    let rows = STRIP.checked_div(row).unwrap_or(1).max(1);
    if rows < height { rows } else { rows - rows.checked_rem(height).unwrap_or(0) }
}

/// Walks over rows of outputs, counted over all samples, of which each has `height`.
#[derive(Clone, Debug)]
pub(super) struct Strips {
    left: Range<usize>,
    height: usize,
    at_once: usize,
}

impl Strips {
    pub(super) fn new(rows: Range<usize>, height: usize, at_once: usize) -> Self {
        Self { left: rows, height: height.max(1), at_once: at_once.max(1) }
    }
}

impl Iterator for Strips {
    type Item = Strip;

    fn next(&mut self) -> Option<Strip> {
        let Self { left, height, at_once } = self;
        let (sample, first) = (left.start.checked_div(*height)?, left.start.checked_rem(*height)?);
        // The rest of a sample, or several whole ones.
        let whole = (*at_once).min(left.len()).checked_div(*height)? * *height;
        let count = if first == 0 && whole > 0 { whole } else { (*at_once).min(*height - first).min(left.len()) };
        left.start += count;
        (count > 0).then_some(Strip { sample, first, count, whole: first == 0 && count.is_multiple_of(*height) })
    }
}

/// Some rows of a sample, or of several whole samples.
#[derive(Clone, Copy, Debug)]
pub(super) struct Strip {
    sample: usize,
    first: usize,
    count: usize,
    whole: bool,
}

impl Strip {
    /// Rows.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// The convolution that makes them, `each` of its own rows for one of them, and what it reads of all samples.
    pub(super) fn part<'x>(&self, conv: &Conv2d, each: usize, x: &'x [f32]) -> (Conv2d, &'x [f32]) {
        let x = from(x, self.sample * conv.in_elements());
        if self.whole {
            return (*conv, x);
        }
        let (height, in_y) = conv.window.height.part(&(self.first * each..(self.first + self.count) * each));
        let in_row = conv.window.width.input as usize * conv.in_c as usize;
        (Conv2d { window: Window2d { height, ..conv.window }, ..*conv }, from(x, in_y * in_row))
    }
}

/// Adds the products of all samples to `y`, some rows at a time, between `begin` and `end`.
pub(super) fn forward_in_strips<I: Isa>(
    isa: I,
    shape: &Conv2d,
    x: &[f32],
    panels: &[f32],
    y: &mut [f32],
    begin: impl Fn(&mut [f32]),
    end: impl Fn(&mut [f32]),
) {
    let row = shape.window.width.output as usize * shape.out_c as usize;
    let mut y = y;
    for strip in Strips::new(0..rows(y, row).len(), shape.window.height.output as usize, rows_at_once(shape)) {
        let (now, later) = core::mem::take(&mut y).split_at_mut_checked(strip.len() * row).unwrap_or_default();
        y = later;
        begin(now);
        let (part, x) = strip.part(shape, 1, x);
        forward(isa, &part, x, panels, now);
        end(now);
    }
}

/// Adds the products of some samples to `y`.
pub(super) fn forward<I: Isa>(isa: I, shape: &Conv2d, x: &[f32], panels: &[f32], y: &mut [f32]) {
    let pixel = shape.out_c as usize;
    let at = Places { pixel, row: shape.window.width.output as usize * pixel, sample: shape.out_elements() };
    forward_to(isa, shape, rows(y, at.sample).len(), x, panels, at, y);
}

/// How far apart outputs are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    pub pixel: usize,
    pub row: usize,
    pub sample: usize,
}

/// [`forward`] to wherever.
pub(super) fn forward_to<I: Isa>(
    isa: I,
    shape: &Conv2d,
    samples: usize,
    x: &[f32],
    panels: &[f32],
    at: Places,
    y: &mut [f32],
) {
    let (out_c, patch) = (shape.out_c as usize, shape.patch());
    for (first, panel) in (0..out_c).step_by(WIDTH).zip(panels.chunks((WIDTH * patch).max(1))) {
        let width = WIDTH.min(out_c - first);
        for down in shape.window.height.runs() {
            for across in shape.window.width.runs() {
                block(isa, shape, &down, &across, (samples, width), x, panel, at, from_mut(y, first));
            }
        }
    }
}

/// Fewer rows than this do not hide the latency of an addition.
const FEW: usize = 6;

/// Outputs of some samples that all see the same taps, for one panel of so many filters.
#[inline(always)]
fn block<I: Isa>(
    isa: I,
    shape: &Conv2d,
    down: &Run,
    across: &Run,
    (samples, width): (usize, usize),
    x: &[f32],
    panel: &[f32],
    at: Places,
    y: &mut [f32],
) {
    let in_c = shape.in_c as usize;
    let (height, along) = (shape.window.height, shape.window.width);
    let in_row = along.input as usize * in_c;
    let filter_row = along.kernel as usize * in_c * width;
    // Outputs in three directions: how many, and how far apart they are in x and in y.
    let mut ways = [
        (across.outputs.len(), along.stride as usize * in_c, at.pixel),
        (down.outputs.len(), height.stride as usize * in_row, at.row),
        (samples, shape.in_elements(), at.sample),
    ];
    // The longest of them becomes the rows of a product; samples, which lie far apart, only where images are small.
    let [a, d, _] = ways.map(|(count, ..)| count);
    let first = if a.max(d) < FEW && samples > a.max(d) { 2 } else { usize::from(d > a) };
    ways.swap(0, first);
    let [(m, a_row, c_row), inner, outer] = ways;
    let product = Gemm { m, n: width, k: across.taps.count * in_c, a_row, a_col: 1, b_row: width, b_col: 1, c_row };
    let folds = Fold { count: down.taps.count, a: height.dilation as usize * in_row, b: filter_row }.into();
    let x = from(x, down.taps.input * in_row + across.taps.input * in_c);
    let panel = from(panel, down.taps.first * filter_row + across.taps.first * in_c * width);
    let y_at = down.outputs.start * at.row + across.outputs.start * at.pixel;
    for i in 0..outer.0 {
        for j in 0..inner.0 {
            let (x_at, y_at) = (i * outer.1 + j * inner.1, y_at + i * outer.2 + j * inner.2);
            isa.fold_f32(&product, folds, from(x, x_at), panel, from_mut(y, y_at));
        }
    }
}

/// Adds the gradient of filters `first..first + m` to `gradient`, `[m][patch]`, which holds zeros.
pub(super) fn backward_weights<I: Isa>(
    isa: I,
    shape: &Conv2d,
    (first, m): (usize, usize),
    x: &[f32],
    dy: &[f32],
    gradient: &mut [f32],
) {
    let row = shape.patch();
    let layout = Layout { row, column: 1 };
    sums(isa, shape, (first, m), 0..shape.window.height.kernel as usize, x, dy, layout, gradient);
}

/// Where the gradient of filter `f` and weight `p` lies: at `f * row + p * column`. One of them is 1.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    /// Between filters.
    pub row: usize,
    /// Between weights of a filter.
    pub column: usize,
}

impl Layout {
    /// The one whose rows fill vectors better: filter by filter, or weight by weight.
    pub(super) fn best(shape: &Conv2d) -> Self {
        let filled = |len: usize| len * 1000 / len.next_multiple_of(WIDTH).max(1);
        let (out_c, patch) = (shape.out_c as usize, shape.patch());
        if out_c == 1 || filled(row_of_taps(shape)) > filled(out_c) {
            Self { row: patch, column: 1 }
        } else {
            Self { row: 1, column: out_c }
        }
    }
}

/// Samples whose inputs and gradients stay in the first-level cache, so that sums may go through all of them before
/// they are stored.
fn samples_in_cache(shape: &Conv2d) -> usize {
    (1usize << 14).checked_div(shape.in_elements() + shape.out_elements()).unwrap_or(1).max(1)
}

/// Rows of the output to walk over tap by tap: as many as stay in the first-level cache with their inputs, if the weights'
/// sums, which are loaded and stored for each such strip, stay there too; else all.
fn rows_in_cache(shape: &Conv2d) -> usize {
    const FLOATS: usize = 6 * 1024;
    if 2 * shape.weights() > FLOATS {
        return shape.window.height.output.max(1) as usize;
    }
    let Window2d { height, width } = shape.window;
    let in_row = width.input as usize * shape.in_c as usize;
    let each = width.output as usize * shape.out_c as usize + height.stride as usize * in_row;
    let more = height.kernel as usize * in_row;
    FLOATS.saturating_sub(more).checked_div(each).unwrap_or(0).clamp(1, height.output.max(1) as usize)
}

/// Weights of a row of a filter that one product makes.
fn row_of_taps(shape: &Conv2d) -> usize {
    if has_sides(shape) { shape.in_c as usize } else { shape.window.width.kernel as usize * shape.in_c as usize }
}

/// Whether some windows reach beside the input, left or right.
fn has_sides(shape: &Conv2d) -> bool {
    let width = shape.window.width;
    let all = |run: Run| (run.outputs.len(), run.taps.count) == (width.output as usize, width.kernel as usize);
    !width.runs().next().is_some_and(all)
}

/// Adds products of `dy` and `x` for some filters, `(first, count)`, and lines of their taps; `c` begins with the first
/// of both.
pub(super) fn sums<I: Isa>(
    isa: I,
    shape: &Conv2d,
    (first, m): (usize, usize),
    lines: Range<usize>,
    x: &[f32],
    dy: &[f32],
    Layout { row, column }: Layout,
    c: &mut [f32],
) {
    let (in_c, out_c) = (shape.in_c as usize, shape.out_c as usize);
    let Window2d { height, width } = shape.window;
    let (in_row, out_row) = (width.input as usize * in_c, width.output as usize * out_c);
    // All taps of a row at once where every output sees them all, else tap by tap.
    let (taps, n) = if has_sides(shape) { (width.kernel as usize, in_c) } else { (1, row_of_taps(shape)) };
    let (x_pixel, x_row) = (width.stride as usize * in_c, height.stride as usize * in_row);
    let (in_elements, out_elements) = (shape.in_elements(), shape.out_elements());
    let (some, strip) = (samples_in_cache(shape), rows_in_cache(shape));
    for (x, dy) in x.chunks((some * in_elements).max(1)).zip(dy.chunks((some * out_elements).max(1))) {
        let samples = rows(dy, out_elements).len().min(rows(x, in_elements).len());
        let starts = (0..height.output as usize).step_by(strip);
        for (start, k_y) in starts.flat_map(|start| lines.clone().map(move |k_y| (start, k_y))) {
            let all = height.outputs(k_y);
            let down = all.start.max(start)..all.end.min(start + strip);
            for k_x in 0..taps {
                let across = width.outputs(k_x);
                if down.is_empty() || across.is_empty() {
                    continue;
                }
                let x_at = height.input_at(down.start, k_y) * in_row + width.input_at(across.start, k_x) * in_c;
                let (x, dy) = (from(x, x_at), from(dy, down.start * out_row + across.start * out_c + first));
                let c = from_mut(c, ((k_y - lines.start) * width.kernel as usize + k_x) * in_c * column);
                let count = down.len();
                let k = across.len();
                if column == 1 {
                    let product = Gemm { m, n, k, a_row: 1, a_col: out_c, b_row: x_pixel, b_col: 1, c_row: row };
                    let outer = Fold { count: samples, a: out_elements, b: in_elements };
                    isa.fold_f32(&product, Folds { outer, inner: Fold { count, a: out_row, b: x_row } }, dy, x, c);
                } else {
                    let product =
                        Gemm { m: n, n: m, k, a_row: 1, a_col: x_pixel, b_row: out_c, b_col: 1, c_row: column };
                    let outer = Fold { count: samples, a: in_elements, b: out_elements };
                    isa.fold_f32(&product, Folds { outer, inner: Fold { count, a: x_row, b: out_row } }, x, dy, c);
                }
            }
        }
    }
}
