//! The order in which a microcontroller's token reads int8 weights, and its loops over them.
//!
//! The host lays the weights of a layer out as one stream of words that the loop reads from its first word to its
//! last: weights in the order and width of the loop, and between them biases and what requantises the sums. So no
//! loop computes an address, adds an offset or meets a border. An image says for which token it was packed.
//!
//! A convolution works tile by tile: [`Layout::place`] puts the patches that [`Layout::PIXELS`] outputs see into
//! scratch, in the token's order, and [`Layout::filters`] computes all outputs of these pixels. Dense and depthwise
//! layers are one call each.
//!
//! | file | is |
//! |---|---|
//! | `mod.rs` | what a layout is, and choosing one |
//! | `packing.rs` | what the host does to weights (hosts only) |
//! | `dsp.rs`, … | for each layout its order and the *twin* of its loops in plain Rust (hosts only) |
//!
//! The loops themselves are the tokens', beside this folder. A twin reads the same stream and gives the same bytes:
//! it runs a device's image on a host, and it is what the loops are tested against.

#[cfg(any(test, feature = "std"))]
pub mod dsp;
#[cfg(any(test, feature = "std"))]
pub mod packing;
#[cfg(test)]
mod tests;

use super::{Isa, IsaId};
use crate::kernels::dense::Dense;
use crate::kernels::depthwise_conv2d::DepthwiseConv2d;
use crate::kernels::requantize::Requantize;

/// A layer's filters as a tile meets them.
#[derive(Clone, Copy, Debug)]
pub struct Filters<'a> {
    /// Weights, biases, multipliers: the stream.
    pub stream: &'a [u32],
    /// Bytes of a patch: weights of one filter.
    pub patch: usize,
    /// How many filters.
    pub count: usize,
    /// Zero point and limits of the outputs; its tables are empty.
    pub to: Requantize<'a>,
}

/// See the module's page. Methods do nothing where slices are shorter than the shape says.
pub trait Layout: Copy {
    /// Whose order it is.
    const ID: IsaId;

    /// Output pixels of a tile.
    const PIXELS: usize;

    /// Words of scratch that patches of `patch` bytes take for one tile.
    fn tile_words(patch: usize) -> usize;

    /// Puts bytes into the patch of `pixel`, from byte `at` on. `at` is a multiple of 4, and so is the length unless
    /// the piece ends the patch.
    fn place(self, tile: &mut [u32], patch: usize, pixel: usize, at: usize, x: &[i8]);

    /// Fills the patch of `pixel` with one value.
    fn fill(self, tile: &mut [u32], patch: usize, pixel: usize, value: i8);

    /// All outputs of a tile: `y [PIXELS][count]`.
    fn filters(self, filters: &Filters<'_>, tile: &[u32], y: &mut [i8]);

    /// A dense layer for one sample.
    fn dense(self, shape: &Dense, stream: &[u32], to: &Requantize<'_>, x: &[i8], y: &mut [i8]);

    /// A depthwise convolution for one sample; beside the input lies `pad_value`.
    fn depthwise(self, shape: &DepthwiseConv2d, layer: &Depthwise<'_>, scratch: &mut [u32], x: &[i8], y: &mut [i8]);
}

/// A depthwise layer's stream and what goes with it.
#[derive(Clone, Copy, Debug)]
pub struct Depthwise<'a> {
    /// Weights, biases, multipliers.
    pub stream: &'a [u32],
    /// The input's zero point: what lies beside the input.
    pub pad_value: i8,
    /// Zero point and limits of the outputs; its tables are empty.
    pub to: Requantize<'a>,
}

/// No order of its own: weights lie as [`crate::kernels`] say.
#[derive(Clone, Copy, Debug)]
pub struct Plain;

impl Layout for Plain {
    const ID: IsaId = IsaId::Scalar;
    const PIXELS: usize = 1;

    fn tile_words(_: usize) -> usize {
        0
    }

    fn place(self, _: &mut [u32], _: usize, _: usize, _: usize, _: &[i8]) {}

    fn fill(self, _: &mut [u32], _: usize, _: usize, _: i8) {}

    fn filters(self, _: &Filters<'_>, _: &[u32], _: &mut [i8]) {}

    fn dense(self, _: &Dense, _: &[u32], _: &Requantize<'_>, _: &[i8], _: &mut [i8]) {}

    fn depthwise(self, _: &DepthwiseConv2d, _: &Depthwise<'_>, _: &mut [u32], _: &[i8], _: &mut [i8]) {}
}

/// Work that is generic over the layout.
pub trait Task {
    /// Does it.
    fn run<L: Layout>(self, layout: L);
}

/// Runs `task` with the loops that read what was packed for `id`: the token's own, or on a host a twin.
#[inline]
pub fn run<I: Isa>(isa: I, id: IsaId, task: impl Task) {
    if id as u32 == <I::Layout as Layout>::ID as u32 {
        return task.run(isa.layout());
    }
    #[cfg(any(test, feature = "std"))]
    match id {
        IsaId::Dsp => task.run(dsp::Twin),
        IsaId::Mve | IsaId::Thumb2 | IsaId::Thumb1 | IsaId::Rv32 => {}
        IsaId::Scalar | IsaId::Avx2 | IsaId::Avx512 | IsaId::Avx2Exact => {}
    }
}
