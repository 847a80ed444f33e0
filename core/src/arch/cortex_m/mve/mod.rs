//! Cortex-M with the vector extension for integers (Helium): M55.
//!
//! The order of weights and the twins of the loops are in [`crate::arch::layout`]'s `mve.rs`. The compiler is told of the
//! processor in the assembly alone: nothing else in a device program uses vectors, which keeps it small, and the target
//! is that of every Armv8-M.

mod bytes;
mod depthwise;
mod filters;

use crate::arch::layout::{Depthwise, Filters, Layout, Patch};
use crate::arch::{Isa, IsaId};
use crate::kernels::add::Sum;
use crate::kernels::dense::Dense;
use crate::kernels::depthwise_conv2d::DepthwiseConv2d;
use crate::kernels::requantize::Requantize;
use crate::kernels::util::{sub, sub_mut};
use crate::memory::{Slices, signed_mut, view_mut};
use crate::plan::{Context, Stored};
use zerocopy::IntoBytes;

core::arch::global_asm!(
    ".cpu cortex-m55",
    include_str!("filters.s"),
    include_str!("depthwise.s"),
    include_str!("bytes.s"),
    ".cpu cortex-m33",
    options(raw)
);

/// Proves that the core has the vector extension.
#[derive(Clone, Copy, Debug)]
pub struct Mve(());

impl Mve {
    /// The token.
    ///
    /// # Safety
    /// The core has the vector extension for integers, it is switched on, and loads and stores of bytes, halfwords and
    /// words may have any address that is a multiple of their size (so it is once the runtime has enabled the FPU).
    pub const unsafe fn new() -> Self {
        Self(())
    }
}

impl Isa for Mve {
    const ID: IsaId = IsaId::Mve;
    type Layout = Self;

    fn layout(self) -> Self {
        self
    }

    #[cfg(target_abi = "eabihf")]
    super::float::methods!();

    fn dot_i8(self, init: i32, x: &[i8], w: &[i8]) -> i32 {
        bytes::dot(init, x, w)
    }

    fn matvec_i8(self, x: &[i8], w: &[i8], row: usize, acc: &mut [i32]) {
        for (output, acc) in acc.iter_mut().enumerate() {
            *acc = bytes::dot(*acc, x, sub(w, output * row, x.len()));
        }
    }

    fn accumulate_i8(self, x: &[i8], acc: &mut [i32]) {
        bytes::accumulate(x, acc);
    }

    fn max_i8(self, x: &[i8], y: &mut [i8]) {
        bytes::max(x, y);
    }

    fn add_i8(self, sum: &Sum, a: Option<&[i8]>, b: Option<&[i8]>, y: &mut [i8]) {
        if !bytes::add(sum, a, b, y) {
            sum.add(a, b, y);
        }
    }

    // Not inlined, so that a device program's kernels are compiled in this crate: its optimisation level is theirs.
    #[inline(never)]
    fn run_step(self, step: Stored<'_>, at: &mut Slices<'_>, context: &mut Context) {
        step.run(self, at, context);
    }
}

impl Layout for Mve {
    const ID: IsaId = IsaId::Mve;
    const PIXELS: usize = 2;
    const SIDE_BY_SIDE: bool = true;

    fn tile_words(patch: usize) -> usize {
        Self::PIXELS * patch.div_ceil(4)
    }

    fn place(self, tile: &mut [u32], patch: usize, pixel: usize, at: usize, from: &Patch, x: &[i8]) {
        let patch = 4 * patch.div_ceil(4);
        let to = sub_mut(view_mut(tile.as_mut_bytes()), pixel * patch, patch);
        if from.is_padded() {
            bytes::fill(to, from.pad);
        }
        bytes::copy(from, x, sub_mut(to, at, patch.wrapping_sub(at)));
    }

    fn place_tile(self, tile: &mut [u32], patch: usize, from: &Patch, apart: usize, x: &[i8]) {
        bytes::copy_two(from, apart, x, signed_mut(tile.as_mut_bytes()), 4 * patch.div_ceil(4));
    }

    fn filters(self, filters: &Filters<'_>, tile: &[u32], y: &mut [i8]) {
        filters::tile(filters, tile, y);
    }

    fn side_by_side(self, filters: &Filters<'_>, x: &[i8], y: &mut [i8]) {
        filters::side_by_side(filters, x, y);
    }

    fn dense(self, shape: &Dense, stream: &[u32], to: &Requantize<'_>, x: &[i8], y: &mut [i8]) {
        let (patch, count) = (shape.inputs as usize, shape.outputs as usize);
        filters::pixel(&Filters { stream, patch, count, to: *to }, x, y);
    }

    fn depthwise(self, shape: &DepthwiseConv2d, layer: &Depthwise<'_>, scratch: &mut [u32], x: &[i8], y: &mut [i8]) {
        depthwise::depthwise(shape, layer, scratch, x, y);
    }
}
