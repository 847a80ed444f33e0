//! Max pool, int8 forward. Input and output share scale and zero point.

use crate::arch::Isa;
use crate::kernels::compact::{IntegerPool, Walk};
use crate::kernels::integer::Width;
use crate::kernels::pool::{Pool2d, forward_step};
use crate::kernels::requantize::limits_are_valid;
use crate::kernels::util::{copy, rows, rows_mut, sub};
use crate::memory::Slices;
use crate::plan::{COMPACT, Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `y = clamp(max of window, lo, hi)`.
pub fn forward_i8<I: Isa>(isa: I, shape: &Pool2d, x: &[i8], lo: i32, hi: i32, y: &mut [i8]) {
    if COMPACT {
        let elements = y.len();
        let pool = &mut IntegerPool::new(Width::I8, false, x.as_bytes(), (lo, hi), y.as_mut_bytes());
        return Walk::pool(shape).over(elements, pool);
    }
    let (channels, in_w, out_w) =
        (shape.channels as usize, shape.window.width.input as usize, shape.window.width.output as usize);
    let (vertical, horizontal) = (shape.window.height, shape.window.width);
    for (x, y) in rows(x, shape.in_elements()).zip(rows_mut(y, shape.out_elements())) {
        for (out_y, y) in rows_mut(y, out_w * channels).enumerate() {
            let down = vertical.taps(out_y);
            for (out_x, y) in rows_mut(y, channels).enumerate() {
                let across = horizontal.taps(out_x);
                copy(sub(x, (down.input * in_w + across.input) * channels, channels), y);
                for row in 0..down.count {
                    let in_y = down.input + row * vertical.dilation as usize;
                    let mut at = (in_y * in_w + across.input) * channels;
                    for _ in 0..across.count {
                        isa.max_i8(sub(x, at, channels), y);
                        at += horizontal.dilation as usize * channels;
                    }
                }
            }
        }
    }
    if (lo, hi) != (-128, 127) {
        y.iter_mut().for_each(|y| *y = i32::from(*y).max(lo).min(hi) as i8);
    }
}

/// Forward step, int8, with the activation's limits fused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ForwardI8 {
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

forward_step!(ForwardI8: i8, is_valid, limits_are_valid, forward_i8);

#[cfg(test)]
mod tests;
