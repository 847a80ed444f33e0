//! Depthwise convolutions: 16 channels at a time, pixel by pixel.

use crate::arch::layout::Depthwise;
use crate::kernels::depthwise_conv2d::DepthwiseConv2d;
use crate::kernels::requantize::Requantize;
use crate::kernels::util::{rows_mut, sub, sub_mut};
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
    /// For each tap its address at the first of so many neighbouring pixels; then, from a whole vector on, by how much it
    /// moves from one to the next.
    fn find(&self, down: Taps, across: Taps, pixels: usize, table: &mut [u32]) {
        let Window2d { height, width } = self.shape.window;
        let channels = self.shape.in_c as usize;
        let step = width.stride as usize * channels;
        let reach = (pixels - 1) * step + channels;
        let (addresses, steps) = table.split_at_mut(table.len() / 2);
        let mut entries = addresses.iter_mut().zip(steps);
        for ky in 0..height.kernel as usize {
            // Wraps above the input, which is no small number either.
            let row = ky.wrapping_sub(down.first);
            let inside = if row < down.count { across.count } else { 0 };
            let in_y = down.input + row.min(down.count) * height.dilation as usize;
            let mut at = (in_y * width.input as usize + across.input) * channels;
            for (kx, (address, by)) in (0..width.kernel as usize).zip(&mut entries) {
                let mut seen = &[] as &[i8];
                if kx.wrapping_sub(across.first) < inside {
                    seen = sub(self.x, at, reach);
                    at += width.dilation as usize * channels;
                }
                let found = if seen.is_empty() { (self.padding, 0) } else { (seen, step) };
                (*address, *by) = (found.0.as_ptr().expose_provenance() as u32, found.1 as u32);
            }
        }
    }
}
