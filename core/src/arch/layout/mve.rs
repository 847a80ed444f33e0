//! The order of the vector extension (Helium): 16 bytes at a time.
//!
//! - A row of weights and the patch it meets are cut into pieces of 16 bytes. The first piece is the odd one: it has what
//!   the others leave, 1 to 16 bytes, so that a loop's last round is like all before it. Weights beyond its end are 0.
//! - Filters come in fours, the last of them with zeros: for each piece 16 bytes of each filter, then four biases, four
//!   multipliers and four shifts. Dense layers and convolutions have the same order.
//! - A tile has two pixels, one patch behind the other, each from a whole word on.
//! - Channels of a depthwise layer come in sixteens, the last of them with zeros: biases, 16 weights for each tap,
//!   multipliers, shifts. Products are widened by even and odd lanes twice, so that channels of tables have the order of
//!   [`LANES`].
//!
//! Shifts are to the right only, and sums never come near the limits of 32 bits. A sum of two products has 16 bits,
//! which is why a depthwise layer must have no weight of -128.

use super::packing::{Layer, Packed, Packing};
use super::{Depthwise, Filters, Layout, Patch};
use crate::arch::IsaId;
use crate::kernels::conv2d::{Conv2d, scratch_words};
use crate::kernels::dense::Dense;
use crate::kernels::depthwise_conv2d::DepthwiseConv2d;
use crate::kernels::requantize::Requantize;
use crate::kernels::util::{copy, from, rows, rows_mut, sub, sub_mut};
use crate::memory::{view, view_mut};
use crate::quant::requantize_i8;
use std::vec::Vec;
use zerocopy::IntoBytes;

/// Bytes of a vector.
const VECTOR: usize = 16;
/// Filters of a block.
const FILTERS: usize = 4;
/// Words of biases, multipliers and shifts of a block.
const TABLES: usize = 3 * FILTERS;
/// The channels of a sixteen, in the order of its tables.
pub const LANES: [usize; VECTOR] = [0, 4, 8, 12, 2, 6, 10, 14, 1, 5, 9, 13, 3, 7, 11, 15];

/// The loops in plain Rust.
#[derive(Clone, Copy, Debug)]
pub struct Twin;

/// The pieces of a row or of a patch.
fn pieces(row: &[i8]) -> impl Iterator<Item = &[i8]> {
    let first = row.len() - row.len().div_ceil(VECTOR).saturating_sub(1) * VECTOR;
    let (first, rest) = row.split_at(first);
    core::iter::once(first).chain(rest.chunks(VECTOR))
}

fn at(table: &[u32], index: usize) -> i32 {
    table.get(index).copied().unwrap_or(0) as i32
}

fn dot(sum: i32, x: &[i8], w: &[i8]) -> i32 {
    x.iter().zip(w).fold(sum, |sum, (x, w)| sum.wrapping_add(i32::from(*x) * i32::from(*w)))
}

fn scaled(sum: i32, multiplier: i32, shift: i32, to: &Requantize<'_>) -> i8 {
    requantize_i8(sum, multiplier, shift, to.zero_point, to.lo, to.hi)
}

impl Twin {
    fn pixel(filters: &Filters<'_>, x: &[i8], y: &mut [i8]) {
        let weights = FILTERS * VECTOR / 4 * filters.patch.div_ceil(VECTOR);
        let blocks = filters.stream.chunks_exact(weights + TABLES);
        for (stream, y) in blocks.zip(y.chunks_mut(FILTERS)) {
            let (weights, tables) = stream.split_at(weights);
            let weights: &[i8] = view(weights.as_bytes());
            for (filter, y) in y.iter_mut().enumerate() {
                let row = from(weights, filter * VECTOR).chunks(FILTERS * VECTOR);
                let sum = pieces(x).zip(row).fold(at(tables, filter), |sum, (x, w)| dot(sum, x, w));
                *y = scaled(sum, at(tables, FILTERS + filter), at(tables, 2 * FILTERS + filter), &filters.to);
            }
        }
    }
}

impl Layout for Twin {
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
            to.fill(from.pad);
        }
        from.pieces(at, x, |at, x| copy(x, sub_mut(to, at, x.len())));
    }

    fn filters(self, filters: &Filters<'_>, tile: &[u32], y: &mut [i8]) {
        let tile: &[i8] = view(tile.as_bytes());
        for (x, y) in rows(tile, 4 * filters.patch.div_ceil(4)).zip(rows_mut(y, filters.count)) {
            Self::pixel(filters, sub(x, 0, filters.patch), y);
        }
    }

    fn side_by_side(self, filters: &Filters<'_>, x: &[i8], y: &mut [i8]) {
        for (x, y) in rows(x, filters.patch).zip(rows_mut(y, filters.count)) {
            Self::pixel(filters, x, y);
        }
    }

    fn dense(self, shape: &Dense, stream: &[u32], to: &Requantize<'_>, x: &[i8], y: &mut [i8]) {
        let (patch, count) = (shape.inputs as usize, shape.outputs as usize);
        Self::pixel(&Filters { stream, patch, count, to: *to }, x, y);
    }

    fn depthwise(self, shape: &DepthwiseConv2d, layer: &Depthwise<'_>, _: &mut [u32], x: &[i8], y: &mut [i8]) {
        let (channels, window) = (shape.in_c as usize, shape.window);
        let block = 3 * VECTOR + window.taps() * VECTOR / 4;
        for (pixel, y) in rows_mut(y, channels).enumerate() {
            let out_w = window.width.output as usize;
            let (down, across) = (window.height.taps(pixel / out_w), window.width.taps(pixel % out_w));
            for (channel, y) in y.iter_mut().enumerate() {
                let stream = from(layer.stream, channel / VECTOR * block);
                let lane = LANES.iter().position(|lane| *lane == channel % VECTOR).unwrap_or(0);
                let weights: &[i8] = view(sub(stream, VECTOR, window.taps() * VECTOR / 4).as_bytes());
                let weights = from(weights, channel % VECTOR).chunks(VECTOR);
                let mut sum = at(stream, lane);
                for (tap, w) in weights.enumerate() {
                    let kernel_w = window.width.kernel as usize;
                    let (ky, kx) =
                        ((tap / kernel_w).wrapping_sub(down.first), (tap % kernel_w).wrapping_sub(across.first));
                    let x = if ky < down.count && kx < across.count {
                        let in_y = down.input + ky * window.height.dilation as usize;
                        let in_x = across.input + kx * window.width.dilation as usize;
                        from(x, (in_y * window.width.input as usize + in_x) * channels + channel)
                    } else {
                        &[layer.pad_value]
                    };
                    sum = dot(sum, sub(x, 0, 1), w);
                }
                let tables = from(stream, block - 2 * VECTOR);
                *y = scaled(sum, at(tables, lane), at(tables, VECTOR + lane), &layer.to);
            }
        }
    }
}

/// Whether the loops can have this layer's numbers: shifts to the right, and sums that stay clear of 32 bits.
fn fits(layer: &Layer<'_>, weights_of: impl Fn(usize) -> i64) -> bool {
    let right = layer.shift.iter().all(|shift| (-31..=0).contains(shift));
    let clear = |(output, bias): (usize, &i32)| i64::from(*bias).abs() + 128 * weights_of(output) < 1 << 30;
    right && layer.bias.iter().enumerate().all(clear)
}

fn magnitude<'a>(weights: impl Iterator<Item = &'a i8>) -> i64 {
    weights.map(|w| i64::from(w.unsigned_abs())).sum()
}

/// The stream of filters whose rows have `patch` weights.
fn filters(layer: &Layer<'_>, patch: usize, count: usize) -> Option<Vec<u32>> {
    let row = |filter: usize| if filter < count { sub(layer.weights, filter * patch, patch) } else { &[] };
    if !fits(layer, |filter| magnitude(row(filter).iter())) {
        return None;
    }
    let mut stream = Vec::new();
    for first in (0..count).step_by(FILTERS) {
        let block: Vec<Vec<&[i8]>> = (first..first + FILTERS).map(|filter| pieces(row(filter)).collect()).collect();
        for piece in 0..patch.div_ceil(VECTOR) {
            block.iter().for_each(|row| push(&mut stream, row.get(piece).unwrap_or(&(&[] as &[i8]))));
        }
        for table in [layer.bias, layer.multiplier, layer.shift] {
            stream.extend((first..first + FILTERS).map(|filter| table.get(filter).copied().unwrap_or(0) as u32));
        }
    }
    Some(stream)
}

/// Appends a vector: these bytes, then zeros.
fn push(stream: &mut Vec<u32>, bytes: &[i8]) {
    let mut vector = [0u32; VECTOR / 4];
    copy(bytes, view_mut(vector.as_mut_bytes()));
    stream.extend(vector.map(u32::from_le));
}

impl Packing for Twin {
    fn takes_conv2d(&self, _: &Conv2d) -> bool {
        true
    }

    fn takes_depthwise(&self, shape: &DepthwiseConv2d) -> bool {
        shape.multiplier == 1
    }

    fn conv2d(&self, shape: &Conv2d, layer: &Layer<'_>) -> Option<Packed> {
        let stream = filters(layer, shape.patch(), shape.out_c as usize)?;
        Some(Packed { stream, scratch_words: scratch_words::<Self>(shape) })
    }

    fn dense(&self, shape: &Dense, layer: &Layer<'_>) -> Option<Packed> {
        let stream = filters(layer, shape.inputs as usize, shape.outputs as usize)?;
        Some(Packed { stream, scratch_words: 0 })
    }

    fn depthwise(&self, shape: &DepthwiseConv2d, layer: &Layer<'_>) -> Option<Packed> {
        let (channels, taps) = (shape.in_c as usize, shape.window.taps());
        let of = |channel: usize| magnitude(from(layer.weights, channel).iter().step_by(channels));
        if layer.weights.contains(&i8::MIN) || !fits(layer, of) {
            return None;
        }
        let mut stream = Vec::new();
        for first in (0..channels).step_by(VECTOR) {
            let table = |table: &[i32]| LANES.map(|lane| table.get(first + lane).copied().unwrap_or(0) as u32);
            stream.extend(table(layer.bias));
            for row in rows(layer.weights, channels) {
                push(&mut stream, sub(row, first, VECTOR.min(channels - first)));
            }
            stream.extend(table(layer.multiplier));
            stream.extend(table(layer.shift));
        }
        // Addresses of the taps, their steps, and a pixel of padding.
        Some(Packed { stream, scratch_words: 2 * 4 * taps.div_ceil(4) + channels.div_ceil(4) })
    }
}
