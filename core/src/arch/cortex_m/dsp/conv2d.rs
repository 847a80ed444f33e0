//! Convolutions: three pixels by two filters.

use super::limit;
use crate::arch::layout::{Filters, Pieces};
use crate::kernels::util::{from, from_mut, rows_mut, sub};

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
    fn embernet_dsp_place(x: *const i8, to: *mut u32, fours: usize, skip: usize, rows: usize);
    fn embernet_dsp_gather(x: *const i8, to: *mut i8, bytes: usize, distance: usize, rows: usize);
}

/// [`crate::arch::layout::Layout::place`].
pub fn place(tile: &mut [u32], pixel: usize, at: usize, x: &[i8]) {
    let (whole, rest) = x.as_chunks::<4>();
    let tile = from_mut(tile, at / 4 * TILE_QUAD);
    place_words(tile, pixel, (1, 0, x.len() - rest.len()), x);
    if !rest.is_empty() {
        let mut last = [0; 4];
        last.iter_mut().zip(rest).for_each(|(to, x)| *to = *x);
        place_words(from_mut(tile, whole.len() * TILE_QUAD), pixel, (1, 0, 4), &last);
    }
}

/// So many pieces of whole words, from places at this distance, of this length, one behind the other.
fn place_words(tile: &mut [u32], pixel: usize, (count, distance, len): (usize, usize, usize), x: &[i8]) {
    let reach = count.wrapping_sub(1).wrapping_mul(distance).wrapping_add(len);
    if count == 0 || len == 0 || pixel >= PIXELS || x.len() < reach || tile.len() < count * len / 4 * TILE_QUAD {
        return;
    }
    let to = tile.as_mut_ptr().wrapping_add(pixel);
    // SAFETY: the loop reads `count` rows from `x`, whose end is within it, and writes words 0 and `PIXELS` of six for
    // each four bytes, which are in `tile`.
    unsafe { embernet_dsp_place(x.as_ptr(), to, len / 4, distance.wrapping_sub(len), count) };
}

/// [`crate::arch::layout::Layout::place_all`].
pub fn place_all(tile: &mut [u32], pixel: usize, pieces: &Pieces, x: &[i8]) {
    let Pieces { count, len, distance, at, pitch } = *pieces;
    if len % 4 == 0 && pitch == len {
        return place_words(from_mut(tile, at / 4 * TILE_QUAD), pixel, (count, distance, len), x);
    }
    for piece in 0..count {
        place(tile, pixel, at + piece * pitch, sub(x, piece * distance, len));
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

/// A layer's filters and a tile, checked: what the loop relies on.
struct Loop<'a> {
    stream: &'a [u32],
    tile: &'a [u32],
    quads: usize,
    zero_point: i32,
}

impl<'a> Loop<'a> {
    /// `None` where slices are shorter than the shape says.
    fn new(filters: &Filters<'a>, tile: &'a [u32]) -> Option<Self> {
        let quads = filters.patch.div_ceil(4);
        let stream = filters.stream.get(..filters.count.div_ceil(2) * Self::pair_words(quads))?;
        let tile = tile.get(..quads * TILE_QUAD).filter(|_| quads > 0 && filters.count > 0)?;
        Some(Self { stream, tile, quads, zero_point: filters.to.zero_point })
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
            zero_point: self.zero_point,
            y: y.as_mut_ptr(),
            distance,
            y_end: y.as_mut_ptr().wrapping_add(2 * pairs),
            tile: self.tile.as_ptr(),
            skipped: self.quads.wrapping_neg() % UNROLLED,
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
pub fn tiles(
    filters: &Filters<'_>,
    pieces: &Pieces,
    apart: usize,
    x: &[i8],
    (tile, gathered): (&mut [u32], &mut [i8]),
    y: &mut [i8],
) -> bool {
    let Pieces { count, distance, len, .. } = *pieces;
    let (outputs, patch) = (filters.count, filters.patch);
    let gathers = !gathered.is_empty();
    // Copying word by word reads up to three bytes behind a row, and writes as many behind the patch.
    let read = if gathers { len.next_multiple_of(4) } else { len };
    let pixels = y.len() / outputs.max(1);
    let reach = pixels.wrapping_sub(1) * apart + count.wrapping_sub(1) * distance + read;
    let holds = (gathered.len() >= patch + 3 || !gathers) && x.len() >= reach && patch == count * len;
    if pixels == 0 || outputs % 2 == 1 || read % 4 != 0 || len == 0 || !holds {
        return false;
    }
    let to = tile.as_mut_ptr();
    let Some(tiled) = Loop::new(filters, tile) else { return true };
    let mut arguments = tiled.arguments(tiled.stream, outputs / 2, y, outputs);
    (arguments.tile, arguments.tile_end) = (to, to.wrapping_add(tiled.quads * TILE_QUAD));
    let mut from = x.as_ptr();
    // The gathered patch ends with a whole four: what is behind it meets weights of 0.
    let (fours, skip, lines) = if gathers { (tiled.quads, 0, 1) } else { (len / 4, distance.wrapping_sub(len), count) };
    for _ in 0..pixels / PIXELS {
        for pixel in 0..PIXELS {
            let to = to.wrapping_add(pixel);
            // SAFETY: `reach` says that all rows of all pixels lie in `x`; `gathered` holds a patch and three bytes;
            // the tile holds a patch for each pixel, says `Loop`, and outputs lie in `y`, says `pixels`.
            unsafe {
                if gathers {
                    embernet_dsp_gather(from, gathered.as_mut_ptr(), len, distance, count);
                    embernet_dsp_place(gathered.as_ptr(), to, fours, skip, lines);
                } else {
                    embernet_dsp_place(from, to, fours, skip, lines);
                }
            }
            from = from.wrapping_add(apart);
        }
        // SAFETY: as above.
        unsafe { embernet_dsp_filters(&arguments) };
        arguments.y = arguments.y.wrapping_add(PIXELS * outputs);
        arguments.y_end = arguments.y_end.wrapping_add(PIXELS * outputs);
    }
    limit(&filters.to, y);
    true
}
