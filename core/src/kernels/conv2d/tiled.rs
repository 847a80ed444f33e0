//! Convolution, int8, tile by tile, for weights in a token's order: see [`crate::arch::layout`].

use super::Conv2d;
use crate::arch::layout::{self, Filters, Layout, Patch, Windows};
use crate::kernels::requantize::Requantize;
use crate::kernels::util::{from, rows, rows_mut, sub_mut};
use crate::kernels::window::{Taps, Window2d};
use core::ops::Range;

/// A convolution whose weights lie in a token's order.
#[derive(Debug)]
pub struct Tiled<'a> {
    /// Shape; one group.
    pub shape: &'a Conv2d,
    /// Input.
    pub x: &'a [i8],
    /// Weights, biases and multipliers.
    pub stream: &'a [u32],
    /// The input's zero point: what lies beside the input.
    pub pad: i8,
    /// Zero point and limits of the output.
    pub to: Requantize<'a>,
    /// See [`scratch_words`].
    pub scratch: &'a mut [u32],
    /// Output.
    pub y: &'a mut [i8],
}

/// Words of scratch: a tile, unless patches lie side by side in the input and are read there; and behind it a tap beside
/// the input, or a patch and a word where patches are put together first.
pub fn scratch_words<L: Layout>(shape: &Conv2d) -> usize {
    let patch = patch_bytes::<L>(shape);
    let behind = if L::WINDOWS {
        shape.in_c.div_ceil(4) as usize
    } else if L::FOURS && !shape.in_c.is_multiple_of(4) {
        patch.div_ceil(4) + 1
    } else {
        0
    };
    if reads_input::<L>(shape) { 0 } else { L::tile_words(patch) + behind }
}

/// Bytes of a row of taps in a patch: as many as they are, or whole fours if these take no more room.
pub fn row_bytes<L: Layout>(shape: &Conv2d) -> usize {
    let row = shape.window.width.kernel as usize * shape.in_c as usize;
    let (fours, rows) = (row.div_ceil(4), shape.window.height.kernel as usize);
    if L::FOURS && rows * fours == (rows * row).div_ceil(4) { 4 * fours } else { row }
}

/// Bytes of a patch.
fn patch_bytes<L: Layout>(shape: &Conv2d) -> usize {
    shape.window.height.kernel as usize * row_bytes::<L>(shape)
}

fn reads_input<L: Layout>(shape: &Conv2d) -> bool {
    L::SIDE_BY_SIDE && shape.window.is_pointwise()
}

/// A pointwise convolution as one over a single row.
fn in_one_row(shape: &Conv2d) -> Conv2d {
    let Window2d { height, width } = Window2d::pointwise(shape.window.out_pixels() as u32);
    Conv2d { window: Window2d { height: width, width: height }, ..*shape }
}

impl layout::Task for Tiled<'_> {
    fn run<L: Layout>(mut self, layout: L) {
        let one_row;
        let shape = if self.shape.window.is_pointwise() {
            // Where rows begin means nothing to it: as one row, all its tiles lie inside it.
            one_row = in_one_row(self.shape);
            &one_row
        } else {
            self.shape
        };
        let (pixels, out_c, patch) = (shape.window.out_pixels(), shape.out_c as usize, patch_bytes::<L>(shape));
        let filters = Filters { stream: self.stream, patch, count: out_c, to: self.to };
        if reads_input::<L>(self.shape) {
            return layout.side_by_side(&filters, self.x, self.y);
        }
        let tile_pixels = L::PIXELS.min(pixels);
        let last = pixels - tile_pixels;
        let scratch = core::mem::take(&mut self.scratch);
        let (tile, pad): (_, &mut [u32]) =
            if L::WINDOWS { scratch.split_at_mut(L::tile_words(patch).min(scratch.len())) } else { (scratch, &mut []) };
        pad.fill(u32::from_ne_bytes([self.pad as u8; 4]));
        let windows = Windows { window: &shape.window, channels: shape.in_c, pad };
        let walk = Walk::new::<L>(shape, self.pad);
        for (x, y) in rows(self.x, shape.in_elements()).zip(rows_mut(self.y, shape.out_elements())) {
            let mut next = 0;
            while next < pixels {
                if let Some((count, from, x)) = Window::at(&walk, x, next).run::<L>() {
                    let y = sub_mut(y, next * out_c, count * out_c);
                    layout.tiles(&filters, &from, walk.apart(), x, tile, y);
                    next += count;
                    continue;
                }
                // The last tile begins early enough to end with the last pixel, and computes some once more.
                let first = next.min(last);
                if L::WINDOWS {
                    layout.place_windows(tile, &windows, first, x);
                } else {
                    let mut window = Window::at(&walk, x, first);
                    for pixel in 0..tile_pixels {
                        window.place(layout, tile, pixel);
                        window.step();
                    }
                }
                layout.filters(&filters, tile, sub_mut(y, first * out_c, tile_pixels * out_c));
                next += tile_pixels;
            }
        }
    }
}

/// What all windows of a convolution have in common.
struct Walk<'a> {
    shape: &'a Conv2d,
    /// Columns of the output whose windows lie between the left and the right border.
    inner: Range<usize>,
    /// A patch inside the input, where a row of taps is one piece.
    inside: Patch,
}

impl<'a> Walk<'a> {
    fn new<L: Layout>(shape: &'a Conv2d, pad: i8) -> Self {
        let (height, width, in_c) = (shape.window.height, shape.window.width, shape.in_c as usize);
        let (first, last) = (width.outputs(0), width.outputs((width.kernel as usize).saturating_sub(1)));
        let distance = height.dilation as usize * width.input as usize * in_c;
        let rows = height.kernel as usize;
        let inside = Patch { rows, len: row_bytes::<L>(shape), distance, pad, ..Patch::default() };
        Self { shape, inner: first.start..last.end, inside }
    }

    /// Distance between the patches of neighbours in the input.
    fn apart(&self) -> usize {
        self.shape.window.width.stride as usize * self.shape.in_c as usize
    }
}

/// The input as one output position sees it.
struct Window<'a> {
    walk: &'a Walk<'a>,
    x: &'a [i8],
    out_y: usize,
    out_x: usize,
    down: Taps,
}

impl<'a> Window<'a> {
    /// At output pixel `pixel`, counted along the rows.
    fn at(walk: &'a Walk<'a>, x: &'a [i8], pixel: usize) -> Self {
        let out_w = walk.shape.window.width.output as usize;
        let out_y = pixel.checked_div(out_w).unwrap_or(0);
        Self { walk, x, out_y, out_x: pixel - out_y * out_w, down: walk.shape.window.height.taps(out_y) }
    }

    /// To the next pixel.
    #[inline(always)]
    fn step(&mut self) {
        let Window2d { height, width } = self.walk.shape.window;
        self.out_x += 1;
        if self.out_x == width.output as usize {
            (self.out_x, self.out_y) = (0, self.out_y + 1);
            self.down = height.taps(self.out_y);
        }
    }

    /// How many windows from here on meet neither the left nor the right border, in whole groups of `pixels`; their
    /// patches, and the input from the first one's first tap on. `None` if there are fewer, or a row of taps is not one
    /// piece, or the patches are padded and tiles may be filled at any border.
    #[inline(always)]
    fn run<L: Layout>(&self) -> Option<(usize, Patch, &'a [i8])> {
        let (Self { walk, down, .. }, pixels) = (self, L::PIXELS);
        let width = walk.shape.window.width;
        if self.out_x < walk.inner.start || width.dilation != 1 {
            return None;
        }
        let column = self.out_x * width.stride as usize - width.pad as usize;
        let x = from(self.x, (down.input * width.input as usize + column) * walk.shape.in_c as usize);
        let left = walk.inner.end.saturating_sub(self.out_x);
        let mut count = left - left % pixels;
        let patch = self.rows();
        if L::WINDOWS && patch.is_padded() {
            return None;
        }
        // What a row has behind its taps may lie behind the input.
        if count > 0 && patch.reach() + (count - 1) * walk.apart() > x.len() {
            count -= pixels;
        }
        (count > 0).then_some((count, patch, x))
    }

    /// A patch between the left and the right border.
    #[inline(always)]
    fn rows(&self) -> Patch {
        let Self { walk: Walk { inside, .. }, down, .. } = self;
        let (taps, row) = (inside.rows, inside.len);
        let above = down.first.min(taps);
        let below = (taps - above - down.count) * row;
        Patch { above: above * row, rows: down.count, below, ..*inside }
    }

    /// Puts what the filters meet here into the tile.
    #[inline(never)]
    fn place<L: Layout>(&self, layout: L, tile: &mut [u32], pixel: usize) {
        let Self { walk: Walk { shape, inside, .. }, down, .. } = self;
        let (width, in_c, patch) = (shape.window.width, shape.in_c as usize, inside.rows * inside.len);
        let (across, row, rows) = (width.taps(self.out_x), inside.len, self.rows());
        let x = from(self.x, (down.input * width.input as usize + across.input) * in_c);
        let (left, len) = (across.first * in_c, across.count * in_c);
        if len > 0 && width.dilation == 1 {
            let from = Patch { left, len, right: row - left - len, ..rows };
            return layout.place(tile, patch, pixel, 0, &from, x);
        }
        layout.place(tile, patch, pixel, 0, &Patch::beside(patch, inside.pad), &[]);
        // Columns of taps lie apart.
        for (ky, kx) in (0..down.count).flat_map(|ky| (0..across.count).map(move |kx| (ky, kx))) {
            let x = from(x, ky * inside.distance + kx * width.dilation as usize * in_c);
            let at = rows.above + ky * row + left + kx * in_c;
            layout.place(tile, patch, pixel, at, &Patch::row(in_c), x);
        }
    }
}
