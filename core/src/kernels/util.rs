//! Total helpers: what kernels use in place of indexing.

use crate::arch::Isa;
pub use crate::arch::{Rows, RowsMut};
use crate::optim::GradSink;
use zerocopy::IntoBytes;

// The first four choose numbers, not slices: a device does that without a jump, in half the bytes.

/// `items[start..start + len]`, or nothing if that leaves the slice.
#[inline(always)]
pub fn sub<T>(items: &[T], start: usize, len: usize) -> &[T] {
    let items = from(items, start);
    let len = if len <= items.len() { len } else { 0 };
    items.get(..len).unwrap_or(&[])
}

/// [`sub`] for writing.
#[inline(always)]
pub fn sub_mut<T>(items: &mut [T], start: usize, len: usize) -> &mut [T] {
    let items = from_mut(items, start);
    let len = if len <= items.len() { len } else { 0 };
    items.get_mut(..len).unwrap_or_default()
}

/// `items[start..]`, or nothing if that leaves the slice.
#[inline(always)]
pub fn from<T>(items: &[T], start: usize) -> &[T] {
    items.get(start.min(items.len())..).unwrap_or(&[])
}

/// [`from`] for writing.
#[inline(always)]
pub fn from_mut<T>(items: &mut [T], start: usize) -> &mut [T] {
    items.get_mut(start.min(items.len())..).unwrap_or_default()
}

/// Rows of `len` elements, what is left over excepted; none if `len` is 0.
///
/// Like the standard library's exact chunks, but walks without a division: those divide to know their number, which
/// costs a Cortex-M0 a call and every target a check for zero.
#[inline(always)]
pub fn rows<T>(items: &[T], len: usize) -> Rows<'_, T> {
    Rows::new(items, len)
}

/// [`rows`] for writing.
#[inline(always)]
pub fn rows_mut<T>(items: &mut [T], len: usize) -> RowsMut<'_, T> {
    RowsMut::new(items, len)
}

/// Copies as much as both have.
#[inline(always)]
pub fn copy<T: Copy>(from: &[T], to: &mut [T]) {
    // Not `copy_from_slice`: its check of lengths would leave a panic in a device's program.
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

/// Sets all to zero: as bytes, because a device's compiler knows a short way for those only.
#[inline(always)]
pub fn clear(values: &mut [f32]) {
    values.as_mut_bytes().fill(0);
}

/// Every row of `y` (`[rows][outputs]`) starts from the bias; an empty `b` counts as zeros.
// On a PC, so that its caller can have it compiled for an instruction set.
#[cfg_attr(target_os = "none", inline)]
#[cfg_attr(not(target_os = "none"), inline(always))]
pub fn start_from_bias(b: &[f32], outputs: usize, y: &mut [f32]) {
    if b.is_empty() {
        clear(y);
        return;
    }
    crate::arch::copy(b, sub_mut(y, 0, outputs));
    // Twice as many rows each time: a call for each row of a few elements would cost more than its copy.
    let mut done = outputs;
    while done > 0 && done < y.len() {
        let (from, to) = y.split_at_mut_checked(done).unwrap_or_default();
        crate::arch::copy(from, to);
        done *= 2;
    }
}

/// Limits every element to `lo..=hi`, if those are limits at all.
#[inline]
pub fn limit<I: Isa>(isa: I, lo: f32, hi: f32, y: &mut [f32]) {
    if lo > f32::NEG_INFINITY || hi < f32::INFINITY {
        isa.clamp_f32(lo, hi, y);
    }
}

/// The way back through relu, or relu6 and the like: `dy` becomes zero unless `0 < y < hi`.
pub fn relu_backward(hi: f32, y: &[f32], dy: &mut [f32]) {
    // Bits of positive floats have their order, those of negative ones and of not-a-number are greater than all.
    let before = |y: f32| y.to_bits().wrapping_sub(1);
    for (dy, y) in dy.iter_mut().zip(y) {
        if before(*y) >= before(hi) {
            *dy = 0.0;
        }
    }
}

/// Product of dimensions, if it fits 31 bits (an arena offset) and none is zero.
#[inline]
pub fn elements<const N: usize>(dims: [u32; N]) -> Option<u32> {
    product(&dims)
}

/// One copy for all numbers of dimensions.
#[inline(never)]
fn product(dims: &[u32]) -> Option<u32> {
    dims.iter().try_fold(1u32, |product, &dim| {
        product.checked_mul(dim).filter(|&product| product > 0 && product <= i32::MAX as u32)
    })
}

/// Gradient of a bias: for each output the sum of `dy` over all rows, in order. `dy` is `[rows][outputs]`.
///
/// Used by every layer whose bias is added to the last axis.
pub fn bias_backward<S: GradSink>(outputs: usize, dy: &[f32], tile: &mut [f32], sink: &mut S) {
    let step = tile.len().max(1);
    let mut start = 0;
    while start < outputs {
        let sums = sub_mut(tile, 0, step.min(outputs - start));
        sink.begin(start, sums);
        for row in rows(dy, outputs) {
            for (sum, dy) in sums.iter_mut().zip(sub(row, start, step.min(outputs - start))) {
                *sum += dy;
            }
        }
        sink.tile(start, sums);
        start += step;
    }
}
