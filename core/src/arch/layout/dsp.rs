//! The order of Cortex-M's DSP extension: pairs of 16-bit products, so everything comes in fours.
//!
//! SXTB16 makes 16-bit halves of the bytes 0 and 2 of a word, or of 1 and 3. Four bytes `k0 k1 k2 k3` of a patch so
//! become two words, `(k0, k2)` and `(k1, k3)`: two halves each, the first below. Weights follow: a word
//! holds `f0k0 f1k0 f0k2 f1k2`, from which SXTB16 makes filter 0's pair for the first of them, and SXTB16 of the word
//! turned by a byte filter 1's.
//!
//! - A tile has three pixels: for each four bytes of the patch six words, `(k0, k2)` of each pixel, `(k1, k3)` of
//!   each. A patch ends with a whole four; weights beyond its end are 0.
//! - A convolution's stream begins with a word that says which form of [`Factors`] it has: 0 is that of a layer that is
//!   clipped. Filters come in pairs (an odd one with zeros): two biases; for each four bytes two words; factors of both.
//! - A dense layer's filters come in fours: four biases; for each four inputs the words of filters 0 and 1 for
//!   `(k0, k2)`, those of 2 and 3, then both for `(k1, k3)`; factors of all four.
//! - A depthwise layer (three by three taps, see [`super::lines`]) has a word that says whether its lines run down the
//!   image and which form of factors it has, then six words for each channel: bias, factors, and three words with the nine taps, in the order that
//!   `TAPS` has them, the last one alone.

use super::lines::{GENERAL, Line, Lines, UPRIGHT};
use super::packing::{Layer, Packed, Packing};
use super::{Depthwise, Filters, Layout, Patch};
use crate::arch::IsaId;
use crate::kernels::conv2d::{Conv2d, row_bytes, scratch_words};
use crate::kernels::dense::Dense;
use crate::kernels::depthwise_conv2d::DepthwiseConv2d;
use crate::kernels::requantize::Requantize;
use std::vec::Vec;

/// Pixels of a tile. Three by two filters leave registers for a whole step of the loop: its four loads follow each
/// other, so that all but the first take one cycle. Four pixels would need fewer loads, but in two runs, and more RAM.
pub const PIXELS: usize = 3;
/// Words of a tile for each four bytes of a patch.
const TILE_QUAD: usize = 2 * PIXELS;

/// Words of a channel of a depthwise layer.
const CHANNEL_WORDS: usize = 6;

/// The taps of a depthwise layer as (row across the line, column along it): SXTB16 makes pairs of the first two rows of
/// each column, and one of the last row's first two columns.
const TAPS: [(usize, usize); 9] = [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (1, 2), (2, 1), (2, 2)];

/// The loops in plain Rust.
#[derive(Clone, Copy, Debug)]
pub struct Twin;

/// How a sum becomes an output in five instructions:
///
/// - `x = sum + (sum * doubled) / 2^32`, rounded, is `sum * multiplier / 2^31`, where `doubled` is `2 * multiplier`
///   less `2^32` (SMMLAR; exact for every sum);
/// - `4 x`, so that the next step has bits below the last one even where nothing is left to divide by;
/// - `4 x + x / 2^31` takes a little from a negative number, so that halves are rounded away from zero;
/// - its product with `power`, divided by `2^32` and rounded, is taken from the zero point, where `power` is `-2^30`
///   divided by the power of two (SMMLSR; `2^31`, which is needed below, has no positive form);
/// - SSAT limits it to 8 bits.
///
/// A layer is *clipped* if its outputs are limited to the zero point or above, where halves that are rounded the other
/// way below zero do not show, and all its factors are less than a half, so that `power` can be four times as great. Its
/// sums need neither the second instruction nor the third.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Factors {
    /// `2 * multiplier - 2^32`.
    pub doubled: i32,
    /// `-2^30 >> right shift`; clipped: `-2^32 >> right shift`.
    pub power: i32,
}

/// Sums must be smaller, so that four times what becomes of them has no more than 32 bits.
const MOST: i64 = 1 << 29;

impl Factors {
    /// Of a multiplier and a shift as TFLite has them. `None` where there is no such form: factors of 1 and more.
    fn new(multiplier: i32, shift: i32) -> Option<Self> {
        // Beyond 30 nothing but 0 is left either way.
        let right = shift.checked_neg().filter(|right| *right >= 0)?.min(30);
        (multiplier >= 1 << 30).then(|| Self { doubled: multiplier.wrapping_mul(2), power: -1 << (30 - right) })
    }

    /// Of a filter with these weights, whose sums must be proved small enough.
    fn of_filter(layer: &Layer<'_>, index: usize, weights: impl Iterator<Item = i8>) -> Option<Self> {
        let bias = i64::from(*layer.bias.get(index)?);
        let most = weights.fold(bias.abs(), |most, w| most + 128 * i64::from(w).abs());
        Self::new(*layer.multiplier.get(index)?, *layer.shift.get(index)?).filter(|_| most < MOST)
    }

    fn of(self, general: u32, sum: i32, zero_point: i32) -> i8 {
        let x = sum.wrapping_add(high_rounded(sum, self.doubled));
        let x = match (general, x.wrapping_shl(2)) {
            (0, _) => x,
            (_, x) => x.wrapping_add(x >> 31),
        };
        let taken = (i64::from(zero_point) << 32) - i64::from(x) * i64::from(self.power) + (1 << 31);
        (taken >> 32).clamp(-128, 127) as i8
    }
}

/// `a * b / 2^32`, rounded to nearest, halves up: SMMULR.
fn high_rounded(a: i32, b: i32) -> i32 {
    ((i64::from(a) * i64::from(b) + (1 << 31)) >> 32) as i32
}

/// Two halves, multiplied and added to a sum: SMLAD.
fn smlad(x: u32, w: u32, sum: i32) -> i32 {
    let half = |word: u32, shift: u32| i32::from((word >> shift) as i16);
    sum.wrapping_add(half(x, 0) * half(w, 0)).wrapping_add(half(x, 16) * half(w, 16))
}

/// Bytes 0 and 2 as 16-bit halves: SXTB16; those of the word turned by `8 * turn`.
fn halves(word: u32, turn: u32) -> u32 {
    let word = word.rotate_right(8 * turn);
    let half = |byte: u32| u32::from(i16::from(byte as i8) as u16);
    half(word) | half(word >> 16) << 16
}

fn word(bytes: [i8; 4]) -> u32 {
    u32::from_le_bytes(bytes.map(|byte| byte as u8))
}

/// The first four bytes; 0 beyond the end.
fn quad(x: &[i8]) -> u32 {
    let mut bytes = [0; 4];
    bytes.iter_mut().zip(x).for_each(|(to, x)| *to = *x);
    word(bytes)
}

impl Layout for Twin {
    const ID: IsaId = IsaId::Dsp;
    const PIXELS: usize = PIXELS;
    const FOURS: bool = true;

    fn tile_words(patch: usize) -> usize {
        patch.div_ceil(4) * TILE_QUAD
    }

    fn place(self, tile: &mut [u32], patch: usize, pixel: usize, at: usize, from: &Patch, x: &[i8]) {
        let mut put = |k: usize, x: i8| {
            let (quad, turn, half) = (k / 4, k % 2, k / 2 % 2);
            for word in tile.iter_mut().skip(quad * TILE_QUAD + turn * PIXELS + pixel).take(1) {
                *word = *word & !(0xffff << (16 * half)) | u32::from(i16::from(x) as u16) << (16 * half);
            }
        };
        if from.is_padded() {
            (0..patch).for_each(|k| put(k, from.pad));
        }
        from.pieces(at, x, |at, x| x.iter().enumerate().for_each(|(k, x)| put(at + k, *x)));
    }

    fn filters(self, filters: &Filters<'_>, tile: &[u32], y: &mut [i8]) {
        let quads = filters.patch.div_ceil(4);
        let Some((general, stream)) = filters.stream.split_first() else { return };
        for (pair, stream) in stream.chunks_exact(2 * quads + 6).enumerate() {
            let (bias, rest) = stream.split_at(2);
            let (weights, factors) = rest.split_at(2 * quads);
            for filter in (0..2).take_while(|filter| 2 * pair + filter < filters.count) {
                let factors = factors_at(factors, filter);
                for (pixel, y) in y.chunks_exact_mut(filters.count).enumerate() {
                    let x = tile.iter().skip(pixel).step_by(PIXELS);
                    let sum = x
                        .zip(weights)
                        .fold(start(bias, filter), |sum, (x, w)| smlad(*x, halves(*w, filter as u32), sum));
                    set(y, 2 * pair + filter, factors.of(*general, sum, filters.to.zero_point), &filters.to);
                }
            }
        }
    }

    fn dense(self, shape: &Dense, stream: &[u32], to: &Requantize<'_>, x: &[i8], y: &mut [i8]) {
        let quads = (shape.inputs as usize).div_ceil(4);
        for (four, stream) in stream.chunks_exact(4 * quads + 12).enumerate() {
            let (bias, rest) = stream.split_at(4);
            let (weights, factors) = rest.split_at(4 * quads);
            for filter in 0..4 {
                let sum = x.chunks(4).zip(weights.chunks(4)).fold(start(bias, filter), |sum, (x, w)| {
                    let of = |turn: usize, sum| {
                        let w = w.get(2 * turn + filter / 2).copied().unwrap_or(0);
                        smlad(halves(quad(x), turn as u32), halves(w, filter as u32 % 2), sum)
                    };
                    of(1, of(0, sum))
                });
                set(y, 4 * four + filter, factors_at(factors, filter).of(1, sum, to.zero_point), to);
            }
        }
    }

    fn depthwise(self, shape: &DepthwiseConv2d, layer: &Depthwise<'_>, _: &mut [u32], x: &[i8], y: &mut [i8]) {
        let Some((form, stream)) = layer.stream.split_first() else { return };
        let Some(Lines { stride, along, across, .. }) = Lines::of(shape, form & UPRIGHT != 0) else { return };
        for (channel, stream) in stream.chunks_exact(CHANNEL_WORDS).enumerate().take(shape.in_c as usize) {
            let taps = stream.iter().skip(3).flat_map(|word| word.to_le_bytes());
            let taps: Vec<i32> = taps.take(9).map(|tap| i32::from(tap as i8)).collect();
            for (line, column) in (0..across.outputs).flat_map(|l| (0..along.outputs).map(move |c| (l, c))) {
                let sum = TAPS.iter().zip(&taps).fold(start(stream, 0), |sum, (tap, w)| {
                    // A border wraps to a place far behind the input.
                    let place = |at: usize, tap: usize, line: &Line| {
                        (at * stride + tap)
                            .wrapping_sub(line.before.into())
                            .checked_mul(line.x)
                            .filter(|at| *at < line.inputs * line.x)
                    };
                    let at = place(line, tap.0, &across).zip(place(column, tap.1, &along));
                    let x = at.and_then(|(l, c)| x.get(l + c + channel)).copied().unwrap_or(layer.pad_value);
                    sum.wrapping_add(i32::from(x) * w)
                });
                let factors = factors_at(stream.get(1..).unwrap_or(&[]), 0);
                let at = line * across.y + column * along.y + channel;
                set(y, at, factors.of(form & GENERAL, sum, layer.to.zero_point), &layer.to);
            }
        }
    }
}

fn start(bias: &[u32], filter: usize) -> i32 {
    bias.get(filter).copied().unwrap_or(0) as i32
}

fn factors_at(factors: &[u32], filter: usize) -> Factors {
    let at = |index: usize| factors.get(2 * filter + index).copied().unwrap_or(0) as i32;
    Factors { doubled: at(0), power: at(1) }
}

fn set(y: &mut [i8], at: usize, value: i8, to: &Requantize<'_>) {
    if let Some(y) = y.get_mut(at) {
        *y = i32::from(value).max(to.lo).min(to.hi) as i8;
    }
}

/// One filter of a layer while it is packed; one beyond the last is all zeros.
struct Filter<'a> {
    weights: &'a [i8],
    bias: i32,
    factors: Factors,
}

impl Filter<'_> {
    fn weight(&self, k: usize) -> i8 {
        self.weights.get(k).copied().unwrap_or(0)
    }
}

/// The filters of a layer, rows of `patch` weights, with zeros up to a multiple of `group`.
fn filters<'a>(layer: &Layer<'a>, patch: usize, count: usize, group: usize) -> Option<Vec<Filter<'a>>> {
    let filter = |index: usize| {
        let weights = layer.weights.get(index * patch..(index + 1) * patch)?;
        let factors = Factors::of_filter(layer, index, weights.iter().copied())?;
        Some(Filter { weights, bias: *layer.bias.get(index)?, factors })
    };
    let nothing = || Filter { weights: &[], bias: 0, factors: Factors { doubled: 0, power: 0 } };
    let mut all = (0..count).map(filter).collect::<Option<Vec<_>>>()?;
    all.resize_with(count.next_multiple_of(group), nothing);
    Some(all)
}

/// The stream of groups of filters: biases, weights, factors.
fn stream(filters: &[Filter<'_>], group: usize, quads: usize) -> Vec<u32> {
    let mut stream = Vec::new();
    for filters in filters.chunks(group) {
        stream.extend(filters.iter().map(|filter| filter.bias as u32));
        for k in (0..4 * quads).step_by(4) {
            for turn in 0..2 {
                for pair in filters.chunks(2) {
                    let at = |filter: usize, k: usize| pair.get(filter).map_or(0, |filter| filter.weight(k));
                    let k = k + turn;
                    stream.push(word([at(0, k), at(1, k), at(0, k + 2), at(1, k + 2)]));
                }
            }
        }
        stream.extend(filters.iter().flat_map(|filter| [filter.factors.doubled as u32, filter.factors.power as u32]));
    }
    stream
}

/// The first word of a stream; where it says so, factors become those of a layer that is clipped.
fn general<'a>(layer: &Layer<'_>, factors: impl Iterator<Item = &'a mut Factors>) -> u32 {
    let mut factors: Vec<_> = factors.collect();
    let clipped = layer.lo >= layer.zero_point && factors.iter().all(|factors| factors.power > -1 << 30);
    if clipped {
        factors.iter_mut().for_each(|factors| factors.power = factors.power.wrapping_mul(4));
    }
    u32::from(!clipped)
}

impl Packing for Twin {
    fn takes_conv2d(&self, shape: &Conv2d) -> bool {
        shape.window.out_pixels() >= PIXELS
    }

    fn takes_depthwise(&self, shape: &DepthwiseConv2d) -> bool {
        Lines::of(shape, false).is_some()
    }

    fn conv2d(&self, shape: &Conv2d, layer: &Layer<'_>) -> Option<Packed> {
        // Weights as they meet a patch: rows of taps may end with padding.
        let (taps, row) = (shape.window.width.kernel as usize * shape.in_c as usize, row_bytes::<Self>(shape));
        let mut weights = Vec::new();
        for taps in layer.weights.chunks(taps.max(1)) {
            weights.extend(taps);
            weights.resize(weights.len() + row - taps.len(), 0);
        }
        let (layer, patch) = (&Layer { weights: &weights, ..*layer }, row * shape.window.height.kernel as usize);
        let mut filters = filters(layer, patch, shape.out_c as usize, 2)?;
        let mut words = std::vec![general(layer, filters.iter_mut().map(|filter| &mut filter.factors))];
        words.extend(stream(&filters, 2, patch.div_ceil(4)));
        Some(Packed { stream: words, scratch_words: scratch_words::<Self>(shape) })
    }

    fn dense(&self, shape: &Dense, layer: &Layer<'_>) -> Option<Packed> {
        let inputs = shape.inputs as usize;
        let filters = filters(layer, inputs, shape.outputs as usize, 4)?;
        Some(Packed { stream: stream(&filters, 4, inputs.div_ceil(4)), scratch_words: 0 })
    }

    fn depthwise(&self, shape: &DepthwiseConv2d, layer: &Layer<'_>) -> Option<Packed> {
        let channels = shape.out_c as usize;
        let upright = shape.window.height.output > shape.window.width.output;
        let of = |channel: usize| layer.weights.iter().skip(channel).step_by(channels).copied();
        let factors = (0..channels).map(|channel| Factors::of_filter(layer, channel, of(channel)));
        let mut factors = factors.collect::<Option<Vec<_>>>()?;
        let general = general(layer, factors.iter_mut());
        let mut stream = std::vec![if upright { UPRIGHT } else { 0 } | if general != 0 { GENERAL } else { 0 }];
        for (channel, factors) in factors.iter().enumerate() {
            stream.extend([*layer.bias.get(channel)?, factors.doubled, factors.power].map(|word| word as u32));
            let tap = |(across, along): (usize, usize)| {
                let (row, column) = if upright { (along, across) } else { (across, along) };
                layer.weights.get((row * 3 + column) * channels + channel).copied()
            };
            let taps = TAPS.map(tap).into_iter().collect::<Option<Vec<i8>>>()?;
            let (words, last) = taps.as_chunks();
            stream.extend(words.iter().map(|four| word(*four)));
            stream.extend(last.iter().map(|last| i32::from(*last) as u32));
        }
        Some(Packed { stream, scratch_words: 0 })
    }
}
