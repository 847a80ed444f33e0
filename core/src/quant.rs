//! The fixed-point arithmetic of TensorFlow Lite Micro's reference kernels.
//!
//! Double rounding: a saturating, rounding, doubling high multiply, then a rounding division by a power of two
//! (half away from zero). Source: gemmlowp's fixed-point definitions as documented in the TFLite quantisation
//! specification; the expected bytes in our tests come from that reference.
//!
//! What ends every sum is inlined even where a program is built for size: a call costs a device as much.
//!
//! [`functions`] holds what is built on top: exponential, reciprocal, logistic and tanh.

pub mod functions;

use crate::math;

/// `a * b / 2^31`, rounded to nearest (halves up), saturating the one overflow (`MIN * MIN`).
///
/// gemmlowp adds `2^30` to a product that is not negative and `1 - 2^30` to a negative one, then divides by `2^31`
/// towards zero. For negative products that is the ceiling, and `ceil((p + 1 - 2^30) / 2^31)` equals
/// `floor((p + 2^30) / 2^31)`, which is `floor(p / 2^31)` plus bit 30: no case for the sign, no 64-bit addition.
#[inline(always)]
pub fn saturating_rounding_doubling_high_mul(a: i32, b: i32) -> i32 {
    if a == i32::MIN && b == i32::MIN {
        return i32::MAX;
    }
    let product = i64::from(a) * i64::from(b);
    ((product >> 31) as i32).wrapping_add((product >> 30) as i32 & 1)
}

/// `x / 2^exponent`, rounded to nearest, halves away from zero. An `exponent` above 31 counts as 31.
#[inline(always)]
pub fn rounding_divide_by_pot(x: i32, exponent: u32) -> i32 {
    let exponent = exponent.min(31);
    let mask = (1u32 << exponent).wrapping_sub(1) as i32;
    let remainder = x & mask;
    let threshold = (mask >> 1) + i32::from(x < 0);
    (x >> exponent).wrapping_add(i32::from(remainder > threshold))
}

/// `x * multiplier * 2^(shift - 31)` with double rounding; a positive `shift` multiplies first (and wraps).
#[inline]
pub fn multiply_by_quantized_multiplier(x: i32, multiplier: i32, shift: i32) -> i32 {
    scale(x, multiplier, shift)
}

#[inline(always)]
fn scale(x: i32, multiplier: i32, shift: i32) -> i32 {
    let left = shift.clamp(0, 31) as u32;
    let right = shift.min(0).unsigned_abs();
    rounding_divide_by_pot(saturating_rounding_doubling_high_mul(x.wrapping_shl(left), multiplier), right)
}

/// A 32-bit sum brought to int8: scaled, moved to the output's zero point and limited to the activation's range.
#[inline(always)]
pub fn requantize_i8(acc: i32, multiplier: i32, shift: i32, zero_point: i32, lo: i32, hi: i32) -> i8 {
    let scaled = scale(acc, multiplier, shift).wrapping_add(zero_point);
    scaled.max(lo).min(hi) as i8
}

/// `acc * multiplier / 2^(15 - shift)`, rounded to nearest, halves up, in 64 bits: how the reference scales the sums
/// of 16-bit layers. The multiplier has 15 bits; see [`narrow_multiplier`].
#[inline]
pub fn multiply_wide(acc: i64, multiplier: i32, shift: i32) -> i32 {
    let bits = 15i32.saturating_sub(shift).clamp(1, 62);
    (acc.wrapping_mul(i64::from(multiplier)).wrapping_add(1 << (bits - 1)) >> bits) as i32
}

/// A 31-bit mantissa as one of 15 bits, rounded to nearest.
pub const fn narrow_multiplier(multiplier: i32) -> i32 {
    if multiplier < 0x7fff_0000 { (multiplier + (1 << 15)) >> 16 } else { 0x7fff }
}

/// `sum / count`, rounded to nearest, halves away from zero; 0 if `count` is 0.
///
/// `count / 2` is rounded down, which matters for no result: an odd count has no halves.
#[inline]
pub fn rounding_mean(sum: i32, count: i32) -> i32 {
    let half = count / 2;
    let nudged = if sum > 0 { sum.wrapping_add(half) } else { sum.wrapping_sub(half) };
    nudged.checked_div(count).unwrap_or(0)
}

/// `x / scale + zero_point` as int8: the quotient rounded to nearest, halves away from zero, the result saturated.
/// Not-a-number becomes the zero point.
#[inline]
pub fn quantize_i8(x: f32, scale: f32, zero_point: i32) -> i8 {
    // The cast saturates, so that infinities and huge quotients end at the limits.
    let steps = math::round(x / scale) as i32;
    steps.saturating_add(zero_point).clamp(-128, 127) as i8
}

/// `(x - zero_point) * scale`; one rounding, since the difference is exact.
#[inline]
pub fn dequantize_i8(x: i8, scale: f32, zero_point: i32) -> f32 {
    i32::from(x).wrapping_sub(zero_point) as f32 * scale
}

#[cfg(test)]
pub(crate) mod defined;
#[cfg(test)]
mod tests;
