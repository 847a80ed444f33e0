//! Depthwise convolutions: 16 channels at a time, pixel by pixel.

use crate::arch::layout::Depthwise;
use crate::kernels::depthwise_conv2d::DepthwiseConv2d;
use crate::kernels::requantize::Requantize;
use crate::kernels::util::{rows_mut, sub_mut};
use crate::kernels::window::{Run, Taps, Window2d};
use crate::memory::view_mut;
use zerocopy::IntoBytes;

/// Channels of a block, and words of its biases, multipliers and shifts.
const CHANNELS: usize = 16;
const TABLES: usize = 3 * CHANNELS;

unsafe extern "C" {
    fn embernet_mve_depthwise(
        stream: *const u32,
        taps: *mut u32,
        y: *mut i8,
        channels: usize,
        pixels: usize,
        pairs: usize,
        odd: usize,
        vectors: usize,
        zero_point: i32,
        lo: i32,
        hi: i32,
        exact: u32,
    );
    fn embernet_mve_taps(table: *mut u32, padding: *const i8, vectors: usize, inside: *const Inside);
}

/// [`crate::arch::layout::Layout::depthwise`].
pub fn depthwise(shape: &DepthwiseConv2d, layer: &Depthwise<'_>, scratch: &mut [u32], x: &[i8], y: &mut [i8]) {
    let (channels, taps, to) = (shape.in_c as usize, shape.window.taps(), &layer.to);
    let vectors = taps.div_ceil(4);
    let words = channels.div_ceil(CHANNELS) * (TABLES + 4 * taps);
    let Some((table, padding)) = scratch.split_at_mut_checked(8 * vectors) else { return };
    let padding: &mut [i8] = view_mut(padding.as_mut_bytes());
    if shape.multiplier != 1 || layer.stream.len() < words || padding.len() < channels {
        return;
    }
    super::bytes::fill(padding, layer.pad_value);
    let windows = Windows { shape, x, padding };
    let exact = u32::from(to.lo < to.zero_point);
    for (out_y, y) in rows_mut(y, shape.window.width.output as usize * channels).enumerate() {
        let down = shape.window.height.taps(out_y);
        for Run { outputs, taps: across } in shape.window.width.runs() {
            let pixels = outputs.len();
            windows.find(down, across, pixels, table);
            let y = sub_mut(y, outputs.start * channels, pixels * channels);
            if y.is_empty() {
                return;
            }
            // SAFETY: `stream` holds a block for each 16 channels; `table` holds for each tap an address from which
            // `channels` bytes may be read, for each of `pixels` moved by its step; `y` holds so many outputs.
            unsafe {
                let (stream, table, y) = (layer.stream.as_ptr(), table.as_mut_ptr(), y.as_mut_ptr());
                let (pairs, odd) = (taps / 2, taps % 2);
                let Requantize { zero_point, lo, hi, .. } = *to;
                embernet_mve_depthwise(
                    stream, table, y, channels, pixels, pairs, odd, vectors, zero_point, lo, hi, exact,
                );
            }
        }
    }
}

/// What finds the taps of windows.
struct Windows<'a> {
    shape: &'a DepthwiseConv2d,
    x: &'a [i8],
    /// A pixel of padding.
    padding: &'a [i8],
}

impl Windows<'_> {
    /// Writes the table for so many neighbouring pixels, of which the first sees these taps.
    fn find(&self, down: Taps, across: Taps, pixels: usize, table: &mut [u32]) {
        let Window2d { height, width } = self.shape.window;
        let (channels, kernel_w) = (self.shape.in_c as usize, width.kernel as usize);
        let row = width.input as usize * channels;
        let at = down.input * row + across.input * channels;
        let mut inside = Inside {
            first: 4 * (down.first * kernel_w + across.first),
            rows: down.count,
            columns: across.count,
            x: self.x.as_ptr().wrapping_add(at),
            row: height.dilation as usize * row,
            column: width.dilation as usize * channels,
            pixel: width.stride as usize * channels,
            pitch: 4 * kernel_w,
        };
        // All sizes have 31 bits.
        let reach = |count: usize, distance: usize| count.wrapping_sub(1) as u64 * distance as u64;
        let last = reach(inside.rows, inside.row) + reach(inside.columns, inside.column) + reach(pixels, inside.pixel);
        let seen = inside.rows > 0 && inside.columns > 0 && last + ((at + channels) as u64) <= self.x.len() as u64;
        if !seen || down.first + down.count > height.kernel as usize || across.first + across.count > kernel_w {
            inside.rows = 0;
        }
        // SAFETY: `table` has twice as many whole vectors as hold the taps; those inside are among them, and what they
        // see is in `x`, for every pixel.
        unsafe { embernet_mve_taps(table.as_mut_ptr(), self.padding.as_ptr(), table.len() / 8, &inside) };
    }
}

/// The taps inside the input.
#[repr(C)]
struct Inside {
    /// Bytes of the table before the first of them.
    first: usize,
    rows: usize,
    columns: usize,
    /// What the first of them sees.
    x: *const i8,
    /// Distances in the input, between rows, columns and pixels.
    row: usize,
    column: usize,
    pixel: usize,
    /// Bytes of the table for a row of taps.
    pitch: usize,
}
