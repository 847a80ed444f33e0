//! Convolutions: three pixels by two filters.

use super::limit;
use crate::arch::layout::{Filters, Patch};
use crate::kernels::util::{from, rows_mut};
use core::ptr::{null, null_mut};

/// Pixels of a tile.
pub const PIXELS: usize = 3;
/// Words of a tile for each four bytes of a patch.
pub const TILE_QUAD: usize = 2 * PIXELS;
/// Pairs of inputs in one round of the loop, which follow a first one.
const UNROLLED: usize = 12;

/// What the loop over filters is given.
#[repr(C)]
struct Arguments {
    stream: *const u32,
    tile_end: *const u32,
    y: *mut i8,
    /// Distance between the outputs of two pixels.
    distance: usize,
    /// Where the first pixel's outputs end.
    y_end: *mut i8,
    zero_point: i32,
    general: u32,
    tile: *const u32,
    /// Pairs of inputs that the first round leaves out.
    skipped: usize,
}

/// What the loop that places a patch is given; see [`Patch`]. Lengths are in bytes if a patch is `gathered` first, else
/// in fours of them, but for distances in the input.
#[repr(C)]
struct Places {
    x: *const i8,
    gathered: *mut u32,
    pad: u32,
    rows: usize,
    above: usize,
    left: usize,
    right: usize,
    len: usize,
    /// From behind what is inside to the next row.
    skip: usize,
    below: usize,
    quads: usize,
    to: *mut u32,
    /// Where the gathered patch begins.
    first: *mut u32,
}

unsafe extern "C" {
    fn embernet_dsp_filters(arguments: *const Arguments);
    fn embernet_dsp_place(places: *const Places);
    fn embernet_dsp_place_tile(x: *const i8, to: *mut u32, fours: usize, skip: usize, rows: usize, apart: usize);
}

impl Places {
    const NONE: Self = Self {
        x: null(),
        gathered: null_mut(),
        pad: 0,
        rows: 0,
        above: 0,
        left: 0,
        right: 0,
        len: 0,
        skip: 0,
        below: 0,
        quads: 0,
        to: null_mut(),
        first: null_mut(),
    };

    /// For a pixel whose patch has rows in `x`, from byte `at` of it on. False where slices are shorter than the shape says.
    fn set(&mut self, scratch: &mut [u32], patch: usize, pixel: usize, at: usize, from: &Patch, x: &[i8]) -> bool {
        let Patch { above, rows, left, len, right, below, distance, pad } = *from;
        let quads = patch.div_ceil(4);
        let Some((tile, gathered)) = scratch.split_at_mut_checked(quads * TILE_QUAD) else { return false };
        let end = at + above + rows * (left + len + right) + below;
        // Whole words go where they belong; a patch of other bytes, and parts of one, are put together first.
        let (gathers, part) = (gathered.len() > quads, rows == 0 || at > 0 || end < patch);
        let whole = (at | above | left | len | right | below).is_multiple_of(4) && !(gathers && part);
        let room = whole || gathers;
        if end > patch || from.reach() > x.len() || (rows > 0 && len == 0) || pixel >= PIXELS || !room {
            return false;
        }
        let shift = if whole { 2 } else { 0 };
        (self.x, self.rows, self.skip, self.quads) = (x.as_ptr(), rows, distance.wrapping_sub(len), quads);
        (self.above, self.left, self.len) = (above >> shift, left >> shift, len >> shift);
        (self.right, self.below) = (right >> shift, below >> shift);
        self.to = tile.as_mut_ptr().wrapping_add(pixel);
        if whole {
            self.pad = u32::from(i16::from(pad) as u16) * 0x1_0001;
            self.gathered = null_mut();
            self.to = self.to.wrapping_add(at / 4 * TILE_QUAD);
        } else {
            self.pad = u32::from(pad as u8) * 0x0101_0101;
            self.first = gathered.as_mut_ptr();
            self.gathered = self.first.wrapping_byte_add(at);
        }
        true
    }
}

/// [`crate::arch::layout::Layout::place`].
pub fn place(scratch: &mut [u32], patch: usize, pixel: usize, at: usize, from: &Patch, x: &[i8]) {
    let mut places = Places::NONE;
    if places.set(scratch, patch, pixel, at, from, x) {
        // SAFETY: `set` has found that all rows lie in `x` and the patch in the tile; and where patches are gathered, that
        // there is room for a patch and a word, which is as much as padding is written behind it.
        unsafe { embernet_dsp_place(&places) };
    }
}

/// A layer's filters and a tile, checked: what the loop relies on.
struct Loop<'a> {
    /// Of all pairs of filters.
    stream: &'a [u32],
    general: u32,
    tile: &'a [u32],
    quads: usize,
    zero_point: i32,
}

impl<'a> Loop<'a> {
    /// `None` where slices are shorter than the shape says.
    fn new(filters: &Filters<'a>, tile: &'a [u32]) -> Option<Self> {
        let quads = filters.patch.div_ceil(4);
        let (general, stream) = filters.stream.split_first()?;
        let stream = stream.get(..filters.count.div_ceil(2) * Self::pair_words(quads))?;
        let tile = tile.get(..quads * TILE_QUAD).filter(|_| quads > 0 && filters.count > 0)?;
        Some(Self { stream, general: *general, tile, quads, zero_point: filters.to.zero_point })
    }

    /// Words of a pair of filters.
    fn pair_words(quads: usize) -> usize {
        2 * quads + 6
    }

    /// What the loop takes to compute `pairs` of filters from `stream` on; their outputs begin at `y`, those of two
    /// pixels are `distance` apart.
    fn arguments(&self, stream: &[u32], pairs: usize, y: &mut [i8], distance: usize) -> Arguments {
        Arguments {
            stream: stream.as_ptr(),
            tile_end: self.tile.as_ptr_range().end,
            y: y.as_mut_ptr(),
            distance,
            y_end: y.as_mut_ptr().wrapping_add(2 * pairs),
            zero_point: self.zero_point,
            general: self.general,
            tile: self.tile.as_ptr(),
            skipped: UNROLLED - 1 - (2 * self.quads - 2) % UNROLLED,
        }
    }
}

/// [`crate::arch::layout::Layout::filters`].
pub fn filters(filters: &Filters<'_>, tile: &[u32], y: &mut [i8]) {
    let (count, pairs) = (filters.count, filters.count / 2);
    let (Some(tiled), Some(y)) = (Loop::new(filters, tile), y.get_mut(..PIXELS * count)) else { return };
    if pairs > 0 {
        let arguments = tiled.arguments(tiled.stream, pairs, y, count);
        // SAFETY: `Loop` has found tile and stream long enough. Each pair writes two outputs of each of three pixels,
        // which are `count` apart: all in `y`.
        unsafe { embernet_dsp_filters(&arguments) };
    }
    if count % 2 == 1 {
        // The last pair's second filter is none: its outputs go nowhere.
        let mut last = [0; 2 * PIXELS];
        let arguments = tiled.arguments(from(tiled.stream, pairs * Loop::pair_words(tiled.quads)), 1, &mut last, 2);
        // SAFETY: as above; the pair writes all of `last`.
        unsafe { embernet_dsp_filters(&arguments) };
        for (y, last) in rows_mut(y, count).zip(last.as_chunks::<2>().0) {
            if let (Some(y), [last, _]) = (y.last_mut(), last) {
                *y = *last;
            }
        }
    }
    limit(&filters.to, y);
}

/// [`crate::arch::layout::Layout::tiles`].
pub fn tiles(filters: &Filters<'_>, from: &Patch, apart: usize, x: &[i8], tile: &mut [u32], y: &mut [i8]) {
    let (Patch { rows, len, .. }, outputs) = (*from, filters.count);
    let tiles = y.len() / (PIXELS * outputs).max(1);
    let reach = (PIXELS * tiles).wrapping_sub(1).wrapping_mul(apart).wrapping_add(from.reach());
    let mut places = Places::NONE;
    let fits = tiles > 0 && x.len() >= reach;
    if !fits || !places.set(tile, filters.patch, 0, 0, from, x) {
        return;
    }
    let (to, quick) = (places.to, places.gathered.is_null() && rows * len == filters.patch);
    let Some(tiled) = Loop::new(filters, tile) else { return };
    let mut arguments = tiled.arguments(tiled.stream, outputs / 2, y, outputs);
    for y in rows_mut(y, PIXELS * outputs) {
        if quick {
            // SAFETY: `reach` says that all rows of all pixels lie in `x`, and `Loop` that the tile has room for their
            // patches.
            unsafe { embernet_dsp_place_tile(places.x, to, places.len, places.skip, rows, apart) };
            places.x = places.x.wrapping_add(PIXELS * apart);
        } else {
            for pixel in 0..PIXELS {
                places.to = to.wrapping_add(pixel);
                // SAFETY: likewise, and `set` has found room to gather a patch.
                unsafe { embernet_dsp_place(&places) };
                places.x = places.x.wrapping_add(apart);
            }
        }
        if !outputs.is_multiple_of(2) {
            self::filters(filters, tile, y);
            continue;
        }
        arguments.y = y.as_mut_ptr();
        arguments.y_end = arguments.y.wrapping_add(outputs);
        // SAFETY: as in `filters`.
        unsafe { embernet_dsp_filters(&arguments) };
    }
    limit(&filters.to, y);
}
