//! Max pool, int16 forward. Input and output share their scale.

use crate::arch::Isa;
use crate::kernels::pool::{Pool2d, forward_step};
use crate::kernels::requantize::limits_are_valid_i16;
use crate::kernels::util::{rows, rows_mut, sub};
use crate::memory::Slices;
use crate::plan::{Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `y = clamp(max of window, lo, hi)`.
pub fn forward_i16(shape: &Pool2d, x: &[i16], lo: i32, hi: i32, y: &mut [i16]) {
    let (channels, in_w, out_w) =
        (shape.channels as usize, shape.window.width.input as usize, shape.window.width.output as usize);
    let (vertical, horizontal) = (shape.window.height, shape.window.width);
    for (x, y) in rows(x, shape.in_elements()).zip(rows_mut(y, shape.out_elements())) {
        for (out_y, y) in rows_mut(y, out_w * channels).enumerate() {
            let down = vertical.taps(out_y);
            for (out_x, y) in rows_mut(y, channels).enumerate() {
                let across = horizontal.taps(out_x);
                let window = (0..down.count).flat_map(|row| {
                    let in_y = down.input + row * vertical.dilation as usize;
                    (0..across.count).map(move |column| {
                        let in_x = across.input + column * horizontal.dilation as usize;
                        sub(x, (in_y * in_w + in_x) * channels, channels)
                    })
                });
                for (channel, y) in y.iter_mut().enumerate() {
                    let values = window.clone().filter_map(|x| x.get(channel)).map(|x| i32::from(*x));
                    *y = values.fold(i32::from(i16::MIN), i32::max).max(lo).min(hi) as i16;
                }
            }
        }
    }
}

/// Forward step, int16, with the activation's limits fused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ForwardI16 {
    /// Shape.
    pub shape: Pool2d,
    /// Input.
    pub x: Ref,
    /// Output.
    pub y: Ref,
    /// Least output.
    pub lo: i32,
    /// Greatest output.
    pub hi: i32,
}

forward_step!(ForwardI16: i16, is_valid, limits_are_valid_i16, |_, shape, x, lo, hi, y| forward_i16(shape, x, lo, hi, y));
