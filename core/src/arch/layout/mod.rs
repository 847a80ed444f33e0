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
use crate::kernels::window::Window2d;

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

/// Where a patch, or a part of one, comes from: rows of taps, each in one piece in the input, and what lies beside it.
/// Everything in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Patch {
    /// Padding before the first row.
    pub above: usize,
    /// Rows that meet the input.
    pub rows: usize,
    /// Of each of them: padding before what lies inside,
    pub left: usize,
    /// what lies inside,
    pub len: usize,
    /// padding behind it.
    pub right: usize,
    /// Padding behind the last row.
    pub below: usize,
    /// Distance between rows in the input.
    pub distance: usize,
    /// What lies beside the input.
    pub pad: i8,
}

impl Patch {
    /// All of it padding.
    pub fn beside(bytes: usize, pad: i8) -> Self {
        Self { above: bytes, pad, ..Self::default() }
    }

    /// A single row inside.
    pub fn row(len: usize) -> Self {
        Self { rows: 1, len, ..Self::default() }
    }

    /// Whether it has padding.
    pub fn is_padded(&self) -> bool {
        self.above + self.left + self.right + self.below > 0
    }

    /// Bytes of the input from the first row's first to the last row's last.
    pub fn reach(&self) -> usize {
        self.rows.checked_sub(1).map_or(0, |last| last * self.distance + self.len)
    }

    /// Its rows, one by one: where in the patch each of them goes, if the first padding is at `at`, and what it is.
    #[inline(always)]
    pub fn pieces(&self, at: usize, x: &[i8], mut put: impl FnMut(usize, &[i8])) {
        for row in 0..self.rows {
            let to = at + self.above + row * (self.left + self.len + self.right) + self.left;
            put(to, sub(x, row * self.distance, self.len));
        }
    }
}

/// All windows of a convolution over one sample.
#[derive(Clone, Copy, Debug)]
pub struct Windows<'a> {
    /// Where they are.
    pub window: &'a Window2d,
    /// Bytes of a tap.
    pub channels: u32,
    /// Such a tap beside the input, and what fills its last word.
    pub pad: &'a [u32],
}

/// See the module's page. Methods do nothing where slices are shorter than the shape says.
pub trait Layout: Copy {
    /// Whose order it is.
    const ID: IsaId;

    /// Output pixels of a tile.
    const PIXELS: usize;

    /// Whether everything comes in fours of bytes: patches whose rows do not are put together in scratch first.
    const FOURS: bool = false;

    /// Whether [`Layout::side_by_side`] reads patches where they are.
    const SIDE_BY_SIDE: bool = false;

    /// Whether [`Layout::place_windows`] fills tiles. Others are filled pixel by pixel.
    const WINDOWS: bool = false;

    /// Words of scratch that patches of `patch` bytes take for one tile. Behind it lie those of a patch and one more,
    /// where patches are put together.
    fn tile_words(patch: usize) -> usize;

    /// Puts the patch of `pixel`, of `patch` bytes in all, or a part of it from byte `at` on, into a tile. A part has
    /// either nothing but rows inside or is a whole patch.
    #[inline]
    fn place(self, tile: &mut [u32], patch: usize, pixel: usize, at: usize, from: &Patch, x: &[i8]) {
        let _ = (tile, patch, pixel, at, from, x);
    }

    /// Puts the patches of neighbours, counted along the rows from pixel `first` on, into a tile, whatever borders they
    /// meet; those behind the last row do not matter. `x` is the sample.
    #[inline]
    fn place_windows(self, tile: &mut [u32], windows: &Windows<'_>, first: usize, x: &[i8]) {
        let _ = (tile, windows, first, x);
    }

    /// Puts whole patches without padding into a tile: the first pixel's lies in `x`, the next pixel's `apart` bytes
    /// further on.
    #[inline]
    fn place_tile(self, tile: &mut [u32], patch: usize, from: &Patch, apart: usize, x: &[i8]) {
        for pixel in 0..Self::PIXELS {
            self.place(tile, patch, pixel, 0, from, util::from(x, pixel * apart));
        }
    }

    /// All outputs of a tile: `y [PIXELS][count]`.
    fn filters(self, filters: &Filters<'_>, tile: &[u32], y: &mut [i8]);

    /// Several tiles of patches, `apart` in the input, as many as fill `y`.
    #[inline]
    fn tiles(self, filters: &Filters<'_>, from: &Patch, apart: usize, x: &[i8], tile: &mut [u32], y: &mut [i8]) {
        let mut start = 0;
        for y in util::rows_mut(y, Self::PIXELS * filters.count) {
            if from.is_padded() {
                for pixel in 0..Self::PIXELS {
                    self.place(tile, filters.patch, pixel, 0, from, util::from(x, start + pixel * apart));
                }
            } else {
                self.place_tile(tile, filters.patch, from, apart, util::from(x, start));
            }
            self.filters(filters, tile, y);
            start += Self::PIXELS * apart;
        }
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

/// Outputs within limits that are closer than those of 8 bits, to which the loops limit everything.
pub fn limit(lo: i32, hi: i32, y: &mut [i8]) {
    if (lo, hi) != (-128, 127) {
        for y in y {
            *y = i32::from(*y).max(lo).min(hi) as i8;
        }
    }
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
        IsaId::Thumb2 => task.run(words::Words(words::Twin::<2>)),
        IsaId::Rv32 => task.run(words::Words(words::Six)),
        IsaId::Thumb1 => task.run(words::Words(words::Twin::<1>)),
        IsaId::Scalar | IsaId::Avx2 | IsaId::Avx512 | IsaId::Avx2Exact | IsaId::Neon => {}
    }
}
