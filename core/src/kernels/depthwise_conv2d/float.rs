//! The f32 kernels. Inner loops run over the channels of one pixel.

use super::DepthwiseConv2d;
use crate::arch::{Isa, Window};
use crate::kernels::util::{from, rows, rows_mut, start_from_bias, sub, sub_mut};
use crate::optim::GradSink;
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
    let (in_elements, out_elements) = (shape.in_elements(), shape.out_elements());
    let samples = rows(y, out_elements).len();
    isa.split(samples, cost(shape), [(y, out_elements)], |of, [y]| {
        start_from_bias(b, shape.out_c as usize, y);
        forward_samples(isa, shape, from(x, of.start * in_elements), w, y);
        isa.clamp_f32(lo, hi, y);
    });
}

/// What a sample costs; see [`Isa::split`]. Windows of a channel fill no register, so that a tap costs about as much as
/// moving an element.
pub(super) fn cost(shape: &DepthwiseConv2d) -> usize {
    shape.out_elements().saturating_mul(shape.window.taps()) / 4
}

/// Adds the products to `y`.
fn forward_samples<I: Isa>(isa: I, shape: &DepthwiseConv2d, x: &[f32], w: &[f32], y: &mut [f32]) {
    let out_c = shape.out_c as usize;
    for (x, y) in rows(x, shape.in_elements()).zip(rows_mut(y, shape.out_elements())) {
        for (out_y, y) in rows_mut(y, shape.window.width.output as usize * out_c).enumerate() {
            for (out_x, y) in rows_mut(y, out_c).enumerate() {
                if shape.multiplier == 1 {
                    isa.window_f32(&seen_by(shape, out_y, out_x), x, w, y);
                    continue;
                }
                taps(shape, out_y, out_x, |at, tap| {
                    scale_add(isa, shape, sub(x, at, shape.in_c as usize), 0, sub(w, tap * out_c, out_c), y);
                });
            }
        }
    }
}

/// `dx`: for every element the sum over `out_y`, `out_x`, multiplier in order of `dy * w`, from zero.
pub fn backward_input_f32<I: Isa>(isa: I, shape: &DepthwiseConv2d, dy: &[f32], w: &[f32], dx: &mut [f32]) {
    let (in_elements, out_elements) = (shape.in_elements(), shape.out_elements());
    let samples = rows(dx, in_elements).len();
    isa.split(samples, cost(shape), [(dx, in_elements)], |of, [dx]| {
        dx.fill(0.0);
        input_of(isa, shape, from(dy, of.start * out_elements), w, dx);
    });
}

/// Adds the products to `dx`.
fn input_of<I: Isa>(isa: I, shape: &DepthwiseConv2d, dy: &[f32], w: &[f32], dx: &mut [f32]) {
    let walks = (shape.multiplier, shape.window.height.dilation, shape.window.width.dilation) == (1, 1, 1);
    for (dy, dx) in rows(dy, shape.out_elements()).zip(rows_mut(dx, shape.in_elements())) {
        if walks { input_by_input(isa, shape, dy, w, dx) } else { output_by_output(isa, shape, dy, w, dx) }
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

/// `dw`, handed to `sink` in tiles of at most `tile.len()` elements.
///
/// Every element is the sum over samples, `out_y`, `out_x` in order of `x * dy`, from zero, however the tiles are
/// cut.
pub fn backward_weights_f32<I: Isa, S: GradSink>(
    isa: I,
    shape: &DepthwiseConv2d,
    x: &[f32],
    dy: &[f32],
    tile: &mut [f32],
    sink: &mut S,
) {
    gradient_of_taps(isa, shape, 0..shape.window.taps(), x, dy, tile, sink);
}

/// The same for some of the taps, whose first weight is number 0 to the sink.
pub(super) fn gradient_of_taps<I: Isa, S: GradSink>(
    isa: I,
    shape: &DepthwiseConv2d,
    of: Range<usize>,
    x: &[f32],
    dy: &[f32],
    tile: &mut [f32],
    sink: &mut S,
) {
    let (channels, step) = (shape.out_c as usize, tile.len().max(1));
    let (first, end) = (of.start * channels, of.end * channels);
    let mut start = first;
    while start < end {
        let gradient = sub_mut(tile, 0, step.min(end - start));
        gradient.fill(0.0);
        gradient_of(isa, shape, start, x, dy, gradient);
        sink.tile(start - first, gradient);
        start += step;
    }
}

/// Adds the gradient of weights `start..start + gradient.len()` to `gradient`.
fn gradient_of<I: Isa>(isa: I, shape: &DepthwiseConv2d, start: usize, x: &[f32], dy: &[f32], gradient: &mut [f32]) {
    let out_c = shape.out_c as usize;
    let tap = start.checked_div(out_c).unwrap_or(0);
    // Sample by sample, so that a host meets each while it is in the cache.
    for (x, dy) in rows(x, shape.in_elements()).zip(rows(dy, shape.out_elements())) {
        // Tap by tap; the tile's first and last tap may lack channels.
        let (mut tap, mut channel) = (tap, start - tap * out_c);
        let mut rest = &mut *gradient;
        while !rest.is_empty() {
            let channels = rest.len().min(out_c - channel);
            let (gradient, after) = rest.split_at_mut_checked(channels).unwrap_or_default();
            gradient_of_tap(isa, shape, tap, channel, x, dy, gradient);
            (tap, channel, rest) = (tap + 1, 0, after);
        }
    }
}

/// One sample and one tap: adds the gradient of channels from `channel` on.
fn gradient_of_tap<I: Isa>(
    isa: I,
    shape: &DepthwiseConv2d,
    tap: usize,
    channel: usize,
    x: &[f32],
    dy: &[f32],
    gradient: &mut [f32],
) {
    let outputs = that_see(shape, tap);
    if shape.multiplier == 1 {
        let walk = Window { a: outputs.a + channel, b: outputs.b + channel, ..outputs };
        isa.window_f32(&walk, x, dy, gradient);
        return;
    }
    for row in 0..outputs.rows {
        for column in 0..outputs.columns {
            let at = outputs.a + row * outputs.a_row + column * outputs.a_column;
            let from = outputs.b + row * outputs.b_row + column * outputs.b_column + channel;
            let (x, dy) = (sub(x, at, shape.in_c as usize), sub(dy, from, gradient.len()));
            scale_add(isa, shape, x, channel, dy, gradient);
        }
    }
}

/// All outputs that see `tap`, as a walk over an input sample and one over an output sample.
#[inline(always)]
fn that_see(shape: &DepthwiseConv2d, tap: usize) -> Window {
    let (vertical, horizontal) = (shape.window.height, shape.window.width);
    let k_y = tap.checked_div(shape.window.width.kernel as usize).unwrap_or(0);
    let k_x = tap - k_y * shape.window.width.kernel as usize;
    let (down, across) = (vertical.outputs(k_y), horizontal.outputs(k_x));
    let (in_y, in_x) = (vertical.input_at(down.start, k_y), horizontal.input_at(across.start, k_x));
    let (in_c, in_w) = (shape.in_c as usize, shape.window.width.input as usize);
    let (out_c, out_w) = (shape.out_c as usize, shape.window.width.output as usize);
    Window {
        rows: down.len(),
        columns: across.len(),
        a: (in_y * in_w + in_x) * in_c,
        a_row: shape.window.height.stride as usize * in_w * in_c,
        a_column: shape.window.width.stride as usize * in_c,
        b: (down.start * out_w + across.start) * out_c,
        b_row: out_w * out_c,
        b_column: out_c,
    }
}

/// `y[i] += x[(channel + i) / multiplier] * v[i]`: input channels meet what belongs to output channels.
#[inline(always)]
fn scale_add<I: Isa>(isa: I, shape: &DepthwiseConv2d, x: &[f32], channel: usize, v: &[f32], y: &mut [f32]) {
    let multiplier = shape.multiplier as usize;
    let mut source = channel.checked_div(multiplier).unwrap_or(0);
    let (mut start, mut end) = (0, (source + 1) * multiplier - channel);
    while start < v.len() {
        let len = end.min(v.len()) - start;
        isa.axpy_f32(x.get(source).copied().unwrap_or(0.0), sub(v, start, len), sub_mut(y, start, len));
        (source, start, end) = (source + 1, end, end + multiplier);
    }
}

/// The taps of one output, as a walk over an input sample and one over the weights.
#[inline(always)]
fn seen_by(shape: &DepthwiseConv2d, out_y: usize, out_x: usize) -> Window {
    let (down, across) = (shape.window.height.taps(out_y), shape.window.width.taps(out_x));
    let (in_c, in_w, out_c) = (shape.in_c as usize, shape.window.width.input as usize, shape.out_c as usize);
    let kernel_w = shape.window.width.kernel as usize;
    Window {
        rows: down.count,
        columns: across.count,
        a: (down.input * in_w + across.input) * in_c,
        a_row: shape.window.height.dilation as usize * in_w * in_c,
        a_column: shape.window.width.dilation as usize * in_c,
        b: (down.first * kernel_w + across.first) * out_c,
        b_row: kernel_w * out_c,
        b_column: out_c,
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
