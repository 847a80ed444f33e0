//! A convolution: two pixels in a word.
//!
//! A tile has four pixels and, for each byte of the patch, two words: `x0 + (x1 << 16)` of pixels 0 and 1, the same
//! of pixels 2 and 3.
//!
//! The stream is the distance between groups of filters in words, and then the groups. A group is for each filter its
//! [`NUMBERS`], and then bytes: blocks of weights, the group's filters in turn; before each block [`LONGEST`] less its
//! length. A filter beyond the last is the last one again. Behind the stream lie as many bytes as any lengths of
//! blocks lead to: a loop trusts no length.

use super::{LONGEST, NUMBERS};
use crate::arch::layout::Patch;
use crate::kernels::util::{from_mut, rows_mut};

/// Pixels of a tile. An even one overwrites what its neighbour had: they are placed in order.
pub const PIXELS: usize = 4;
/// Words of a tile for each byte.
const WORDS: usize = 2;

/// Where the bytes of a pixel go in a tile: the first of their words, and whether they are upper halves.
pub const fn place_of(pixel: usize) -> (usize, bool) {
    (pixel / 2, pixel % 2 == 1)
}

/// Words of a tile: those of the patch, and those that a loop may read behind them.
pub const fn words(patch: usize) -> usize {
    WORDS * (patch + LONGEST - 1)
}

/// Words that a loop may read of a group, whatever the lengths of its blocks say.
pub const fn most_words(group: usize, patch: usize) -> usize {
    NUMBERS * group + (patch + group * (patch + LONGEST - 1)).div_ceil(4)
}

/// What the assembly of a tile is given; it counts `groups` down and moves `group` and `y`.
#[derive(Debug)]
#[repr(C)]
pub struct Arguments {
    x: *const u32,
    x_end: *const u32,
    group: *const u32,
    /// Bytes from a group to the next.
    stride: usize,
    groups: usize,
    y: *mut i8,
    /// Distance between pixels in `y`.
    count: usize,
    /// Distance of the outputs of a group's second filter from those of the first.
    second: usize,
}

/// [`super::Loops::filters`] by `assembly`.
///
/// # Safety
/// `assembly` reads and writes what the module's page says: of the tile [`words`], of a group [`most_words`], and for
/// each filter it writes one output for each pixel.
pub unsafe fn filters<const GROUP: usize>(
    assembly: unsafe extern "C" fn(&mut Arguments),
    stream: &[u32],
    patch: usize,
    count: usize,
    tile: &[u32],
    y: &mut [i8],
) {
    let Some((stride, rows)) = stream.split_first() else { return };
    let (stride, groups) = (*stride as usize, count.div_ceil(GROUP));
    let last = groups.saturating_sub(1).saturating_mul(stride);
    let fits = last.saturating_add(most_words(GROUP, patch)) <= rows.len() && words(patch) <= tile.len();
    if !fits || patch == 0 {
        return;
    }
    let x = tile.as_ptr();
    // An image of fewer pixels than a tile gets its outputs from a place that has room for all of them.
    let whole_tile = PIXELS * count <= y.len();
    let whole = if whole_tile { count / GROUP } else { 0 };
    let mut arguments = Arguments {
        x,
        x_end: x.wrapping_add(WORDS * patch),
        group: rows.as_ptr(),
        stride: 4 * stride,
        groups: whole,
        y: y.as_mut_ptr(),
        count,
        second: 1,
    };
    if whole > 0 {
        // SAFETY: the slices were checked above.
        unsafe { assembly(&mut arguments) };
    }
    if whole_tile {
        if whole < groups {
            (arguments.groups, arguments.second) = (1, 0);
            // SAFETY: likewise; both filters have the same place.
            unsafe { assembly(&mut arguments) };
        }
        return;
    }
    for group in 0..groups {
        let mut last = [[0; GROUP]; PIXELS];
        (arguments.groups, arguments.count) = (1, GROUP);
        arguments.y = last.as_flattened_mut().as_mut_ptr();
        // SAFETY: likewise; `last` has a place for each output of the group.
        unsafe { assembly(&mut arguments) };
        put(&last, group, count, y);
    }
}

/// Outputs of a group of filters, of which the last ones may be none, to those pixels that `y [][count]` has.
pub fn put<const GROUP: usize>(outputs: &[[i8; GROUP]], group: usize, count: usize, y: &mut [i8]) {
    for (y, outputs) in rows_mut(y, count).zip(outputs) {
        from_mut(y, GROUP * group).iter_mut().zip(outputs).for_each(|(y, output)| *y = *output);
    }
}

/// [`super::Loops::place`] by `assembly`.
///
/// # Safety
/// `assembly` reads its bytes, at least one, and writes every second word, as many.
pub unsafe fn place(
    assembly: unsafe extern "C" fn(*const i8, *const i8, *mut u32, usize),
    tile: &mut [u32],
    pixel: usize,
    at: usize,
    x: &[i8],
) {
    let (first, upper) = place_of(pixel);
    if pixel < PIXELS && !x.is_empty() && WORDS * (at + x.len()) <= tile.len() {
        let (ends, to) = (x.as_ptr_range(), tile.as_mut_ptr().wrapping_add(WORDS * at + first));
        // SAFETY: the slices were checked above.
        unsafe { assembly(ends.start, ends.end, to, upper.into()) };
    }
}

/// What the assembly of [`place_tile`] is given; it counts `rows` down. Distances in bytes.
#[derive(Debug)]
#[repr(C)]
pub struct Patches {
    x: *const i8,
    tile: *mut u32,
    apart: usize,
    len: usize,
    rows: usize,
    /// From behind a piece to the next.
    skip: isize,
}

impl Patches {
    /// Of so many pixels, so many words for each byte; `None` if a slice is too short, or there is nothing.
    pub fn new(
        tile: &mut [u32],
        (pixels, words): (usize, usize),
        from: &Patch,
        apart: usize,
        x: &[i8],
    ) -> Option<Self> {
        let Patch { rows, len, distance, .. } = *from;
        let fits = from.reach() + (pixels - 1) * apart <= x.len() && words * rows * len <= tile.len();
        let skip = distance as isize - len as isize;
        let (x, tile) = (x.as_ptr(), tile.as_mut_ptr());
        (fits && len > 0 && rows > 0).then_some(Self { x, tile, apart, len, rows, skip })
    }
}

/// [`super::Loops::place_tile`] by `assembly`.
///
/// # Safety
/// `assembly` reads the pieces of four pixels, at least one byte, and writes two words for each byte of one pixel.
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
