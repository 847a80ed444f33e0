//! Convolution, int8, tile by tile, for weights in a token's order: see [`crate::arch::layout`].

use super::Conv2d;
use crate::arch::layout::{self, Filters, Layout, Pieces};
use crate::kernels::requantize::Requantize;
use crate::kernels::util::{copy, from, rows, rows_mut, sub, sub_mut};
use crate::kernels::window::{Taps, Window2d};
use crate::memory::view_mut;
use core::ops::Range;
use zerocopy::IntoBytes;

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

/// Words of scratch: a tile, unless patches lie side by side in the input and are read there; and behind it a patch
/// and a word, if its pieces cannot be placed one by one.
pub fn scratch_words<L: Layout>(shape: &Conv2d) -> usize {
    let gathered = if places_pieces::<L>(shape) { 0 } else { shape.patch().div_ceil(4) + 1 };
    if reads_input::<L>(shape) { 0 } else { L::tile_words(shape.patch()) + gathered }
}

fn reads_input<L: Layout>(shape: &Conv2d) -> bool {
    L::SIDE_BY_SIDE && shape.window.is_pointwise()
}

/// Whether every piece of a patch that lies in one piece in the input may be placed by itself: it begins and ends at
/// whole words, or any byte will do. One that is the whole patch may end anywhere.
fn places_pieces<L: Layout>(shape: &Conv2d) -> bool {
    L::BYTES || shape.in_c.is_multiple_of(4) || shape.window.taps() == 1
}

/// A pointwise convolution as one over a single row.
fn in_one_row(shape: &Conv2d) -> Conv2d {
    let Window2d { height, width } = Window2d::pointwise(shape.window.out_pixels() as u32);
    Conv2d { window: Window2d { height: width, width: height }, ..*shape }
}

impl layout::Task for Tiled<'_> {
    fn run<L: Layout>(mut self, layout: L) {
        let one_row;
        let shape = if (L::TILES || L::RUNS) && self.shape.window.is_pointwise() {
            // Where rows begin means nothing to it: as one row, all its tiles lie inside it.
            one_row = in_one_row(self.shape);
            &one_row
        } else {
            self.shape
        };
        let (pixels, out_c, patch) = (shape.window.out_pixels(), shape.out_c as usize, shape.patch());
        let filters = Filters { stream: self.stream, patch, count: out_c, to: self.to };
        if reads_input::<L>(shape) {
            return layout.side_by_side(&filters, self.x, self.y);
        }
        let tile_pixels = L::PIXELS.min(pixels);
        let last = pixels - tile_pixels;
        let scratch = core::mem::take(&mut self.scratch);
        let (tile, gathered) = scratch.split_at_mut_checked(L::tile_words(patch)).unwrap_or_default();
        let gathered = if places_pieces::<L>(shape) { Default::default() } else { view_mut(gathered.as_mut_bytes()) };
        let walk = Walk::new(shape, self.pad);
        for (x, y) in rows(self.x, shape.in_elements()).zip(rows_mut(self.y, shape.out_elements())) {
            let mut next = 0;
            while next < pixels {
                if L::RUNS
                    && let Some((count, x)) = Window::at(&walk, x, next).run(L::PIXELS)
                {
                    let y = sub_mut(y, next * out_c, count * out_c);
                    layout.tiles(&filters, &walk.pieces, walk.apart(), x, (tile, gathered), y);
                    next += count;
                    continue;
                }
                // The last tile begins early enough to end with the last pixel, and computes some once more.
                let first = next.min(last);
                let mut window = Window::at(&walk, x, first);
                match window.inside(L::PIXELS).filter(|_| L::TILES) {
                    Some(x) => layout.place_tile(tile, patch, &walk.pieces, walk.apart(), x),
                    None => {
                        for pixel in 0..tile_pixels {
                            window.place(layout, tile, pixel, gathered);
                            window.step();
                        }
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
    pad: i8,
    /// Bytes of a patch.
    patch: usize,
    /// Columns of the output whose windows lie between the left and the right border.
    inner: Range<usize>,
    /// The pieces of a patch inside the input, where a row of taps is one piece.
    pieces: Pieces,
}

impl<'a> Walk<'a> {
    fn new(shape: &'a Conv2d, pad: i8) -> Self {
        let (height, width, in_c) = (shape.window.height, shape.window.width, shape.in_c as usize);
        let (first, last) = (width.outputs(0), width.outputs((width.kernel as usize).saturating_sub(1)));
        let row = width.kernel as usize * in_c;
        let distance = height.dilation as usize * width.input as usize * in_c;
        let pieces = Pieces { count: height.kernel as usize, len: row, distance, at: 0, pitch: row };
        Self { shape, pad, patch: shape.patch(), inner: first.start..last.end, pieces }
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

    /// The input from the first tap on, if this window and the next ones, `pixels` of them in this row, lie inside, and
    /// a row of taps is one piece.
    #[inline(always)]
    fn inside(&self, pixels: usize) -> Option<&'a [i8]> {
        let Self { walk, down, .. } = self;
        let Window2d { height, width } = walk.shape.window;
        let across = walk.inner.contains(&self.out_x) && self.out_x + pixels <= walk.inner.end;
        if !across || down.count != height.kernel as usize || width.dilation != 1 {
            return None;
        }
        let column = self.out_x * width.stride as usize - width.pad as usize;
        Some(from(self.x, (down.input * width.input as usize + column) * walk.shape.in_c as usize))
    }

    /// How many windows from here on lie inside, in whole groups of `pixels`, and the input as [`Window::inside`] has it.
    #[inline(always)]
    fn run(&self, pixels: usize) -> Option<(usize, &'a [i8])> {
        let x = self.inside(pixels)?;
        let left = self.walk.inner.end - self.out_x;
        Some((left - left % pixels, x))
    }

    /// Puts what the filters meet here into the tile.
    #[inline(always)]
    fn place<L: Layout>(&self, layout: L, tile: &mut [u32], pixel: usize, gathered: &mut [i8]) {
        if let Some(x) = self.inside(1).filter(|_| gathered.is_empty()) {
            layout.place_all(tile, self.walk.patch, pixel, &self.walk.pieces, x);
        } else {
            self.place_any(layout, tile, pixel, gathered);
        }
    }

    /// [`Window::place`] at borders, of dilated windows, or by way of a gathered patch.
    #[inline(never)]
    fn place_any<L: Layout>(&self, layout: L, tile: &mut [u32], pixel: usize, gathered: &mut [i8]) {
        let Self { walk, down, .. } = self;
        let Walk { patch, pieces, .. } = walk;
        let (Window2d { height, width }, in_c) = (walk.shape.window, walk.shape.in_c as usize);
        let across = width.taps(self.out_x);
        if down.count < height.kernel as usize || across.count < width.kernel as usize {
            if gathered.is_empty() {
                layout.fill(tile, *patch, pixel, walk.pad);
            }
            gathered.fill(walk.pad);
        }
        let at = (down.input * width.input as usize + across.input) * in_c;
        let to = down.first * pieces.pitch + across.first * in_c;
        let mut place = |at: usize, pieces: &Pieces| {
            let x = from(self.x, at);
            if gathered.is_empty() {
                return layout.place_all(tile, *patch, pixel, pieces, x);
            }
            for piece in 0..pieces.count {
                let to = sub_mut(gathered, pieces.at + piece * pieces.pitch, pieces.len);
                copy(sub(x, piece * pieces.distance, pieces.len), to);
            }
        };
        // A row of taps lies in one piece unless it is dilated.
        if width.dilation == 1 {
            place(at, &Pieces { count: down.count, len: across.count * in_c, at: to, ..*pieces });
        } else {
            let distance = width.dilation as usize * in_c;
            for ky in 0..down.count {
                let to = to + ky * pieces.pitch;
                let taps = Pieces { count: across.count, len: in_c, distance, at: to, pitch: in_c };
                place(at + ky * pieces.distance, &taps);
            }
        }
        if !gathered.is_empty() {
            layout.place(tile, *patch, pixel, 0, sub(gathered, 0, *patch));
        }
    }
}
