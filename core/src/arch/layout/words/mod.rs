//! The order of cores that multiply 32-bit words and nothing narrower: Cortex-M3, Cortex-M0, RV32IM.
//!
//! Two small numbers in one word, `a + (b << 16)`, times a third are two products at once, and a sum of such words is
//! two sums, exact while both fit 16 bits. The host knows the weights, so it cuts filters into *blocks* for which
//! that holds whatever the input. At the end of a block a loop adds the word to a total, which counts both halves
//! modulo 2^32, and the word's upper half, rounded, to a sum of its own; the sum of the lower halves is the total
//! less that.
//!
//! - A convolution's words hold two pixels; see [`tile`]. Or two words hold three, where there are registers for
//!   them; see [`six`].
//! - A dense layer's words hold two filters; see [`quad`], and [`octet`] where there are registers for more of them.
//! - A depthwise convolution has nothing to share within a word: its weights stay in registers; see [`band`].
//!
//! | file | is |
//! |---|---|
//! | `mod.rs` | what a core's loops are, and all three layers on them |
//! | `tile.rs`, `six.rs`, `quad.rs`, `octet.rs`, `band.rs` | for each layer what its numbers mean, and what assembly is given |
//! | `token.rs` | the token of a core with such loops (devices only) |
//! | `twin.rs` | the loops in plain Rust (hosts only) |
//! | `packing.rs` | what the host does to weights (hosts only) |
#![allow(unsafe_code)]

pub mod band;
pub mod octet;
#[cfg(any(test, feature = "std"))]
mod packing;
pub mod quad;
pub mod six;
pub mod tile;
#[cfg(all(target_os = "none", not(any(armv7em, armv8m))))]
mod token;
#[cfg(any(test, feature = "std"))]
mod twin;

#[cfg(all(target_os = "none", not(any(armv7em, armv8m))))]
pub(crate) use token::token;
#[cfg(any(test, feature = "std"))]
pub use twin::{Six, Twin};

use super::{Depthwise, Filters, Layout, Patch, Windows, limit};
use crate::arch::IsaId;
use crate::kernels::dense::Dense;
use crate::kernels::depthwise_conv2d::DepthwiseConv2d;
use crate::kernels::requantize::Requantize;
use crate::kernels::util::sub;
use band::{Band, Source};

/// The longest block.
pub const LONGEST: usize = 16;

/// Numbers of a filter beside its weights: bias, multiplier, rounding, power.
///
/// The bias is added to a multiple of the sum: twice the sum, or four times where a core multiplies signed words only.
/// Then the upper word of their product with the multiplier is `v`, twice the scaled sum, rounded down. The reference
/// rounds halves up and then divides by a power of two, rounding halves away from zero. That is one shift of
/// `v + 1 + rounding`, less 2 where `v + 1` is below zero; the rounding has the output's zero point in it.
///
/// A filter is *clipped* if its outputs are limited to the zero point or above: what lies below it does not show, so
/// the shift is that of `v + rounding`. Its power has [`CLIPPED`] and its rounding the 1.
pub const NUMBERS: usize = 4;
/// In the power of a filter: a bit that no shift looks at.
pub const CLIPPED: u32 = 1 << 31;

/// The inner loops of a core. All limit their outputs to `-128..=127`, and do nothing where a slice is too short.
pub trait Loops: Copy {
    /// Whose they are.
    const ID: IsaId;

    /// Pixels of a tile.
    const PIXELS: usize;

    /// See [`Layout::WINDOWS`].
    const WINDOWS: bool = false;

    /// Words of a tile.
    fn tile_words(patch: usize) -> usize;

    /// All outputs `y [PIXELS][count]` of a tile.
    fn filters(self, stream: &[u32], patch: usize, count: usize, tile: &[u32], y: &mut [i8]);

    /// All outputs of a dense layer.
    fn dense(self, stream: &[u32], x: &[i8], y: &mut [i8]);

    /// Some rows of outputs of four channels.
    fn band(self, band: &Band<'_>, y: &mut [i8]);

    /// Puts bytes of a pixel into a tile, from byte `at` of its patch on. Pixels that share words come in order.
    fn place(self, tile: &mut [u32], pixel: usize, at: usize, x: &[i8]) {
        let _ = (tile, pixel, at, x);
    }

    /// See [`Layout::place_windows`].
    fn place_windows(self, tile: &mut [u32], windows: &Windows<'_>, first: usize, x: &[i8]) {
        let _ = (tile, windows, first, x);
    }

    /// See [`Layout::place_tile`].
    fn place_tile(self, tile: &mut [u32], from: &Patch, apart: usize, x: &[i8]);

    /// Copies words into a band, with 128 added to each byte.
    fn gather(self, source: &Source<'_>, words: &mut [u32]);
}

/// The layout of these loops.
#[derive(Clone, Copy, Debug)]
pub struct Words<L>(pub L);

impl<L: Loops> Layout for Words<L> {
    const ID: IsaId = L::ID;
    const PIXELS: usize = L::PIXELS;
    const WINDOWS: bool = L::WINDOWS;

    fn tile_words(patch: usize) -> usize {
        L::tile_words(patch)
    }

    fn place(self, tile: &mut [u32], patch: usize, pixel: usize, at: usize, from: &Patch, x: &[i8]) {
        let values = [from.pad; 32];
        let mut put = |at: usize, x: &[i8]| self.0.place(tile, pixel, at, x);
        if from.is_padded() {
            for at in (0..patch).step_by(values.len()) {
                put(at, sub(&values, 0, values.len().min(patch - at)));
            }
        }
        from.pieces(at, x, put);
    }

    fn place_windows(self, tile: &mut [u32], windows: &Windows<'_>, first: usize, x: &[i8]) {
        self.0.place_windows(tile, windows, first, x);
    }

    fn place_tile(self, tile: &mut [u32], _: usize, from: &Patch, apart: usize, x: &[i8]) {
        self.0.place_tile(tile, from, apart, x);
    }

    fn filters(self, filters: &Filters<'_>, tile: &[u32], y: &mut [i8]) {
        self.0.filters(filters.stream, filters.patch, filters.count, tile, y);
        limit(filters.to.lo, filters.to.hi, y);
    }

    fn dense(self, _: &Dense, stream: &[u32], to: &Requantize<'_>, x: &[i8], y: &mut [i8]) {
        self.0.dense(stream, x, y);
        limit(to.lo, to.hi, y);
    }

    fn depthwise(self, shape: &DepthwiseConv2d, layer: &Depthwise<'_>, scratch: &mut [u32], x: &[i8], y: &mut [i8]) {
        band::depthwise(self.0, shape, layer, scratch, x, y);
        limit(layer.to.lo, layer.to.hi, y);
    }
}
