//! Depthwise convolutions of three by three taps: channel by channel, along lines.

use super::limit;
use crate::arch::layout::Depthwise;
use crate::arch::layout::lines::{GENERAL, Lines, UPRIGHT};
use crate::kernels::depthwise_conv2d::DepthwiseConv2d;

/// Words of a channel's stream.
const CHANNEL_WORDS: usize = 6;

/// What the loop has on its stack; see `depthwise.s`. It sets those that begin as 0.
#[repr(C)]
#[derive(Default)]
struct Frame {
    bias: usize,
    doubled: usize,
    power: usize,
    zero_point: i32,
    output_step: usize,
    stream: usize,
    first_row: usize,
    first_output: usize,
    row: usize,
    line_output: usize,
    line: usize,
    change: usize,
    row_step: usize,
    line_step: usize,
    lines: usize,
    down: usize,
    across: usize,
    rounds: usize,
    singles: usize,
    flags: usize,
    pad: u32,
    channels: usize,
}

unsafe extern "C" {
    fn embernet_dsp_depthwise(frame: *const Frame);
}

/// [`crate::arch::layout::Layout::depthwise`].
pub fn depthwise(shape: &DepthwiseConv2d, layer: &Depthwise<'_>, x: &[i8], y: &mut [i8]) {
    let Some((form, stream)) = layer.stream.split_first() else { return };
    let (Some(lines), channels) = (Lines::of(shape, form & UPRIGHT != 0), shape.in_c as usize) else { return };
    let (Some(x), Some(y)) = (x.get(..shape.in_elements()), y.get_mut(..shape.out_elements())) else { return };
    let Some(stream) = stream.get(..channels * CHANNEL_WORDS).filter(|stream| !stream.is_empty()) else { return };
    let Lines { stride, along, across, .. } = lines;
    // Outputs that a loaded column ends: two at a time if factors are the short ones.
    let (inside, general) = (along.outputs - usize::from(along.behind), form & GENERAL != 0);
    let rounds = if general { 0 } else { inside / 2 };
    let singles = inside - 2 * rounds;
    let last_two = !general && singles > 0 && along.behind;
    let flags = [
        along.before,
        along.behind,
        across.before,
        across.behind,
        rounds > 0,
        singles > 0,
        stride == 2,
        general,
        last_two,
    ];
    let flags = flags.into_iter().rev().fold(0, |flags, flag| flags << 1 | usize::from(flag));
    let frame = Frame {
        zero_point: layer.to.zero_point,
        output_step: along.y,
        stream: stream.as_ptr().expose_provenance(),
        first_row: x.as_ptr().expose_provenance().wrapping_sub(if across.before { across.x } else { 0 }),
        first_output: y.as_mut_ptr().expose_provenance(),
        lines: across.outputs,
        row_step: stride * across.x,
        line_step: across.y,
        down: across.x,
        across: along.x,
        rounds: rounds.wrapping_sub(1) << 16,
        singles: singles.wrapping_sub(1) << 16,
        flags,
        pad: u32::from(i16::from(layer.pad_value) as u16) * 0x1_0001,
        channels,
        ..Frame::default()
    };
    // SAFETY: `Lines::of` has found that every line's three rows lie in `x`, those beside it excepted, which the loop
    // moves inside, and that so do its columns; outputs are those of `shape`, all in `y`. There are words for as many
    // channels.
    unsafe { embernet_dsp_depthwise(&frame) };
    limit(&layer.to, y);
}
