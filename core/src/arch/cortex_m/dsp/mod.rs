//! Cortex-M with the DSP extension: M4, M7, M33.
//!
//! The order of weights and the twins of the loops are in [`crate::arch::layout`]'s `dsp.rs`. Loops are written as a
//! whole, with all fourteen registers, because a compiler that is given single instructions keeps sums on the stack.
//! Each has a safe function beside it, its only caller, which checks lengths once for the whole call.

mod add;
mod bytes;
mod conv2d;
mod dense;
mod depthwise;

use crate::arch::layout::{self, Depthwise, Filters, Layout, Patch};
use crate::arch::{Isa, IsaId};
use crate::kernels::add::Sum;
use crate::kernels::dense::Dense;
use crate::kernels::depthwise_conv2d::DepthwiseConv2d;
use crate::kernels::requantize::Requantize;
use crate::memory::Slices;
use crate::plan::{Context, Stored};

core::arch::global_asm!(
    include_str!("macros.s"),
    include_str!("conv2d.s"),
    include_str!("dense.s"),
    include_str!("add.s"),
    include_str!("bytes.s"),
    include_str!("depthwise.s"),
    options(raw)
);

/// Proves that the core has the DSP extension.
#[derive(Clone, Copy, Debug)]
pub struct Dsp(());

impl Dsp {
    /// The token.
    ///
    /// # Safety
    /// The core has the DSP extension and loads words from any address (on Armv8-M and Armv7E-M it does out of reset).
    pub const unsafe fn new() -> Self {
        Self(())
    }
}

impl Isa for Dsp {
    const ID: IsaId = IsaId::Dsp;
    type Layout = Self;

    fn layout(self) -> Self {
        self
    }

    #[cfg(target_abi = "eabihf")]
    super::float::methods!();

    fn accumulate_i8(self, x: &[i8], acc: &mut [i32]) {
        bytes::accumulate(x, acc);
    }

    fn max_i8(self, x: &[i8], y: &mut [i8]) {
        bytes::max(x, y);
    }

    fn add_i8(self, sum: &Sum, a: Option<&[i8]>, b: Option<&[i8]>, y: &mut [i8]) {
        add::add(sum, a, b, y);
    }

    // Not inlined, so that a device program's kernels are compiled in this crate: its optimisation level is theirs.
    #[inline(never)]
    fn run_step(self, step: Stored<'_>, at: &mut Slices<'_>, context: &mut Context) {
        step.run(self, at, context);
    }
}

impl Layout for Dsp {
    const ID: IsaId = IsaId::Dsp;
    const PIXELS: usize = conv2d::PIXELS;
    const FOURS: bool = true;

    fn tile_words(patch: usize) -> usize {
        patch.div_ceil(4) * conv2d::TILE_QUAD
    }

    fn place(self, tile: &mut [u32], patch: usize, pixel: usize, at: usize, from: &Patch, x: &[i8]) {
        conv2d::place(tile, patch, pixel, at, from, x);
    }

    fn filters(self, filters: &Filters<'_>, tile: &[u32], y: &mut [i8]) {
        conv2d::filters(filters, tile, y);
    }

    fn tiles(self, filters: &Filters<'_>, from: &Patch, apart: usize, x: &[i8], tile: &mut [u32], y: &mut [i8]) {
        conv2d::tiles(filters, from, apart, x, tile, y);
    }

    fn dense(self, shape: &Dense, stream: &[u32], to: &Requantize<'_>, x: &[i8], y: &mut [i8]) {
        dense::dense(shape, stream, to, x, y);
    }

    fn depthwise(self, shape: &DepthwiseConv2d, layer: &Depthwise<'_>, _: &mut [u32], x: &[i8], y: &mut [i8]) {
        depthwise::depthwise(shape, layer, x, y);
    }
}

/// Limits of a layer.
fn limit(to: &Requantize<'_>, y: &mut [i8]) {
    layout::limit(to.lo, to.hi, y);
}
