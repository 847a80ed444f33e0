//! The gradient of the weights.

use super::DepthwiseConv2d;
use super::float::{cost, each_windows, scale_add};
use crate::arch::{Isa, Window};
use crate::kernels::util::{clear, from, rows, rows_mut, sub, sub_mut};
use crate::optim::GradSink;
use core::ops::Range;

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
        sink.begin(start - first, gradient);
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
#[cfg_attr(target_os = "none", inline(never))]
#[cfg_attr(not(target_os = "none"), inline(always))]
pub(super) fn that_see(shape: &DepthwiseConv2d, tap: usize) -> Window {
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

/// Channels whose gradient a thread makes at a time, of all taps: a cache line of every pixel.
const GROUP: usize = 16;

/// Whether [`backward_weights_in_groups`] will do.
pub(super) fn groups<I: Isa>(shape: &DepthwiseConv2d, tile: &[f32]) -> bool {
    let whole = (shape.out_c as usize).is_multiple_of(GROUP) && tile.len() >= shape.weights();
    I::ID.packs() && shape.multiplier == 1 && whole
}

/// [`backward_weights_f32`] for a tile that holds all weights: every pixel of `dy` meets all taps at once, and threads
/// share the channels. Within a sample a sum takes the windows that see the same taps together, border after border.
pub(super) fn backward_weights_in_groups<I: Isa, S: GradSink>(
    isa: I,
    shape: &DepthwiseConv2d,
    x: &[f32],
    dy: &[f32],
    tile: &mut [f32],
    sink: &mut S,
) {
    let (taps, channels) = (shape.window.taps(), shape.out_c as usize);
    let groups = channels / GROUP;
    let samples = rows(dy, shape.out_elements()).len();
    let cost = cost(shape).saturating_mul(samples).checked_div(groups).unwrap_or(0);
    isa.split(groups, cost, [(&mut *tile, taps * GROUP)], |of, [tile]| {
        clear(tile);
        // Sample by sample, so that each is met while it is in the cache.
        for (x, dy) in rows(x, shape.in_elements()).zip(rows(dy, shape.out_elements())) {
            for (group, gradient) in of.clone().zip(rows_mut(tile, taps * GROUP)) {
                let channel = group * GROUP;
                each_windows(shape, channel..channel + GROUP, |windows, at| {
                    isa.windows_backward_f32(&windows, x, from(dy, at), gradient);
                });
            }
        }
    });
    for (group, gradient) in (0..groups).zip(rows(tile, taps * GROUP)) {
        for (tap, gradient) in rows(gradient, GROUP).enumerate() {
            sink.tile(tap * channels + group * GROUP, gradient);
        }
    }
}
