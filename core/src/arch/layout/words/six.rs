//! A convolution on a core with many registers: three pixels in two words.
//!
//! A tile has six pixels and, for each byte of the patch, four words: `x0 + (x2 << 21)` and `x1 + (x2 << 10)` of pixels
//! 0 to 2, the same of pixels 3 to 5. A sum of products with such words has the first or second pixel's sum in its lower
//! 21 bits; behind it the first word has the lower 11 bits of the third pixel's, and the second word, less these, the
//! upper ones. So many more products fit than if a word had two sums of 16 bits: blocks are long, and their ends cost
//! little.
//!
//! The stream is the length of blocks, a multiple of four, and then groups of four filters: for each filter its
//! [`NUMBERS`], but with twice the multiplier, and then for each index the weights of all four as the bytes of a word.
//! Filters beyond the last are the last one again, weights beyond the patch are 0.

use super::NUMBERS;
use super::tile::{Patches, put};
use crate::arch::layout::{Patch, Windows};
use crate::kernels::util::elements;
use crate::kernels::window::Window2d;

/// Pixels of a tile.
pub const PIXELS: usize = 6;
/// Filters of a group.
pub const GROUP: usize = 4;
/// Words of a tile for each byte.
const WORDS: usize = 4;
/// What magnitudes of a filter's weights in a block may add up to: then sums have 21 bits.
#[cfg(any(test, feature = "std"))]
pub const MOST: u32 = (1 << 13) - 1;

/// Indices of a filter's weights.
pub const fn indices(patch: usize) -> usize {
    patch.next_multiple_of(4)
}

/// Words of a tile.
pub const fn words(patch: usize) -> usize {
    WORDS * indices(patch)
}

/// Words of a group of filters.
pub const fn group_words(patch: usize) -> usize {
    NUMBERS * GROUP + indices(patch)
}

/// What the assembly of a tile is given; it counts `groups` down and moves `group` and `y`.
#[derive(Debug)]
#[repr(C)]
pub struct Arguments {
    x: *const u32,
    x_end: *const u32,
    /// Bytes of a block in the tile.
    block: usize,
    group: *const u32,
    groups: usize,
    y: *mut i8,
    /// Distance between pixels in `y`.
    distance: usize,
}

/// [`super::Loops::filters`] by `assembly`.
///
/// # Safety
/// `assembly` reads and writes what the module's page says: of the tile [`words`], of the stream [`group_words`] for each
/// group, and for each filter of a group it writes one output for each pixel.
pub unsafe fn filters(
    assembly: unsafe extern "C" fn(&mut Arguments),
    stream: &[u32],
    patch: usize,
    count: usize,
    tile: &[u32],
    y: &mut [i8],
) {
    let Some((block, groups)) = stream.split_first() else { return };
    let block = *block as usize;
    let fits = count.div_ceil(GROUP) * group_words(patch) <= groups.len() && words(patch) <= tile.len();
    // No more than the patch, so that places do not wrap.
    if !fits || patch == 0 || block == 0 || block > indices(patch) || !block.is_multiple_of(4) {
        return;
    }
    let x = tile.as_ptr();
    // An image of fewer pixels than a tile gets its outputs from a place that has room for all of them.
    let whole = if PIXELS * count <= y.len() { count / GROUP } else { 0 };
    let mut arguments = Arguments {
        x,
        x_end: x.wrapping_add(words(patch)),
        block: 4 * WORDS * block,
        group: groups.as_ptr(),
        groups: whole,
        y: y.as_mut_ptr(),
        distance: count,
    };
    if whole > 0 {
        // SAFETY: the slices were checked above.
        unsafe { assembly(&mut arguments) };
    }
    for group in whole..count.div_ceil(GROUP) {
        let mut last = [[0; GROUP]; PIXELS];
        (arguments.groups, arguments.distance) = (1, GROUP);
        arguments.y = last.as_flattened_mut().as_mut_ptr();
        // SAFETY: likewise; `last` has a place for each output of the group.
        unsafe { assembly(&mut arguments) };
        put(&last, group, count, y);
    }
}

/// [`super::Loops::place_tile`] by `assembly`.
///
/// # Safety
/// `assembly` reads the rows of six pixels, at least one byte, and writes four words for each byte of one pixel.
pub unsafe fn place_tile(
    assembly: unsafe extern "C" fn(&mut Patches),
    tile: &mut [u32],
    from: &Patch,
    apart: usize,
    x: &[i8],
) {
    if let Some(mut patches) = Patches::new(tile, (PIXELS, WORDS), from, apart, x) {
        // SAFETY: the slices were checked.
        unsafe { assembly(&mut patches) };
    }
}

/// What the assembly of [`place_windows`] is given. Distances in bytes.
#[derive(Debug)]
#[repr(C)]
pub struct Taps {
    tile: *mut u32,
    /// What lies beside the input.
    pad: *const u32,
    channels: usize,
    /// Rows and columns of the input,
    input: [u32; 2],
    /// of taps,
    kernel: [u32; 2],
    /// and between them.
    dilation: [u32; 2],
    /// From a tap to the next.
    next: usize,
    /// From behind a row of taps to the next.
    skip: usize,
    /// Of each pixel the first tap.
    first: [Tap; PIXELS],
}

/// A tap, which may lie beside the input.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Tap {
    x: *const i8,
    row: u32,
    column: u32,
}

/// [`super::Loops::place_windows`] by `assembly`.
///
/// # Safety
/// `assembly` reads the channels of those taps that lie in the input's rows and columns, and of all others those of the
/// padding, at least one; and it writes four words for each byte of one pixel.
pub unsafe fn place_windows(
    assembly: unsafe extern "C" fn(&Taps),
    tile: &mut [u32],
    windows: &Windows<'_>,
    first: usize,
    x: &[i8],
) {
    let Windows { window: Window2d { height, width }, channels, pad } = *windows;
    let fits = |of: [u32; 2], len: usize| elements([of[0], of[1], channels]).is_some_and(|most| most as usize <= len);
    let input = [height.input, width.input];
    let kernel = [height.kernel, width.kernel];
    if !fits(input, x.len()) || !fits(kernel, tile.len() / WORDS) || !fits([1, 1], 4 * pad.len()) {
        return;
    }
    // Places beside the input may wrap: places inside are what they are.
    let at = |row: u32, column: u32| row.wrapping_mul(width.input).wrapping_add(column).wrapping_mul(channels) as usize;
    let next = at(0, width.dilation);
    let mut out_y = (first as u32).checked_div(width.output).unwrap_or(0);
    let mut out_x = (first as u32).wrapping_sub(out_y.wrapping_mul(width.output));
    let place = |out_y: u32, out_x: u32| {
        let row = out_y.wrapping_mul(height.stride).wrapping_sub(height.pad);
        let column = out_x.wrapping_mul(width.stride).wrapping_sub(width.pad);
        Tap { x: x.as_ptr().wrapping_add(at(row, column)), row, column }
    };
    let mut taps = Taps {
        tile: tile.as_mut_ptr(),
        pad: pad.as_ptr(),
        channels: channels as usize,
        input,
        kernel,
        dilation: [height.dilation, width.dilation],
        next,
        skip: at(height.dilation, 0).wrapping_sub(next.wrapping_mul(width.kernel as usize)),
        first: [place(out_y, out_x); PIXELS],
    };
    for tap in taps.first.iter_mut().skip(1) {
        out_x += 1;
        if out_x >= width.output {
            (out_x, out_y) = (0, out_y + 1);
        }
        *tap = place(out_y, out_x);
    }
    // SAFETY: the slices were checked above.
    unsafe { assembly(&taps) };
}
