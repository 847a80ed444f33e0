//! Average pool, int8 forward. Input and output share scale and zero point, so that nothing is rescaled.

use crate::arch::Isa;
use crate::kernels::compact::{IntegerPool, Walk};
use crate::kernels::integer::Width;
use crate::kernels::pool::{Pool2d, forward_step};
use crate::kernels::requantize::limits_are_valid;
use crate::kernels::util::{rows, rows_mut, sub};
use crate::memory::Slices;
use crate::plan::{COMPACT, Context, Ref, StepRecord, operands};
use crate::quant::rounding_mean;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Channels whose sums are held at once.
const BLOCK: usize = 32;

/// `y = clamp(sum of window / elements of window, lo, hi)`, rounded to nearest, halves away from zero. (The zero
/// point needs no care: the mean of numbers shifted by it is their mean shifted by it.)
pub fn forward_i8<I: Isa>(isa: I, shape: &Pool2d, x: &[i8], lo: i32, hi: i32, y: &mut [i8]) {
    if COMPACT {
        let elements = y.len();
        let pool = &mut IntegerPool::new(Width::I8, true, x.as_bytes(), (lo, hi), y.as_mut_bytes());
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
                let count = (down.count * across.count) as i32;
                for (block, y) in y.chunks_mut(BLOCK).enumerate() {
                    let mut sums = [0; BLOCK];
                    let Some(sums) = sums.get_mut(..y.len()) else { return };
                    for in_y in down.input..down.input + down.count {
                        let row = sub(x, (in_y * in_w + across.input) * channels, across.count * channels);
                        for x in rows(row, channels) {
                            isa.accumulate_i8(sub(x, block * BLOCK, sums.len()), sums);
                        }
                    }
                    for (y, sum) in y.iter_mut().zip(sums) {
                        *y = rounding_mean(*sum, count).max(lo).min(hi) as i8;
                    }
                }
            }
        }
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

forward_step!(ForwardI8: i8, is_dense, limits_are_valid, forward_i8);

#[cfg(test)]
mod tests;
