//! Sums of int8.

use crate::arch::sums::{self, Halved};
use crate::kernels::add::Sum;

unsafe extern "C" {
    fn embernet_dsp_add(a: *const i8, b: *const i8, y: *mut i8, count: usize, numbers: &[i32; 8]);
}

/// What the loop reads: registers r4 to r11.
///
/// With `a = x - zero`, rounding as the reference does: `SMMULR(a << 21, m)` is its doubling product of `a << 20`;
/// `+ (x >> 31) + half >> exponent` its division, which rounds halves away from zero. Of the sum there is
/// `2 * multiplier - 2^32`, for SMMLAR adds the sum itself.
fn numbers(sum: &Halved) -> [i32; 8] {
    let Halved { zeros: [a, b], multiplier, exponent, sum_multiplier, sum_exponent, zero_point } = *sum;
    let (half, power) = (1 << (exponent - 1), 1 << (32 - sum_exponent));
    [-a << 19, -b << 21, multiplier, half, exponent, sum_multiplier.wrapping_mul(2), power, zero_point]
}

/// See [`Isa::add_i8`](crate::arch::Isa::add_i8).
pub(super) fn add(sum: &Sum, a: Option<&[i8]>, b: Option<&[i8]>, y: &mut [i8]) {
    // SAFETY: the assembly goes from element to element, and has the core's instructions.
    unsafe { sums::add(embernet_dsp_add, |sum| Some(numbers(sum)), sum, a, b, y) };
}
