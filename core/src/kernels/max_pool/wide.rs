//! Max pool for tokens with wide registers: neighbouring channels side by side, without branches.

use super::Pool2d;
use crate::kernels::util::{from, from_mut};

/// Channels at a time: a register of the widest token.
const LANES: usize = 16;

/// One window: its output, and where its first element lies in a sample.
#[derive(Clone, Copy)]
struct Window {
    output: usize,
    input: usize,
    rows: usize,
    columns: usize,
    /// Between rows of the input.
    row: usize,
    /// Between pixels.
    channels: usize,
}

impl Window {
    /// Calls `visit` with the offset of every element of the window's first channel, in order.
    #[inline(always)]
    fn each(&self, mut visit: impl FnMut(usize)) {
        let mut row = self.input;
        for _ in 0..self.rows {
            let mut at = row;
            for _ in 0..self.columns {
                visit(at);
                at += self.channels;
            }
            row += self.row;
        }
    }

    /// The greatest elements of channels `channel..channel + N`, and which of the window's they are.
    #[inline(always)]
    fn greatest<const N: usize>(&self, x: &[f32], channel: usize) -> ([f32; N], [u32; N]) {
        let mut greatest = from(x, self.input + channel).first_chunk().copied().unwrap_or([0.0; N]);
        let mut places = [0u32; N];
        let mut place = 0;
        self.each(
            #[inline(always)]
            |at| {
                if let Some(x) = from(x, at + channel).first_chunk::<N>() {
                    for ((greatest, found), x) in greatest.iter_mut().zip(&mut places).zip(x) {
                        let greater = *x > *greatest;
                        *greatest = if greater { *x } else { *greatest };
                        *found = if greater { place } else { *found };
                    }
                }
                place += 1;
            },
        );
        (greatest, places)
    }

    #[inline(always)]
    fn forward<const N: usize>(&self, x: &[f32], channel: usize, y: &mut [f32]) {
        if let Some(y) = from_mut(y, self.output + channel).first_chunk_mut::<N>() {
            (*y, _) = self.greatest(x, channel);
        }
    }

    #[inline(always)]
    fn backward<const N: usize>(&self, x: &[f32], channel: usize, dy: &[f32], dx: &mut [f32]) {
        let (_, places) = self.greatest::<N>(x, channel);
        let Some(dy) = from(dy, self.output + channel).first_chunk::<N>() else { return };
        let mut place = 0;
        self.each(
            #[inline(always)]
            |at| {
                if let Some(dx) = from_mut(dx, at + channel).first_chunk_mut::<N>() {
                    // What others add is a zero, and a sum that began with zero is never a negative one: no bit changes.
                    for ((dx, dy), greatest) in dx.iter_mut().zip(dy).zip(&places) {
                        *dx += if *greatest == place { *dy } else { 0.0 };
                    }
                }
                place += 1;
            },
        );
    }
}

/// All windows of a sample, in order.
#[inline(always)]
fn windows(shape: &Pool2d, mut visit: impl FnMut(Window)) {
    let (channels, in_w, out_w) =
        (shape.channels as usize, shape.window.width.input as usize, shape.window.width.output as usize);
    for out_y in 0..shape.window.height.output as usize {
        let down = shape.window.height.taps(out_y);
        for out_x in 0..out_w {
            let across = shape.window.width.taps(out_x);
            visit(Window {
                output: (out_y * out_w + out_x) * channels,
                input: (down.input * in_w + across.input) * channels,
                rows: down.count,
                columns: across.count,
                row: in_w * channels,
                channels,
            });
        }
    }
}

/// One sample; see [`super::forward_f32`].
#[inline(always)] // So that its caller can have it compiled for an instruction set.
pub(super) fn forward(shape: &Pool2d, x: &[f32], y: &mut [f32]) {
    let channels = shape.channels as usize;
    windows(
        shape,
        #[inline(always)]
        |window| {
            let mut channel = 0;
            while channel + LANES <= channels {
                window.forward::<LANES>(x, channel, y);
                channel += LANES;
            }
            while channel < channels {
                window.forward::<1>(x, channel, y);
                channel += 1;
            }
        },
    );
}

/// One sample; see [`super::backward_f32`]. `dx` holds zeros.
#[inline(always)]
pub(super) fn backward(shape: &Pool2d, x: &[f32], dy: &[f32], dx: &mut [f32]) {
    let channels = shape.channels as usize;
    windows(
        shape,
        #[inline(always)]
        |window| {
            let mut channel = 0;
            while channel + LANES <= channels {
                window.backward::<LANES>(x, channel, dy, dx);
                channel += LANES;
            }
            while channel < channels {
                window.backward::<1>(x, channel, dy, dx);
                channel += 1;
            }
        },
    );
}
