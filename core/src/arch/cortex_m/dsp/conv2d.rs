//! Convolutions: three pixels by two filters.

use super::limit;
use crate::arch::layout::Filters;
use crate::kernels::util::{from, from_mut, rows_mut};

/// Pixels of a tile.
pub const PIXELS: usize = 3;
/// Words of a tile for each four bytes of a patch.
pub const TILE_QUAD: usize = 2 * PIXELS;
/// Fours of bytes in one round of the loop.
const UNROLLED: usize = 4;

#[repr(C)]
struct Arguments {
    stream: *const u32,
    tile_end: *const u32,
    zero_point: i32,
    y: *mut i8,
    /// Distance between the outputs of two pixels.
    distance: usize,
    /// Where the first pixel's outputs end.
    y_end: *mut i8,
    tile: *const u32,
    /// Fours that the first round leaves out.
    skipped: usize,
}

unsafe extern "C" {
    fn embernet_dsp_filters(arguments: *const Arguments);
    fn embernet_dsp_place(from: *const i8, end: *const i8, to: *mut u32);
}

/// [`crate::arch::layout::Layout::place`].
pub fn place(tile: &mut [u32], pixel: usize, at: usize, x: &[i8]) {
    let first = at / 4 * TILE_QUAD;
    let Some(tile) = tile.get_mut(first..first + x.len().div_ceil(4) * TILE_QUAD) else { return };
    let (whole, rest) = x.as_chunks::<4>();
    let Some(to) = tile.get_mut(pixel..).filter(|_| pixel < PIXELS) else { return };
    if !whole.is_empty() {
        let ends = whole.as_flattened().as_ptr_range();
        // SAFETY: the loop reads from `whole`, at least one four, and writes words 0 and `PIXELS` of as many sixes of
        // `tile` from `pixel` on, which are there: `pixel` is below `PIXELS`.
        unsafe { embernet_dsp_place(ends.start, ends.end, to.as_mut_ptr()) };
    }
    if !rest.is_empty() {
        let mut last = [0; 4];
        last.iter_mut().zip(rest).for_each(|(to, x)| *to = *x);
        let to = from_mut(to, whole.len() * TILE_QUAD);
        // SAFETY: as above, for one four.
        unsafe { embernet_dsp_place(last.as_ptr(), last.as_ptr().add(4), to.as_mut_ptr()) };
    }
}

/// [`crate::arch::layout::Layout::fill`].
pub fn fill(tile: &mut [u32], pixel: usize, value: i8) {
    let both = u32::from(i16::from(value) as u16) * 0x1_0001;
    for pixels in tile.chunks_exact_mut(PIXELS) {
        if let Some(to) = pixels.get_mut(pixel) {
            *to = both;
        }
    }
}

/// [`crate::arch::layout::Layout::filters`].
pub fn filters(filters: &Filters<'_>, tile: &[u32], y: &mut [i8]) {
    let (count, quads) = (filters.count, filters.patch.div_ceil(4));
    let pair = 2 * quads + 6;
    let (Some(tile), Some(y)) = (tile.get(..quads * TILE_QUAD), y.get_mut(..PIXELS * count)) else { return };
    let Some(stream) = filters.stream.get(..count.div_ceil(2) * pair) else { return };
    if quads == 0 || count == 0 {
        return;
    }
    let run = |stream: &[u32], pairs: usize, y: &mut [i8], distance: usize| {
        let arguments = Arguments {
            stream: stream.as_ptr(),
            tile_end: tile.as_ptr_range().end,
            zero_point: filters.to.zero_point,
            y: y.as_mut_ptr(),
            distance,
            y_end: y.as_mut_ptr().wrapping_add(2 * pairs),
            tile: tile.as_ptr(),
            skipped: quads.wrapping_neg() % UNROLLED,
        };
        // SAFETY: `tile` holds `quads` sixes and `stream` begins with as many pairs of filters of that length. Each
        // pair writes two outputs of each pixel, which are `distance` apart.
        unsafe { embernet_dsp_filters(&arguments) };
    };
    let pairs = count / 2;
    if pairs > 0 {
        run(stream, pairs, y, count);
    }
    if count % 2 == 1 {
        // The last pair's second filter is none: its outputs go nowhere.
        let mut last = [0; 2 * PIXELS];
        run(from(stream, pairs * pair), 1, &mut last, 2);
        for (y, last) in rows_mut(y, count).zip(last.as_chunks::<2>().0) {
            if let (Some(y), [last, _]) = (y.last_mut(), last) {
                *y = *last;
            }
        }
    }
    limit(&filters.to, y);
}
