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
//! | `lines.rs` | the walk of `dsp.rs` over depthwise layers |
//! | `dsp.rs`, … | for each layout its order and the *twin* of its loops in plain Rust (hosts only) |
//!
//! The loops themselves are the tokens', beside this folder. A twin reads the same stream and gives the same bytes:
//! it runs a device's image on a host, and it is what the loops are tested against.

#[cfg(any(test, feature = "std"))]
pub mod dsp;
#[cfg(any(test, feature = "std", armv7em, armv8m))]
pub mod lines;
#[cfg(any(test, feature = "std"))]
pub mod mve;
#[cfg(any(test, feature = "std"))]
pub mod packing;
#[cfg(test)]
mod tests;
pub mod words;

use super::{Isa, IsaId};
use crate::kernels::dense::Dense;
use crate::kernels::depthwise_conv2d::DepthwiseConv2d;
use crate::kernels::requantize::Requantize;
use crate::kernels::util::{self, sub};

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

/// Pieces of a patch.
#[derive(Clone, Copy, Debug)]
pub struct Pieces {
    /// How many.
    pub count: usize,
    /// Bytes of each.
    pub len: usize,
    /// Distance between them in the input.
    pub distance: usize,
    /// Where the first one goes in the patch.
    pub at: usize,
    /// Distance between them in the patch.
    pub pitch: usize,
}

/// See the module's page. Methods do nothing where slices are shorter than the shape says.
pub trait Layout: Copy {
    /// Whose order it is.
    const ID: IsaId;

    /// Output pixels of a tile.
    const PIXELS: usize;

    /// Whether a piece of a patch may begin and end at any byte; else it does so at whole words, but for the last.
    const BYTES: bool = false;

    /// Whether [`Layout::side_by_side`] reads patches where they are.
    const SIDE_BY_SIDE: bool = false;

    /// Whether [`Layout::place_tile`] fills a whole tile at once.
    const TILES: bool = false;

    /// Whether [`Layout::tiles`] does several tiles at once.
    const RUNS: bool = false;

    /// Words of scratch that patches of `patch` bytes take for one tile.
    fn tile_words(patch: usize) -> usize;

    /// Puts bytes into the patch of `pixel`, from byte `at` on; see [`Layout::BYTES`].
    fn place(self, tile: &mut [u32], patch: usize, pixel: usize, at: usize, x: &[i8]);

    /// Puts several pieces into the patch of `pixel`.
    #[inline]
    fn place_all(self, tile: &mut [u32], patch: usize, pixel: usize, pieces: &Pieces, x: &[i8]) {
        for piece in 0..pieces.count {
            let x = sub(x, piece * pieces.distance, pieces.len);
            self.place(tile, patch, pixel, pieces.at + piece * pieces.pitch, x);
        }
    }

    /// Puts whole patches into a tile: the pieces of the first pixel's lie in `x`, the next pixel's `apart` bytes further
    /// on. They follow each other in the patch.
    #[inline]
    fn place_tile(self, tile: &mut [u32], patch: usize, pieces: &Pieces, apart: usize, x: &[i8]) {
        for pixel in 0..Self::PIXELS {
            self.place_all(tile, patch, pixel, pieces, util::from(x, pixel * apart));
        }
    }

    /// Fills the patch of `pixel` with one value.
    fn fill(self, tile: &mut [u32], patch: usize, pixel: usize, value: i8);

    /// All outputs of a tile: `y [PIXELS][count]`.
    fn filters(self, filters: &Filters<'_>, tile: &[u32], y: &mut [i8]);

    /// Several tiles of patches that lie inside, `apart` bytes from each other: as many as fill `y`. Scratch is a tile, and a
    /// place to put a patch together if it cannot be placed piece by piece, a word longer than it, else empty.
    #[inline]
    fn tiles(
        self,
        filters: &Filters<'_>,
        pieces: &Pieces,
        apart: usize,
        x: &[i8],
        scratch: (&mut [u32], &mut [i8]),
        y: &mut [i8],
    ) {
        tiles(self, filters, pieces, apart, x, scratch, y);
    }

    /// All outputs of pixels whose patches lie side by side in the input, `x [pixels][patch]`: `y [pixels][count]`.
    #[inline]
    fn side_by_side(self, filters: &Filters<'_>, x: &[i8], y: &mut [i8]) {
        let _ = (filters, x, y);
    }

    /// A dense layer for one sample.
    fn dense(self, shape: &Dense, stream: &[u32], to: &Requantize<'_>, x: &[i8], y: &mut [i8]);

    /// A depthwise convolution for one sample; beside the input lies `pad_value`.
    fn depthwise(self, shape: &DepthwiseConv2d, layer: &Depthwise<'_>, scratch: &mut [u32], x: &[i8], y: &mut [i8]);
}

/// [`Layout::tiles`], patch by patch.
pub fn tiles<L: Layout>(
    layout: L,
    filters: &Filters<'_>,
    pieces: &Pieces,
    apart: usize,
    x: &[i8],
    (tile, gathered): (&mut [u32], &mut [i8]),
    y: &mut [i8],
) {
    let (mut start, patch) = (0, filters.patch);
    for y in util::rows_mut(y, L::PIXELS * filters.count) {
        for pixel in 0..L::PIXELS {
            let x = util::from(x, start);
            for piece in 0..pieces.count {
                let (x, at) = (sub(x, piece * pieces.distance, pieces.len), piece * pieces.pitch);
                if gathered.is_empty() {
                    layout.place(tile, patch, pixel, at, x);
                } else {
                    util::copy(x, util::sub_mut(gathered, at, pieces.len));
                }
            }
            if !gathered.is_empty() {
                layout.place(tile, patch, pixel, 0, sub(gathered, 0, patch));
            }
            start += apart;
        }
        layout.filters(filters, tile, y);
    }
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
    let own = id as u32 == <I::Layout as Layout>::ID as u32;
    #[cfg(not(any(test, feature = "std")))]
    if own {
        task.run(isa.layout());
    }
    #[cfg(any(test, feature = "std"))]
    match id {
        _ if own => task.run(isa.layout()),
        IsaId::Dsp => task.run(dsp::Twin),
        IsaId::Mve => task.run(mve::Twin),
        IsaId::Thumb2 | IsaId::Rv32 => task.run(words::Words(words::Twin::<2>)),
        IsaId::Thumb1 => task.run(words::Words(words::Twin::<1>)),
        IsaId::Scalar | IsaId::Avx2 | IsaId::Avx512 | IsaId::Avx2Exact | IsaId::Neon => {}
    }
}
