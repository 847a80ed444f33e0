//! A depthwise convolution with 3x3 windows: four channels of a row at a time, each with its weights in registers.
//!
//! What four channels of a row of outputs see is copied into a *band*: for each column three words, top to bottom; a
//! word is one pixel's four channels, each with 128 added. Beside the input lies the pad value. The stream has for
//! each channel its [`NUMBERS`], the bias less 128 times its weights, and then its nine weights, columns first, and
//! three bytes of nothing.

use super::{Loops, NUMBERS};
use crate::arch::layout::Depthwise;
use crate::kernels::depthwise_conv2d::DepthwiseConv2d;
use crate::kernels::util::{from, from_mut, rows, sub, sub_mut};
use crate::kernels::window::Axis;
use crate::memory::view;
use core::ops::Range;
use zerocopy::IntoBytes;

/// Channels of a row.
pub const CHANNELS: usize = 4;
/// Rows and columns of a window.
pub const TAPS: usize = 3;
/// Words of a channel in the stream.
pub const CHANNEL_WORDS: usize = NUMBERS + 3;

/// A row of outputs of four channels.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// What they see.
    pub band: &'a [u32],
    /// Numbers and weights of the channels.
    pub channels: &'a [u32],
    /// Outputs.
    pub count: usize,
    /// Columns from a window to the next.
    pub step: usize,
    /// Distance between outputs.
    pub y_step: usize,
}

impl Row<'_> {
    /// Whether the slices are as long as the rest says; `y` is that of the outputs.
    pub fn fits(&self, y: usize) -> bool {
        let Some(last) = self.count.checked_sub(1) else { return false };
        TAPS * (last * self.step + TAPS) <= self.band.len()
            && CHANNELS * CHANNEL_WORDS <= self.channels.len()
            && last * self.y_step + CHANNELS <= y
            && self.step > 0
    }
}

/// Words of the band of a layer.
pub fn band_words(shape: &DepthwiseConv2d) -> usize {
    let width = shape.window.width;
    TAPS * ((width.output as usize - 1) * width.stride as usize + TAPS)
}

/// Whether the loops can do it.
pub fn has_loop(shape: &DepthwiseConv2d) -> bool {
    let three = |axis: &Axis| (axis.kernel, axis.dilation) == (TAPS as u32, 1);
    let window = &shape.window;
    three(&window.height) && three(&window.width) && shape.multiplier == 1 && shape.in_c.is_multiple_of(CHANNELS as u32)
}

/// A layer for one sample, row by row.
pub fn depthwise<L: Loops>(
    loops: L,
    shape: &DepthwiseConv2d,
    layer: &Depthwise<'_>,
    scratch: &mut [u32],
    x: &[i8],
    y: &mut [i8],
) {
    let (height, width) = (shape.window.height, shape.window.width);
    let (in_w, out_w, channels) = (width.input as usize, width.output as usize, shape.in_c as usize);
    if !has_loop(shape) {
        return;
    }
    let (x, words) = (view::<u32>(x.as_bytes()), channels / CHANNELS);
    let pad = u32::from(layer.pad_value as u8 ^ 0x80) * 0x0101_0101;
    let band = sub_mut(scratch, 0, band_words(shape));
    // Columns of the band, and those of them before the input.
    let columns = (out_w - 1) * width.stride as usize + TAPS;
    let left = (width.pad as usize).min(columns);
    for (group, channels_of) in rows(layer.stream, CHANNELS * CHANNEL_WORDS).enumerate() {
        for out_y in 0..height.output as usize {
            for tap in 0..TAPS {
                let in_y = (out_y * height.stride as usize + tap).wrapping_sub(height.pad as usize);
                let band = from_mut(band, tap);
                let inside = if in_y < height.input as usize { in_w.min(columns - left) } else { 0 };
                let (before, after) = if inside > 0 { (left, left + inside) } else { (0, 0) };
                fill(band, 0..before, pad);
                fill(band, after..columns, pad);
                if inside > 0 {
                    loops.band(from(x, in_y * in_w * words + group), words, inside, from_mut(band, TAPS * left));
                }
            }
            let y = from_mut(y, out_y * out_w * channels + group * CHANNELS);
            let step = width.stride as usize;
            loops.row(
                &Row { band: sub(band, 0, band.len()), channels: channels_of, count: out_w, step, y_step: channels },
                y,
            );
        }
    }
}

/// Fills columns of a band's row.
fn fill(band: &mut [u32], columns: Range<usize>, value: u32) {
    for column in columns {
        band.iter_mut().skip(TAPS * column).take(1).for_each(|word| *word = value);
    }
}

/// What the assembly of a row is given; it moves all but the steps to the next channel.
#[derive(Debug)]
#[repr(C)]
pub struct Arguments {
    x: *const u32,
    channel: *const u32,
    y: *mut i8,
    /// Bytes from a window to the next.
    x_step: usize,
    y_step: usize,
    x_end: *const u32,
}

/// [`Loops::row`] by `assembly`.
///
/// # Safety
/// `assembly` reads and writes what the module's page says: of four channels all words, for each output three columns
/// of the band, and it writes four neighbours for each output.
pub unsafe fn row(assembly: unsafe extern "C" fn(&mut Arguments), row: &Row<'_>, y: &mut [i8]) {
    if !row.fits(y.len()) {
        return;
    }
    let x = row.band.as_ptr();
    let mut arguments = Arguments {
        x,
        channel: row.channels.as_ptr(),
        y: y.as_mut_ptr(),
        x_step: 4 * TAPS * row.step,
        y_step: row.y_step,
        x_end: x.wrapping_add(TAPS * row.step * row.count),
    };
    // SAFETY: the slices were checked above.
    unsafe { assembly(&mut arguments) };
}

/// [`Loops::band`] by `assembly`.
///
/// # Safety
/// `assembly` reads `count` words, `4 * step` bytes apart, at least one, and writes every third word, as many.
pub unsafe fn band(
    assembly: unsafe extern "C" fn(*const u32, usize, *mut u32, usize),
    x: &[u32],
    step: usize,
    count: usize,
    band: &mut [u32],
) {
    let Some(last) = count.checked_sub(1) else { return };
    if last * step < x.len() && TAPS * last < band.len() {
        // SAFETY: the slices were checked above.
        unsafe { assembly(x.as_ptr(), count, band.as_mut_ptr(), 4 * step) };
    }
}
