//! A convolution, its limits and the max pool behind it as one step, and all of its gradients as another: for tokens
//! with wide registers, whose time otherwise goes into carrying images between the caches and memory.
//!
//! Forward, some rows of the convolution's output at a time go from a scratch into the pool and are forgotten; what the
//! way back needs of them is which pixel of a window was the greatest ([`crate::arch::Isa::pool_f32`]). Outputs that no
//! window reads are not computed.
//!
//! Backward, a batch is cut into [`PARTS`] parts of neighbouring samples, whoever works on them. A part makes its own
//! gradient of the weights and biases, each sum in order of samples and pixels; then the parts are added in order. So
//! the bits depend on the number of samples, and neither on threads nor on the instruction set. They are not those of
//! [`super::backward_weights_f32`], which goes through all samples in one chain.

use super::packed::{self, Layout};
use super::{Conv2d, float};
use crate::arch::{Isa, Pools};
use crate::kernels::pool::Pool2d;
use crate::kernels::util::{from, from_mut, rows, rows_mut, start_from_bias, sub, sub_mut};
use crate::kernels::window::Window2d;
use crate::optim::{GradSink, Update};
use crate::plan::factors;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Into how many parts a batch is cut: what more threads than that are not used for.
pub const PARTS: usize = 8;
/// Floats of a convolution's output that are worked on at a time: they stay in the first-level cache.
const STRIP: usize = 4096;
/// Floats of gradients in front of a pool that are worked on at a time: they stay in the second-level cache.
const DENSE: usize = 1 << 16;
/// Places begin at multiples of a cache line.
const LINE: usize = 16;

/// Shape of a convolution with a max pool behind it, whose windows neither overlap nor leave gaps; 1x1 if there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Block {
    /// The convolution, cut to the outputs that windows read.
    pub conv: Conv2d,
    /// Rows of the pool's window; divide those of the convolution's output.
    pub pool_h: u32,
    /// Columns of the pool's window likewise.
    pub pool_w: u32,
}

impl Block {
    /// Elements of one output sample.
    pub const OUTPUT: &[u8] =
        factors!(conv.window.height.output, / pool_h, conv.window.width.output, / pool_w, conv.out_c);

    /// The block of a convolution and the pool that reads it, if these kernels can do it.
    pub fn new(conv: &Conv2d, pool: Option<&Pool2d>) -> Option<Self> {
        let Some(pool) = pool else {
            return Some(Self { conv: *conv, pool_h: 1, pool_w: 1 }).filter(Self::is_valid);
        };
        let (mut conv, from, by) = (*conv, conv.window, pool.window);
        for (axis, from, by) in
            [(&mut conv.window.height, from.height, by.height), (&mut conv.window.width, from.width, by.width)]
        {
            if (by.input, by.stride, by.dilation, by.pad) != (from.output, by.kernel, 1, 0) {
                return None;
            }
            axis.output = by.output.checked_mul(by.kernel).filter(|output| *output <= from.output)?;
        }
        let block = Self { conv, pool_h: by.height.kernel, pool_w: by.width.kernel };
        Some(block).filter(|block| block.is_valid() && pool.channels == conv.out_c)
    }

    /// Whether the shape is consistent: see [`crate::plan::StepRecord::shape_is_valid`].
    pub fn is_valid(&self) -> bool {
        let Window2d { height, width } = self.conv.window;
        self.conv.is_valid()
            && packed::helps(&self.conv)
            && height.output.checked_rem(self.pool_h) == Some(0)
            && width.output.checked_rem(self.pool_w) == Some(0)
    }

    /// Whether there is a pool.
    pub fn pools(&self) -> bool {
        (self.pool_h, self.pool_w) != (1, 1)
    }

    /// Rows and columns of the output.
    fn out_size(&self) -> (usize, usize) {
        let Window2d { height, width } = self.conv.window;
        let divided = |a: u32, b: u32| a.checked_div(b).unwrap_or(0) as usize;
        (divided(height.output, self.pool_h), divided(width.output, self.pool_w))
    }

    /// Elements of one output sample.
    pub fn out_elements(&self) -> usize {
        let (height, width) = self.out_size();
        height * width * self.conv.out_c as usize
    }

    /// Elements of the convolution's output behind a row of the block's.
    fn row_elements(&self) -> usize {
        self.pool_h as usize * self.conv.window.width.output as usize * self.conv.out_c as usize
    }

    /// Rows of the output that are made at a time.
    fn rows_at_once(&self) -> usize {
        STRIP.checked_div(self.row_elements()).unwrap_or(1).clamp(1, self.out_size().0.max(1))
    }

    /// The pools of a row of the output.
    fn row_of_pools(&self) -> Pools {
        let (channels, width) = (self.conv.out_c as usize, self.conv.window.width.output as usize);
        let (rows, columns) = (self.pool_h as usize, self.pool_w as usize);
        Pools { rows, columns, count: self.out_size().1, channels, row: width * channels }
    }

    fn strip_elements(&self) -> usize {
        (self.rows_at_once() * self.row_elements()).next_multiple_of(LINE)
    }

    /// Scratch for the forward step, in f32 elements: filters, and a strip for each part.
    pub fn forward_scratch(&self) -> usize {
        self.conv.weights().next_multiple_of(LINE) + PARTS * self.strip_elements()
    }

    /// Elements of a part's gradients: of the weights, then of the biases.
    fn part_elements(&self) -> usize {
        self.conv.weights().next_multiple_of(LINE) + (self.conv.out_c as usize).next_multiple_of(LINE)
    }

    /// Scratch for the backward step on so many samples, in f32 elements: filters, gradients of each part, and for each
    /// part the gradient in front of the pool of some samples.
    pub fn backward_scratch(&self, samples: usize) -> usize {
        let filters = self.conv.weights().next_multiple_of(LINE);
        let dense = if self.pools() { self.dense_samples(samples) * self.conv.out_elements() } else { 0 };
        let parts = PARTS.saturating_mul(self.part_elements().saturating_add(dense));
        filters.saturating_add(parts)
    }

    /// Samples whose gradients lie in front of the pool at a time.
    fn dense_samples(&self, samples: usize) -> usize {
        DENSE.checked_div(self.conv.out_elements()).unwrap_or(1).clamp(1, samples_of_part(samples).max(1))
    }
}

/// Samples of each part; the last one may have fewer.
fn samples_of_part(samples: usize) -> usize {
    samples.div_ceil(PARTS)
}

/// How many parts have samples.
fn parts(samples: usize) -> usize {
    samples.checked_div(samples_of_part(samples)).unwrap_or(0)
        + usize::from(!samples.is_multiple_of(samples_of_part(samples)))
}

/// `y = pool(clamp(conv(x, w) + b))`, and `places` for [`backward_f32`], which may be empty; `b` likewise, which
/// counts as zeros. Outputs have the bits of [`super::forward_f32`] and [`crate::kernels::max_pool::forward_f32`].
pub fn forward_f32<I: Isa>(
    isa: I,
    block: &Block,
    x: &[f32],
    w: &[f32],
    b: &[f32],
    limits: (f32, f32),
    scratch: &mut [f32],
    y: &mut [f32],
    places: &mut [f32],
) {
    let (conv, in_elements, out_elements) = (&block.conv, block.conv.in_elements(), block.out_elements());
    let (panels, strips) = scratch.split_at_mut_checked(conv.weights().next_multiple_of(LINE)).unwrap_or_default();
    packed::pack(isa, conv, w, panels);
    let panels: &[f32] = panels;
    let samples = rows(y, out_elements).len();
    let each = samples_of_part(samples);
    let slices = [(y, each * out_elements), (places, each * out_elements), (strips, block.strip_elements())];
    isa.split(parts(samples), each * float::cost(conv), slices, |of, [y, places, strips]| {
        let x = from(x, of.start * each * in_elements);
        let mut places = rows_mut(places, out_elements);
        for (x, y) in rows(x, in_elements).zip(rows_mut(y, out_elements)) {
            forward_sample(isa.alone(), block, x, (panels, b), limits, strips, y, places.next().unwrap_or_default());
        }
    });
}

fn forward_sample<I: Isa>(
    isa: I,
    block: &Block,
    x: &[f32],
    (panels, b): (&[f32], &[f32]),
    (lo, hi): (f32, f32),
    strip: &mut [f32],
    y: &mut [f32],
    places: &mut [f32],
) {
    let Block { conv, pool_h, .. } = *block;
    let in_row = conv.window.width.input as usize * conv.in_c as usize;
    let pools = block.row_of_pools();
    let (out_row, (out_h, _)) = (pools.count * pools.channels, block.out_size());
    for first in (0..out_h).step_by(block.rows_at_once()) {
        let count = block.rows_at_once().min(out_h - first);
        let (height, in_y) = conv.window.height.part(&(first * pool_h as usize..(first + count) * pool_h as usize));
        let part = Conv2d { window: Window2d { height, ..conv.window }, ..conv };
        let strip = sub_mut(strip, 0, count * block.row_elements());
        isa.vectorize(|| start_from_bias(b, conv.out_c as usize, strip));
        packed::forward(isa, &part, from(x, in_y * in_row), panels, strip);
        let (y, places) = (from_mut(y, first * out_row), from_mut(places, first * out_row));
        let mut places = rows_mut(places, out_row);
        for (x, y) in rows(strip, block.row_elements()).zip(rows_mut(y, out_row)) {
            isa.pool_f32(&pools, lo, hi, x, y, places.next().unwrap_or_default());
        }
    }
}

/// All gradients. `dy` is that of the block's output, `places` what the forward step left, or empty if there is no pool;
/// `dx` may be empty, if nobody wants it. `scratch` then holds what [`update`] needs.
pub fn backward_f32<I: Isa>(
    isa: I,
    block: &Block,
    x: &[f32],
    w: &[f32],
    dy: &[f32],
    places: &[f32],
    scratch: &mut [f32],
    dx: &mut [f32],
) {
    let (conv, in_elements, out_elements) = (&block.conv, block.conv.in_elements(), block.out_elements());
    let samples = rows(dy, out_elements).len();
    let (panels, rest) = scratch.split_at_mut_checked(conv.weights().next_multiple_of(LINE)).unwrap_or_default();
    let (gradients, dense) = rest.split_at_mut_checked(PARTS * block.part_elements()).unwrap_or_default();
    let turned = packed::transposed(conv);
    if turned.is_some() && !dx.is_empty() {
        packed::pack_transposed(isa, conv, w, panels);
    }
    let panels: &[f32] = panels;
    let each = samples_of_part(samples);
    // Without a gradient of the input there is no gain in several samples.
    let some = if !block.pools() {
        each
    } else if dx.is_empty() {
        1
    } else {
        block.dense_samples(samples)
    };
    let dense_each = dense.len() / PARTS;
    let slices = [(gradients, block.part_elements()), (dense, dense_each), (dx, each * in_elements)];
    isa.split(parts(samples), 2 * each * float::cost(conv), slices, |of, [gradients, dense, dx]| {
        let isa = isa.alone();
        let mut dx = dx;
        for (part, gradients) in of.zip(rows_mut(gradients, block.part_elements())) {
            let (dw, db) = gradients.split_at_mut_checked(conv.weights().next_multiple_of(LINE)).unwrap_or_default();
            dw.fill(0.0);
            db.fill(0.0);
            let end = ((part + 1) * each).min(samples);
            for first in (part * each..end).step_by(some.max(1)) {
                let count = some.min(end - first);
                let x = sub(x, first * in_elements, count * in_elements);
                let dy = sub(dy, first * out_elements, count * out_elements);
                let places = sub(places, first * out_elements, count * out_elements);
                let dy = in_front_of_pool(isa, block, dy, places, dense, db);
                let (now, later) = core::mem::take(&mut dx).split_at_mut_checked(x.len()).unwrap_or_default();
                dx = later;
                now.fill(0.0);
                match &turned {
                    _ if now.is_empty() => {}
                    Some(turned) => packed::forward(isa, turned, dy, panels, now),
                    None => float::backward_input_direct(isa, conv, dy, w, now),
                }
                let (filters, lines) = ((0, conv.out_c as usize), 0..conv.window.height.kernel as usize);
                packed::sums(isa, conv, filters, lines, x, dy, Layout::best(conv), dw);
            }
        }
    });
}

/// The gradient in front of the pool, in `dense`; adds that of the biases to `db`.
fn in_front_of_pool<'d, I: Isa>(
    isa: I,
    block: &Block,
    dy: &'d [f32],
    places: &[f32],
    dense: &'d mut [f32],
    db: &mut [f32],
) -> &'d [f32] {
    let channels = block.conv.out_c as usize;
    let db = sub_mut(db, 0, channels);
    if !block.pools() {
        isa.vectorize(|| {
            for row in rows(dy, channels) {
                for (sum, dy) in db.iter_mut().zip(row) {
                    *sum += dy;
                }
            }
        });
        return dy;
    }
    let pools = block.row_of_pools();
    let (out_row, dense_row) = (pools.count * channels, block.row_elements());
    for ((dy, places), dx) in rows(dy, out_row).zip(rows(places, out_row)).zip(rows_mut(dense, dense_row)) {
        isa.unpool_f32(&pools, dy, places, dx, db);
    }
    sub(dense, 0, rows(dy, out_row).len() * dense_row)
}

/// Updates weights and biases by what [`backward_f32`] left in `scratch` for so many samples; either may be empty.
pub fn update<I: Isa>(block: &Block, samples: usize, scratch: &mut [f32], w: Update<'_, I>, mut b: Update<'_, I>) {
    let (isa, conv) = (w.isa, &block.conv);
    let (filters, patch, weights) = (conv.out_c as usize, conv.patch(), conv.weights());
    let (elements, biases) = (block.part_elements(), weights.next_multiple_of(LINE));
    let gradients = sub_mut(from_mut(scratch, biases), 0, parts(samples) * elements);
    let (sum, others) = gradients.split_at_mut_checked(elements).unwrap_or_default();
    let others: &[f32] = others;
    // Added in order of the parts, by whomever.
    isa.split(elements / LINE, LINE * PARTS, [(sum, LINE)], |of, [sum]| {
        for part in rows(others, elements) {
            isa.alone().accumulate_f32(from(part, of.start * LINE), sum);
        }
    });
    let sum: &[f32] = sum;
    b.tile(0, sub(sum, biases, b.w.len()));
    if w.w.is_empty() {
        return;
    }
    let Layout { row, column } = Layout::best(conv);
    w.split(filters, 0, &mut [], |of, _, sink| {
        if column == 1 {
            return sink.tile(0, sub(sum, of.start * row, of.len() * row));
        }
        let mut buffer = [0.0; 64];
        for (filter, to) in of.zip((0..).step_by(patch)) {
            for first in (0..patch).step_by(buffer.len()) {
                let gradient = sub_mut(&mut buffer, 0, (patch - first).min(64));
                for (to, from) in gradient.iter_mut().zip(rows(from(sum, first * column), column)) {
                    *to = from.get(filter).copied().unwrap_or(0.0);
                }
                sink.tile(to + first, gradient);
            }
        }
    });
}
