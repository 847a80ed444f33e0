//! Convolution, int8, tile by tile, for weights in a token's order: see [`crate::arch::layout`].

use super::Conv2d;
use crate::arch::layout::{self, Filters, Layout};
use crate::kernels::requantize::Requantize;
use crate::kernels::util::{copy, rows, rows_mut, sub, sub_mut};
use crate::kernels::window::Taps;
use crate::memory::view_mut;
use zerocopy::IntoBytes;

/// A convolution whose weights lie in a token's order.
#[derive(Debug)]
pub struct Tiled<'a> {
    /// Shape; one group, at least as many output pixels as a tile has.
    pub shape: &'a Conv2d,
    /// Input.
    pub x: &'a [i8],
    /// Weights, biases and multipliers.
    pub stream: &'a [u32],
    /// The input's zero point: what lies beside the input.
    pub pad: i8,
    /// Zero point and limits of the output.
    pub to: Requantize<'a>,
    /// A tile, and behind it [`gathered_words`].
    pub scratch: &'a mut [u32],
    /// Output.
    pub y: &'a mut [i8],
}

/// Words of scratch behind the tile: a patch, if its pieces are no whole words.
pub fn gathered_words(shape: &Conv2d) -> usize {
    if pieces_are_words(shape) { 0 } else { shape.patch().div_ceil(4) }
}

/// Whether every piece of a patch that lies in one piece in the input begins and ends at whole words; one that is the
/// whole patch may end anywhere.
fn pieces_are_words(shape: &Conv2d) -> bool {
    shape.in_c.is_multiple_of(4) || shape.window.taps() == 1
}

impl layout::Task for Tiled<'_> {
    fn run<L: Layout>(mut self, layout: L) {
        let shape = self.shape;
        let (pixels, out_c, patch) = (shape.window.out_pixels(), shape.out_c as usize, shape.patch());
        let Some(last) = pixels.checked_sub(L::PIXELS) else { return };
        let filters = Filters { stream: self.stream, patch, count: out_c, to: self.to };
        let scratch = core::mem::take(&mut self.scratch);
        let (tile, gathered) = scratch.split_at_mut_checked(L::tile_words(patch)).unwrap_or_default();
        let gathered = if pieces_are_words(shape) { Default::default() } else { view_mut(gathered.as_mut_bytes()) };
        let gathered = sub_mut(gathered, 0, patch);
        for (x, y) in rows(self.x, shape.in_elements()).zip(rows_mut(self.y, shape.out_elements())) {
            let mut next = 0;
            while next < pixels {
                // The last tile begins early enough to end with the last pixel, and computes some once more.
                let first = next.min(last);
                let mut window = Window::at(shape, x, self.pad, first);
                for pixel in 0..L::PIXELS {
                    window.place(layout, tile, pixel, gathered);
                    window.step();
                }
                layout.filters(&filters, tile, sub_mut(y, first * out_c, L::PIXELS * out_c));
                next += L::PIXELS;
            }
        }
    }
}

/// The input as one output position sees it.
struct Window<'a> {
    shape: &'a Conv2d,
    x: &'a [i8],
    pad: i8,
    out_y: usize,
    out_x: usize,
    down: Taps,
}

impl<'a> Window<'a> {
    /// At output pixel `pixel`, counted along the rows.
    fn at(shape: &'a Conv2d, x: &'a [i8], pad: i8, pixel: usize) -> Self {
        let out_w = shape.window.width.output as usize;
        let out_y = pixel.checked_div(out_w).unwrap_or(0);
        Self { shape, x, pad, out_y, out_x: pixel - out_y * out_w, down: shape.window.height.taps(out_y) }
    }

    /// To the next pixel.
    fn step(&mut self) {
        self.out_x += 1;
        if self.out_x == self.shape.window.width.output as usize {
            (self.out_x, self.out_y) = (0, self.out_y + 1);
            self.down = self.shape.window.height.taps(self.out_y);
        }
    }

    /// Puts what the filters meet here into the tile.
    #[inline]
    fn place<L: Layout>(&self, layout: L, tile: &mut [u32], pixel: usize, gathered: &mut [i8]) {
        let (shape, down) = (self.shape, self.down);
        let (height, width, patch) = (shape.window.height, shape.window.width, shape.patch());
        let across = width.taps(self.out_x);
        let inside = down.count == height.kernel as usize && across.count == width.kernel as usize;
        if !inside {
            layout.fill(tile, patch, pixel, self.pad);
            gathered.fill(self.pad);
        }
        let (in_c, kernel_w) = (shape.in_c as usize, width.kernel as usize);
        // A row of taps lies in one piece unless it is dilated.
        let (pieces, len) = if width.dilation == 1 { (1, across.count * in_c) } else { (across.count, in_c) };
        let row = height.dilation as usize * width.input as usize * in_c;
        let mut from = (down.input * width.input as usize + across.input) * in_c;
        let mut to = (down.first * kernel_w + across.first) * in_c;
        for _ in 0..down.count {
            for piece in 0..pieces {
                let x = sub(self.x, from + piece * width.dilation as usize * in_c, len);
                if gathered.is_empty() {
                    layout.place(tile, patch, pixel, to + piece * in_c, x);
                } else {
                    copy(x, sub_mut(gathered, to + piece * in_c, len));
                }
            }
            from += row;
            to += kernel_w * in_c;
        }
        if !gathered.is_empty() {
            layout.place(tile, patch, pixel, 0, gathered);
        }
    }
}
