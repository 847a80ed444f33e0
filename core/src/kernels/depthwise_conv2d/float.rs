//! The f32 kernels. Inner loops run over the channels of one pixel.

use super::DepthwiseConv2d;
use crate::arch::Isa;
use crate::kernels::util::{rows, rows_mut, start_from_bias, sub, sub_mut};
use crate::optim::GradSink;

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
    let out_c = shape.out_c as usize;
    start_from_bias(b, out_c, y);
    for (x, y) in rows(x, shape.in_elements()).zip(rows_mut(y, shape.out_elements())) {
        for (out_y, y) in rows_mut(y, shape.out_w as usize * out_c).enumerate() {
            for (out_x, y) in rows_mut(y, out_c).enumerate() {
                taps(shape, out_y, out_x, |at, tap| {
                    scale_add(isa, shape, sub(x, at, shape.in_c as usize), 0, sub(w, tap * out_c, out_c), y);
                });
            }
        }
    }
    isa.clamp_f32(lo, hi, y);
}

/// `dx`: for every element the sum over `out_y`, `out_x`, multiplier in order of `dy * w`, from zero.
pub fn backward_input_f32<I: Isa>(isa: I, shape: &DepthwiseConv2d, dy: &[f32], w: &[f32], dx: &mut [f32]) {
    let (in_c, out_c, multiplier) = (shape.in_c as usize, shape.out_c as usize, shape.multiplier as usize);
    dx.fill(0.0);
    for (dy, dx) in rows(dy, shape.out_elements()).zip(rows_mut(dx, shape.in_elements())) {
        for (out_y, dy) in rows(dy, shape.out_w as usize * out_c).enumerate() {
            for (out_x, dy) in rows(dy, out_c).enumerate() {
                taps(shape, out_y, out_x, |at, tap| {
                    let (w, dx) = (sub(w, tap * out_c, out_c), sub_mut(dx, at, in_c));
                    if multiplier == 1 {
                        isa.madd_f32(dy, w, dx);
                    } else {
                        for ((dx, dy), w) in dx.iter_mut().zip(rows(dy, multiplier)).zip(rows(w, multiplier)) {
                            *dx = isa.dot_f32(*dx, dy, w);
                        }
                    }
                });
            }
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
    let (weights, step) = (shape.weights(), tile.len().max(1));
    let mut start = 0;
    while start < weights {
        let gradient = sub_mut(tile, 0, step.min(weights - start));
        gradient.fill(0.0);
        gradient_of(isa, shape, start, x, dy, gradient);
        sink.tile(start, gradient);
        start += step;
    }
}

/// Adds the gradient of weights `start..start + gradient.len()` to `gradient`.
fn gradient_of<I: Isa>(isa: I, shape: &DepthwiseConv2d, start: usize, x: &[f32], dy: &[f32], gradient: &mut [f32]) {
    let (out_c, end) = (shape.out_c as usize, start + gradient.len());
    let samples = rows(x, shape.in_elements()).len();
    let mut tap = start.checked_div(out_c).unwrap_or(0);
    let mut from = start;
    // Tap by tap; the tile's first and last tap may lack channels.
    while from < end {
        let (channel, to) = (from - tap * out_c, end.min((tap + 1) * out_c));
        let gradient = sub_mut(gradient, from - start, to - from);
        outputs(shape, tap, samples, |at, pixel| {
            let (x, dy) = (sub(x, at, shape.in_c as usize), sub(dy, pixel * out_c + channel, to - from));
            scale_add(isa, shape, x, channel, dy, gradient);
        });
        (tap, from) = (tap + 1, to);
    }
}

/// `y[i] += x[(channel + i) / multiplier] * v[i]`: input channels meet what belongs to output channels.
#[inline(always)]
fn scale_add<I: Isa>(isa: I, shape: &DepthwiseConv2d, x: &[f32], channel: usize, v: &[f32], y: &mut [f32]) {
    let multiplier = shape.multiplier as usize;
    if multiplier == 1 {
        isa.madd_f32(sub(x, channel, v.len()), v, y);
        return;
    }
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
    let (down, across) = (shape.vertical().taps(out_y), shape.horizontal().taps(out_x));
    let in_c = shape.in_c as usize;
    let (step_x, step_y) = (shape.dilation_w as usize * in_c, shape.dilation_h as usize * shape.in_w as usize * in_c);
    let mut row = (down.input * shape.in_w as usize + across.input) * in_c;
    for k_y in down.first..down.first + down.count {
        let mut at = row;
        let tap = k_y * shape.kernel_w as usize + across.first;
        for tap in tap..tap + across.count {
            visit(at, tap);
            at += step_x;
        }
        row += step_y;
    }
}

/// Calls `visit(offset of the input pixel, output pixel)` for all outputs that see `tap`, in order. Both count over
/// all samples.
#[inline(always)]
fn outputs(shape: &DepthwiseConv2d, tap: usize, samples: usize, mut visit: impl FnMut(usize, usize)) {
    let (vertical, horizontal) = (shape.vertical(), shape.horizontal());
    let k_y = tap.checked_div(shape.kernel_w as usize).unwrap_or(0);
    let k_x = tap - k_y * shape.kernel_w as usize;
    let (in_c, in_w, out_w) = (shape.in_c as usize, shape.in_w as usize, shape.out_w as usize);
    let across = horizontal.outputs(k_x);
    let in_x = horizontal.input_at(across.start, k_x);
    for sample in 0..samples {
        for out_y in vertical.outputs(k_y) {
            let in_y = vertical.input_at(out_y, k_y);
            let mut at = sample * shape.in_elements() + (in_y * in_w + in_x) * in_c;
            let row = (sample * shape.out_h as usize + out_y) * out_w;
            for out_x in across.clone() {
                visit(at, row + out_x);
                at += shape.stride_w as usize * in_c;
            }
        }
    }
}
