//! Convolution, int8 forward.

use super::Conv2d;
use super::tiled::Tiled;
use crate::arch::{Isa, layout};
use crate::kernels::compact::{Integers, Walk, Weights};
use crate::kernels::order::OrderRecord;
use crate::kernels::requantize::{Requantize, RequantizeRecord, add_constant_i8, start_from_bias_i8};
use crate::kernels::util::{copy, from, rows, rows_mut, sub, sub_mut};
use crate::kernels::window::Taps;
use crate::memory::Slices;
use crate::plan::{COMPACT, Context, PLAIN, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Filters whose sums are held at once.
const BLOCK: usize = 8;

/// Bytes of scratch that `shape` can use: one patch, gathered for each output position; 0 where a patch lies in one
/// piece anyhow.
///
/// The same on every token, small as it is: one long product for each filter in place of one for each of its rows
/// saves a device more than the copy costs it. Without scratch the kernel walks the input directly.
pub fn scratch_bytes_i8(shape: &Conv2d) -> usize {
    let in_one_piece =
        shape.window.height.kernel == 1 && (shape.window.width.kernel == 1 || shape.rows_are_contiguous());
    if in_one_piece { 0 } else { shape.patch() }
}

/// `y = requantize(x * w + b)`.
///
/// The host has folded the input's zero point into `b`: `b' = b - zero_point * sum(w)`. Taps beside the input stand
/// for zero, whose number is `pad_value`, the zero point; so they are summed like any other tap. (The reference
/// subtracts the zero point from every input and skips those taps, which is the same sum.)
pub fn forward_i8<I: Isa>(
    isa: I,
    shape: &Conv2d,
    x: &[i8],
    w: &[i8],
    b: &[i32],
    pad_value: i8,
    to: &Requantize<'_>,
    scratch: &mut [i8],
    y: &mut [i8],
) {
    if COMPACT {
        let walk = Walk::conv2d(shape);
        return walk.over(y.len(), &mut Integers::of_i8(&walk, x, Weights::I8(w), b, pad_value, to, y));
    }
    let (group_out, patch) = (shape.group_out(), shape.patch());
    let gathered = sub_mut(scratch, 0, patch);
    each_position(shape, x, pad_value, y, |window, y| {
        for (group, y) in rows_mut(y, group_out).enumerate() {
            window.gather(group, gathered);
            let first = group * group_out;
            window.filters(isa, group, first, from(w, first * patch), b, to, gathered, y);
        }
    });
}

/// Calls `visit` with every output position: what it sees, and its outputs.
#[inline(always)]
pub(super) fn each_position<'a>(
    shape: &'a Conv2d,
    x: &'a [i8],
    pad_value: i8,
    y: &mut [i8],
    mut visit: impl FnMut(&Window<'a>, &mut [i8]),
) {
    for (x, y) in rows(x, shape.in_elements()).zip(rows_mut(y, shape.out_elements())) {
        for ((down, across), y) in shape.window.positions().zip(rows_mut(y, shape.out_c as usize)) {
            visit(&Window { shape, x, down, across, pad_value }, y);
        }
    }
}

/// The input as one output position sees it.
pub(super) struct Window<'a> {
    shape: &'a Conv2d,
    x: &'a [i8],
    down: Taps,
    across: Taps,
    pad_value: i8,
}

impl Window<'_> {
    /// The outputs of the filters from `first` on, all of `group`; `w` begins with the first of them. `gathered` is
    /// what [`Window::gather`] left, or empty.
    #[inline(always)]
    pub(super) fn filters<I: Isa>(
        &self,
        isa: I,
        group: usize,
        first: usize,
        w: &[i8],
        b: &[i32],
        to: &Requantize<'_>,
        gathered: &[i8],
        y: &mut [i8],
    ) {
        let patch = self.shape.patch();
        for (block, y) in y.chunks_mut(BLOCK).enumerate() {
            let start = block * BLOCK;
            let mut acc = [0; BLOCK];
            let Some(acc) = acc.get_mut(..y.len()) else { return };
            start_from_bias_i8(b, first + start, acc);
            let w = from(w, start * patch);
            if gathered.is_empty() {
                self.accumulate(isa, group, w, acc);
            } else {
                isa.matvec_i8(gathered, w, patch, acc);
            }
            isa.requantize_i8(to, first + start, acc, y);
        }
    }

    /// Copies what a filter of `group` meets, padding included, unless there is no room for it.
    #[inline]
    pub(super) fn gather(&self, group: usize, patch: &mut [i8]) {
        if patch.is_empty() {
            return;
        }
        let Self { shape, x, down, across, pad_value } = self;
        let (group_in, kernel_w) = (shape.group_in(), shape.window.width.kernel as usize);
        patch.fill(*pad_value);
        for i in 0..down.count {
            let start = self.start(group, down.input + i * shape.window.height.dilation as usize);
            let row = sub_mut(patch, ((down.first + i) * kernel_w + across.first) * group_in, across.count * group_in);
            if shape.rows_are_contiguous() {
                copy(sub(x, start, row.len()), row);
                continue;
            }
            for (j, tap) in rows_mut(row, group_in).enumerate() {
                copy(sub(x, start + j * shape.window.width.dilation as usize * shape.in_c as usize, group_in), tap);
            }
        }
    }

    /// Where the taps of input row `in_y` that lie inside begin.
    #[inline]
    fn start(&self, group: usize, in_y: usize) -> usize {
        let shape = self.shape;
        (in_y * shape.window.width.input as usize + self.across.input) * shape.in_c as usize + group * shape.group_in()
    }

    /// Adds the products of this window with the filters that begin at `w` to their sums, all taps in order.
    #[inline]
    fn accumulate<I: Isa>(&self, isa: I, group: usize, w: &[i8], acc: &mut [i32]) {
        let Self { shape, down, across, .. } = self;
        let (group_in, kernel_h, kernel_w) =
            (shape.group_in(), shape.window.height.kernel as usize, shape.window.width.kernel as usize);
        let row = kernel_w * group_in;
        let (above, left) = (down.first.min(kernel_h), across.first.min(kernel_w));
        let right = left + across.count;
        self.pad(isa, above * row, w, acc);
        for i in 0..down.count {
            let w = from(w, (above + i) * row);
            self.pad(isa, left * group_in, w, acc);
            let in_y = down.input + i * shape.window.height.dilation as usize;
            self.row(isa, group, in_y, from(w, left * group_in), acc);
            self.pad(isa, kernel_w.saturating_sub(right) * group_in, from(w, right * group_in), acc);
        }
        let below = above + down.count;
        self.pad(isa, kernel_h.saturating_sub(below) * row, from(w, below * row), acc);
    }

    /// The taps of one row that lie inside the input.
    #[inline]
    fn row<I: Isa>(&self, isa: I, group: usize, in_y: usize, w: &[i8], acc: &mut [i32]) {
        let Self { shape, x, across, .. } = self;
        let (in_c, group_in, patch) = (shape.in_c as usize, shape.group_in(), shape.patch());
        let start = self.start(group, in_y);
        if shape.rows_are_contiguous() {
            isa.matvec_i8(sub(x, start, across.count * in_c), w, patch, acc);
            return;
        }
        for i in 0..across.count {
            let tap = sub(x, start + i * shape.window.width.dilation as usize * in_c, group_in);
            isa.matvec_i8(tap, from(w, i * group_in), patch, acc);
        }
    }

    /// `count` weights of each filter that meet padding.
    #[inline]
    fn pad<I: Isa>(&self, isa: I, count: usize, w: &[i8], acc: &mut [i32]) {
        if count > 0 && self.pad_value != 0 {
            add_constant_i8(isa, self.pad_value, count, w, self.shape.patch(), acc);
        }
    }
}

/// Forward step, int8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ForwardI8 {
    /// Shape.
    pub shape: Conv2d,
    /// Input.
    pub x: Ref,
    /// Weights, symmetric.
    pub w: Ref,
    /// Bias with the input's zero point folded in, or none.
    pub b: Ref,
    /// Output.
    pub y: Ref,
    /// For a gathered patch, or none.
    pub scratch: Ref,
    /// Bytes of that; see [`scratch_bytes_i8`]. Where weights lie in a token's order, its tile and
    /// [`super::scratch_words`].
    pub scratch_bytes: u32,
    /// The input's zero point: what lies beside the input.
    pub pad_value: i32,
    /// How sums become outputs.
    pub requantize: RequantizeRecord,
    /// The order of the weights. Unless it is the plain one, they come with biases and multipliers.
    pub order: OrderRecord,
}

impl StepRecord for ForwardI8 {
    operands! {
        x: read i8 [samples, shape => Conv2d::INPUT],
        w: read order(order) [shape => Conv2d::WEIGHTS],
        b: read i32 [shape.out_c],
        requantize.multiplier: read i32 [requantize.channels],
        requantize.shift: read i32 [requantize.channels],
        scratch: scratch order(order) [scratch_bytes],
        y: write i8 [samples, shape => Conv2d::OUTPUT],
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid()
            && self.requantize.is_valid(self.shape.out_c)
            && i8::try_from(self.pad_value).is_ok()
            && self.order.is_valid()
            && (self.order.is_plain() || self.shape.groups == 1)
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, _: &mut Context) {
        let shape = &self.shape;
        let (x, pad) = (at.read(), self.pad_value as i8);
        match self.order.id() {
            None if PLAIN => {
                let (w, b, to) = (at.read(), at.read(), self.requantize.read(at));
                let (scratch, y) = (at.write(), at.write());
                forward_i8(isa, shape, x, w, b, pad, &to, scratch, y);
            }
            None => {}
            Some(id) => {
                let (stream, _) = (at.read(), at.read::<i32>());
                let (to, scratch, y) = (self.requantize.read(at), at.write(), at.write());
                layout::run(isa, id, Tiled { shape, x, stream, pad, to, scratch, y });
            }
        }
    }
}

#[cfg(test)]
mod tests;
