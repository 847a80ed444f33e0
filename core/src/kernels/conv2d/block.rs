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

mod backward;

pub use backward::{backward_f32, update};

use super::packed::{self, Strips};
use super::{Conv2d, float};
use crate::arch::{Isa, Pools};
use crate::kernels::pool::Pool2d;
use crate::kernels::util::{limit, rows, rows_mut, start_from_bias, sub_mut};
use crate::kernels::window::Window2d;
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
        if !self.pools() {
            return packed::rows_at_once(&self.conv);
        }
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

    /// Elements of the filters' panels, and of the gradient of weights.
    fn panel_elements(&self) -> usize {
        self.conv.weights().next_multiple_of(LINE)
    }

    /// Scratch for the forward step, in f32 elements: a strip for each part, if there is a pool, and the filters' panels
    /// unless they lie elsewhere.
    pub fn forward_scratch(&self, panels_elsewhere: bool) -> usize {
        let strips = if self.pools() { PARTS * self.strip_elements() } else { 0 };
        strips + if panels_elsewhere { 0 } else { self.panel_elements() }
    }

    /// Elements of a part's gradients: of the weights, then of the biases.
    fn part_elements(&self) -> usize {
        self.panel_elements() + (self.conv.out_c as usize).next_multiple_of(LINE)
    }

    /// Scratch for the backward step on so many samples, in f32 elements: filters, gradients of each part, and for each
    /// part the gradient in front of the pool of some samples.
    pub fn backward_scratch(&self, samples: usize) -> usize {
        let filters = self.panel_elements();
        let dense = if self.pools() { self.dense_samples(samples) * self.conv.out_elements() } else { 0 };
        let parts = PARTS.saturating_mul(self.part_elements().saturating_add(dense));
        filters.saturating_add(parts)
    }

    /// Samples whose gradients lie in front of the pool at a time.
    fn dense_samples(&self, samples: usize) -> usize {
        DENSE.checked_div(self.conv.out_elements()).unwrap_or(1).clamp(1, share_of_part(samples).max(1))
    }
}

/// Samples (or rows) of each part; the last one may have fewer.
fn share_of_part(total: usize) -> usize {
    total.div_ceil(PARTS)
}

/// How many parts have samples.
fn parts(total: usize) -> usize {
    let each = share_of_part(total);
    total.checked_div(each).unwrap_or(0) + usize::from(!total.is_multiple_of(each))
}

/// A convolution's filters.
#[derive(Clone, Copy, Debug)]
pub enum Filters<'a> {
    /// One after the other: scratch takes them as panels.
    Plain(&'a [f32]),
    /// As [`super::pack_panels`] left them.
    Panels(&'a [f32]),
}

/// `y = pool(clamp(conv(x, w) + b))`, and `places` for [`backward_f32`], which may be empty; `b` likewise, which
/// counts as zeros. Outputs have the bits of [`super::forward_f32`] and [`crate::kernels::max_pool::forward_f32`].
///
/// Threads share the rows of all samples' outputs, so that a single sample has work for several.
pub fn forward_f32<I: Isa>(
    isa: I,
    block: &Block,
    x: &[f32],
    filters: Filters<'_>,
    b: &[f32],
    limits: (f32, f32),
    scratch: &mut [f32],
    y: &mut [f32],
    places: &mut [f32],
) {
    let conv = &block.conv;
    let (panels, strips): (&[f32], _) = match filters {
        Filters::Plain(w) => {
            let (panels, strips) = scratch.split_at_mut_checked(block.panel_elements()).unwrap_or_default();
            packed::pack(isa, conv, w, panels);
            (panels, strips)
        }
        Filters::Panels(panels) => (panels, scratch),
    };
    let ((out_h, _), pools) = (block.out_size(), block.row_of_pools());
    let row = pools.count * pools.channels;
    let total = rows(y, row).len();
    let each = share_of_part(total);
    let cost = each.saturating_mul(float::cost(conv)).checked_div(out_h).unwrap_or(0);
    let slices = [(y, each * row), (places, each * row), (strips, block.strip_elements())];
    isa.split(parts(total), cost, slices, |of, [y, places, buffer]| {
        let (isa, mut y, mut places) = (isa.alone(), y, rows_mut(places, row));
        let start = of.start * each;
        for strip in Strips::new(start..start + rows(y, row).len(), out_h, block.rows_at_once()) {
            let (now, later) = core::mem::take(&mut y).split_at_mut_checked(strip.len() * row).unwrap_or_default();
            y = later;
            let (part, x) = strip.part(conv, block.pool_h as usize, x);
            let convolve = |sums: &mut [f32]| {
                isa.vectorize(|| start_from_bias(b, conv.out_c as usize, sums));
                packed::forward(isa, &part, x, panels, sums);
            };
            if !block.pools() {
                convolve(now);
                limit(isa, limits.0, limits.1, now);
                continue;
            }
            let sums = sub_mut(buffer, 0, strip.len() * block.row_elements());
            convolve(sums);
            for (x, y) in rows(sums, block.row_elements()).zip(rows_mut(now, row)) {
                isa.pool_f32(&pools, limits.0, limits.1, x, y, places.next().unwrap_or_default());
            }
        }
    });
}
