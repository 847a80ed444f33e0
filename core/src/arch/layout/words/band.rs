//! A depthwise convolution with 3x3 windows: one channel at a time, with its weights in registers.
//!
//! What four channels of some rows of outputs see is copied into a *band*: a word is one pixel's four channels, each
//! with 128 added; beside the input lies the pad value. So a loop over its columns meets no border, and loads weights
//! once for all of them. The stream has for each channel its [`NUMBERS`], the bias less 128 times its weights, and
//! then its nine weights, row by row, and three bytes of nothing.

use super::{Loops, NUMBERS};
use crate::arch::layout::Depthwise;
use crate::kernels::depthwise_conv2d::DepthwiseConv2d;
use crate::kernels::util::{from, from_mut, rows, sub_mut};
use crate::kernels::window::Axis;
use crate::memory::view;
use zerocopy::IntoBytes;

/// Channels of a band.
pub const CHANNELS: usize = 4;
/// Rows and columns of a window.
pub const TAPS: usize = 3;
/// Words of a channel in the stream.
pub const CHANNEL_WORDS: usize = NUMBERS + 3;
/// Words of a band, unless a single row of outputs sees more: enough that loading weights costs little.
#[cfg(any(test, feature = "std"))]
const BAND_WORDS: usize = 200;

/// Some rows of outputs of four channels.
#[derive(Clone, Copy, Debug)]
pub struct Band<'a> {
    /// What they see.
    pub words: &'a [u32],
    /// Words of a row.
    pub columns: usize,
    /// Numbers and weights of the channels.
    pub channels: &'a [u32],
    /// Rows of outputs.
    pub rows: usize,
    /// Outputs of a row.
    pub count: usize,
    /// Columns, and rows, from a window to the next.
    pub step: [usize; 2],
    /// Distance between outputs in a row; rows follow each other.
    pub y_step: usize,
}

impl Band<'_> {
    /// Whether the slices are as long as the rest says; `y` is that of the outputs.
    pub fn fits(&self, y: usize) -> bool {
        let (Some(row), Some(last)) = (self.rows.checked_sub(1), self.count.checked_sub(1)) else { return false };
        let [across, down] = self.step;
        last * across + TAPS <= self.columns
            && (row * down + TAPS) * self.columns <= self.words.len()
            && CHANNELS * CHANNEL_WORDS <= self.channels.len()
            && (row * self.count + last) * self.y_step + CHANNELS <= y
            && across > 0
    }
}

/// A rectangle of words in the input, and where it goes in a band.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The input from the first of them on.
    pub x: &'a [u32],
    /// Distance between them.
    pub step: usize,
    /// Distance between rows.
    pub row: usize,
    /// Rows.
    pub rows: usize,
    /// Words of a row.
    pub columns: usize,
    /// Distance between rows in the band.
    pub pitch: usize,
}

impl Source<'_> {
    /// Whether there is something, and the slices are as long as the rest says; `words` is that of the band.
    pub fn fits(&self, words: usize) -> bool {
        let (Some(row), Some(last)) = (self.rows.checked_sub(1), self.columns.checked_sub(1)) else { return false };
        row * self.row + last * self.step < self.x.len() && row * self.pitch + last < words
    }
}

/// Columns of a layer's bands.
fn columns(shape: &DepthwiseConv2d) -> usize {
    let width = shape.window.width;
    (width.output as usize - 1) * width.stride as usize + TAPS
}

/// Words of scratch of a layer.
#[cfg(any(test, feature = "std"))]
pub fn words(shape: &DepthwiseConv2d) -> usize {
    let (columns, height) = (columns(shape), shape.window.height);
    let rows = |outputs: usize| (outputs - 1) * height.stride as usize + TAPS;
    let fit = (1..=height.output as usize).take_while(|outputs| rows(*outputs) * columns <= BAND_WORDS);
    rows(fit.last().unwrap_or(1)) * columns
}

/// Whether the loops can do it.
pub fn has_loop(shape: &DepthwiseConv2d) -> bool {
    let three = |axis: &Axis| (axis.kernel, axis.dilation) == (TAPS as u32, 1);
    let window = &shape.window;
    three(&window.height) && three(&window.width) && shape.multiplier == 1 && shape.in_c.is_multiple_of(CHANNELS as u32)
}

/// A layer for one sample, band by band.
pub fn depthwise<L: Loops>(
    loops: L,
    shape: &DepthwiseConv2d,
    layer: &Depthwise<'_>,
    scratch: &mut [u32],
    x: &[i8],
    y: &mut [i8],
) {
    if !has_loop(shape) {
        return;
    }
    let (height, width) = (shape.window.height, shape.window.width);
    let (in_h, in_w, in_c) = (height.input as usize, width.input as usize, shape.in_c as usize);
    let (out_h, out_w, down) = (height.output as usize, width.output as usize, height.stride as usize);
    let (columns, pitch) = (columns(shape), in_w * in_c / CHANNELS);
    // As many rows of outputs as there is scratch for.
    let Some(spare) = scratch.len().checked_div(columns).unwrap_or(0).checked_sub(TAPS) else { return };
    let most = (spare.checked_div(down).unwrap_or(0) + 1).min(out_h);
    let left = (width.pad as usize).min(columns);
    let x = view::<u32>(x.as_bytes());
    let pad = u32::from(layer.pad_value as u8 ^ 0x80) * 0x0101_0101;
    scratch.fill(pad);
    for (group, channels) in rows(layer.stream, CHANNELS * CHANNEL_WORDS).enumerate() {
        let mut out_y = 0;
        while out_y < out_h {
            let rows = most.min(out_h - out_y);
            let band = sub_mut(scratch, 0, ((rows - 1) * down + TAPS) * columns);
            // Rows above and below the input; those between come from it, but for columns that stay as they are.
            let (first, seen) = (out_y * down, (rows - 1) * down + TAPS);
            let above = (height.pad as usize).saturating_sub(first).min(seen);
            let from_row = (first + above).saturating_sub(height.pad as usize);
            let inside = (seen - above).min(in_h.saturating_sub(from_row));
            sub_mut(band, 0, above * columns).fill(pad);
            from_mut(band, (above + inside) * columns).fill(pad);
            let source = Source {
                x: from(x, from_row * pitch + group),
                step: in_c / CHANNELS,
                row: pitch,
                rows: inside,
                columns: in_w.min(columns - left),
                pitch: columns,
            };
            loops.gather(&source, from_mut(band, above * columns + left));
            let step = [width.stride as usize, down];
            let band = Band { words: band, columns, channels, rows, count: out_w, step, y_step: in_c };
            loops.band(&band, from_mut(y, out_y * out_w * in_c + group * CHANNELS));
            out_y += rows;
        }
    }
}

/// What the assembly of a band is given; it moves the first three to the next channel. Distances in bytes.
#[derive(Debug)]
#[repr(C)]
pub struct Arguments {
    x: *const u32,
    channel: *const u32,
    y: *mut i8,
    /// From a row of the band to the next.
    pitch: usize,
    /// From a window's last row to the next window.
    x_step: isize,
    y_step: usize,
    /// From the first window of a row to behind its last one.
    span: usize,
    rows: usize,
    /// From a row of windows to the next.
    x_row: usize,
    y_row: usize,
}

/// [`Loops::band`] by `assembly`.
///
/// # Safety
/// `assembly` reads and writes what the module's page says: of four channels all words, for each output three words of
/// three rows, and it writes four neighbours for each output.
pub unsafe fn band(assembly: unsafe extern "C" fn(&mut Arguments), band: &Band<'_>, y: &mut [i8]) {
    if !band.fits(y.len()) {
        return;
    }
    let ([across, down], pitch) = (band.step, 4 * band.columns);
    let mut arguments = Arguments {
        x: band.words.as_ptr(),
        channel: band.channels.as_ptr(),
        y: y.as_mut_ptr(),
        pitch,
        x_step: 4 * across as isize - 2 * pitch as isize,
        y_step: band.y_step,
        span: 4 * across * band.count,
        rows: band.rows,
        x_row: down * pitch,
        y_row: band.count * band.y_step,
    };
    // SAFETY: the slices were checked above.
    unsafe { assembly(&mut arguments) };
}

/// What the assembly of gathering is given; distances in bytes.
#[derive(Debug)]
#[repr(C)]
pub struct Gather {
    x: *const u32,
    rows: usize,
    words: *mut u32,
    step: usize,
    columns: usize,
    /// From behind a row to the next.
    x_skip: isize,
    skip: usize,
}

/// [`Loops::gather`] by `assembly`.
///
/// # Safety
/// `assembly` reads the rectangle, at least one word, and writes it.
pub unsafe fn gather(assembly: unsafe extern "C" fn(&Gather), source: &Source<'_>, words: &mut [u32]) {
    if !source.fits(words.len()) || source.columns > source.pitch {
        return;
    }
    let arguments = Gather {
        x: source.x.as_ptr(),
        rows: source.rows,
        words: words.as_mut_ptr(),
        step: 4 * source.step,
        columns: source.columns,
        x_skip: 4 * source.row as isize - 4 * (source.step * source.columns) as isize,
        skip: 4 * (source.pitch - source.columns),
    };
    // SAFETY: the slices were checked above.
    unsafe { assembly(&arguments) };
}
