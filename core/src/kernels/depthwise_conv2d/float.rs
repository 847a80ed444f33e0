//! The f32 kernels. Inner loops run over the channels of one pixel.

use super::DepthwiseConv2d;
use crate::arch::{Isa, Steps, Window, Windows};
use crate::kernels::compact::{Floats, Walk};
use crate::kernels::util::{clear, from, from_mut, limit, rows, rows_mut, start_from_bias, sub, sub_mut};
use crate::plan::COMPACT;
use core::ops::Range;

/// `y = clamp(conv(x, w) + b, lo, hi)`; an empty `b` counts as zeros.
///
/// Every output starts from its bias and adds its taps in order of `kernel_h`, `kernel_w`.
pub fn forward_f32<I: Isa>(
    isa: I,
    shape: &DepthwiseConv2d,
    x: &[f32],
    w: &[f32],
    b: &[f32],
    lo: f32,
    hi: f32,
    y: &mut [f32],
) {
    if COMPACT {
        let walk = Walk::depthwise_conv2d(shape);
        walk.over(y.len(), &mut Floats::new(&walk, x, w, b, y));
        return limit(isa, lo, hi, y);
    }
    let (in_elements, out_elements) = (shape.in_elements(), shape.out_elements());
    let samples = rows(y, out_elements).len();
    isa.split(samples, cost(shape), [(y, out_elements)], |of, [y]| {
        // Sample by sample, so that a host has all of one in the cache until it is done.
        for (x, y) in rows(from(x, of.start * in_elements), in_elements).zip(rows_mut(y, out_elements)) {
            start_from_bias(b, shape.out_c as usize, y);
            forward_sample(isa, shape, x, w, y);
            limit(isa, lo, hi, y);
        }
    });
}

/// What a sample costs; see [`Isa::split`]. Windows of a channel fill no register, so that a tap costs about as much as
/// moving an element.
pub(super) fn cost(shape: &DepthwiseConv2d) -> usize {
    shape.out_elements().saturating_mul(shape.window.taps()) / 4
}

/// Adds the products to `y`.
fn forward_sample<I: Isa>(isa: I, shape: &DepthwiseConv2d, x: &[f32], w: &[f32], y: &mut [f32]) {
    let out_c = shape.out_c as usize;
    if shape.multiplier == 1 {
        each_windows(shape, 0..out_c, |windows, to| isa.windows_f32(&windows, x, w, from_mut(y, to)));
        return;
    }
    for (out_y, y) in rows_mut(y, shape.window.width.output as usize * out_c).enumerate() {
        for (out_x, y) in rows_mut(y, out_c).enumerate() {
            taps(shape, out_y, out_x, |at, tap| {
                scale_add(isa, shape, sub(x, at, shape.in_c as usize), 0, sub(w, tap * out_c, out_c), y);
            });
        }
    }
}

/// Calls `visit` with all windows of a sample, those that see the same taps together, and the place of the first one's
/// output. One filter for each channel; some neighbouring channels, whose filters lie side by side.
#[inline(always)]
pub(super) fn each_windows(shape: &DepthwiseConv2d, of: Range<usize>, mut visit: impl FnMut(Windows, usize)) {
    let (height, width, channels) = (shape.window.height, shape.window.width, shape.in_c as usize);
    let (in_row, out_row) = (width.input as usize * channels, width.output as usize * channels);
    let filter_row = width.kernel as usize * of.len();
    for rows in height.runs() {
        for columns in width.runs() {
            let (down, across) = (rows.taps, columns.taps);
            let first = Window {
                rows: down.count,
                columns: across.count,
                a: down.input * in_row + across.input * channels + of.start,
                a_row: height.dilation as usize * in_row,
                a_column: width.dilation as usize * channels,
                b: down.first * filter_row + across.first * of.len(),
                b_row: filter_row,
                b_column: of.len(),
            };
            let windows = Windows {
                first,
                down: Steps { count: rows.outputs.len(), a: height.stride as usize * in_row, y: out_row },
                across: Steps { count: columns.outputs.len(), a: width.stride as usize * channels, y: channels },
                channels: of.len(),
            };
            visit(windows, rows.outputs.start * out_row + columns.outputs.start * channels + of.start);
        }
    }
}

/// The same windows with their filters from the last tap to the first.
fn reversed(shape: &DepthwiseConv2d, windows: Windows) -> Windows {
    let (Window { b, b_row, b_column, .. }, last) = (windows.first, shape.window.taps().saturating_sub(1));
    let b = (last * shape.in_c as usize).saturating_sub(b);
    let first = Window { b, b_row: b_row.wrapping_neg(), b_column: b_column.wrapping_neg(), ..windows.first };
    Windows { first, ..windows }
}

/// `dx`: for every element the sum over `out_y`, `out_x`, multiplier in order of `dy * w`, from zero.
pub fn backward_input_f32<I: Isa>(isa: I, shape: &DepthwiseConv2d, dy: &[f32], w: &[f32], dx: &mut [f32]) {
    let (in_elements, out_elements) = (shape.in_elements(), shape.out_elements());
    let samples = rows(dx, in_elements).len();
    isa.split(samples, cost(shape), [(dx, in_elements)], |of, [dx]| {
        let dy = from(dy, of.start * out_elements);
        for (dy, dx) in rows(dy, out_elements).zip(rows_mut(dx, in_elements)) {
            clear(dx);
            input_of(isa, shape, dy, w, dx);
        }
    });
}

/// Adds the products to `dx`, of one or more samples.
fn input_of<I: Isa>(isa: I, shape: &DepthwiseConv2d, dy: &[f32], w: &[f32], dx: &mut [f32]) {
    // A device has no room for a third way; the second does as well, pixel by pixel.
    let turned = shape.window.turned().filter(|_| I::ID.has_room());
    let turned = turned.map(|window| DepthwiseConv2d { window, ..*shape });
    let walks = (shape.window.height.dilation, shape.window.width.dilation) == (1, 1);
    for (dy, dx) in rows(dy, shape.out_elements()).zip(rows_mut(dx, shape.in_elements())) {
        match &turned {
            _ if shape.multiplier > 1 => output_by_output(isa, shape, dy, w, dx),
            Some(turned) => each_windows(turned, 0..turned.in_c as usize, |windows, to| {
                isa.windows_f32(&reversed(turned, windows), dy, w, from_mut(dx, to));
            }),
            None if walks => input_by_input(isa, shape, dy, w, dx),
            None => output_by_output(isa, shape, dy, w, dx),
        }
    }
}

/// One sample of `dx` without dilation: every input walks over the outputs that see it, and backwards over the taps.
fn input_by_input<I: Isa>(isa: I, shape: &DepthwiseConv2d, dy: &[f32], w: &[f32], dx: &mut [f32]) {
    let (channels, out_w, kernel_w) =
        (shape.in_c as usize, shape.window.width.output as usize, shape.window.width.kernel as usize);
    let (stride_h, stride_w) = (shape.window.height.stride as usize, shape.window.width.stride as usize);
    let (vertical, horizontal) = (shape.window.height, shape.window.width);
    for (in_y, dx) in rows_mut(dx, shape.window.width.input as usize * channels).enumerate() {
        let (down, k_y) = vertical.readers(in_y);
        for (in_x, dx) in rows_mut(dx, channels).enumerate() {
            let (across, k_x) = horizontal.readers(in_x);
            let window = Window {
                rows: down.len(),
                columns: across.len(),
                a: (down.start * out_w + across.start) * channels,
                a_row: out_w * channels,
                a_column: channels,
                b: (k_y * kernel_w + k_x) * channels,
                b_row: (stride_h * kernel_w * channels).wrapping_neg(),
                b_column: (stride_w * channels).wrapping_neg(),
            };
            isa.window_f32(&window, dy, w, dx);
        }
    }
}

/// One sample of `dx`: every output adds to all inputs that it sees.
fn output_by_output<I: Isa>(isa: I, shape: &DepthwiseConv2d, dy: &[f32], w: &[f32], dx: &mut [f32]) {
    let (in_c, out_c, multiplier) = (shape.in_c as usize, shape.out_c as usize, shape.multiplier as usize);
    for (out_y, dy) in rows(dy, shape.window.width.output as usize * out_c).enumerate() {
        for (out_x, dy) in rows(dy, out_c).enumerate() {
            taps(shape, out_y, out_x, |at, tap| {
                let (w, dx) = (sub(w, tap * out_c, out_c), sub_mut(dx, at, in_c));
                for ((dx, dy), w) in dx.iter_mut().zip(rows(dy, multiplier)).zip(rows(w, multiplier)) {
                    *dx = isa.dot_f32(*dx, dy, w);
                }
            });
        }
    }
}

/// `y[i] += x[(channel + i) / multiplier] * v[i]`: input channels meet what belongs to output channels.
#[cfg_attr(target_os = "none", inline(never))] // For layers with several filters for a channel, which are rare.
#[cfg_attr(not(target_os = "none"), inline(always))]
pub(super) fn scale_add<I: Isa>(isa: I, shape: &DepthwiseConv2d, x: &[f32], channel: usize, v: &[f32], y: &mut [f32]) {
    let multiplier = shape.multiplier as usize;
    let mut source = channel.checked_div(multiplier).unwrap_or(0);
    let (mut start, mut end) = (0, (source + 1) * multiplier - channel);
    while start < v.len() {
        let len = end.min(v.len()) - start;
        isa.axpy_f32(x.get(source).copied().unwrap_or(0.0), sub(v, start, len), sub_mut(y, start, len));
        (source, start, end) = (source + 1, end, end + multiplier);
    }
}

/// Calls `visit(offset of the pixel in the input sample, tap)` for the taps of one output, in order.
#[inline(always)]
fn taps(shape: &DepthwiseConv2d, out_y: usize, out_x: usize, mut visit: impl FnMut(usize, usize)) {
    let (down, across) = (shape.window.height.taps(out_y), shape.window.width.taps(out_x));
    let in_c = shape.in_c as usize;
    let (step_x, step_y) = (
        shape.window.width.dilation as usize * in_c,
        shape.window.height.dilation as usize * shape.window.width.input as usize * in_c,
    );
    let mut row = (down.input * shape.window.width.input as usize + across.input) * in_c;
    for k_y in down.first..down.first + down.count {
        let mut at = row;
        let tap = k_y * shape.window.width.kernel as usize + across.first;
        for tap in tap..tap + across.count {
            visit(at, tap);
            at += step_x;
        }
        row += step_y;
    }
}
