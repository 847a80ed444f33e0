//! The fixed-point arithmetic of TensorFlow Lite Micro's reference kernels.
//!
//! Double rounding: a saturating, rounding, doubling high multiply, then a rounding division by a power of two
//! (half away from zero). Source: gemmlowp's fixed-point definitions as documented in the TFLite quantisation
//! specification; the expected bytes in our tests come from that reference.

/// `round(a * b / 2^31)`, saturating the one overflow (`MIN * MIN`).
#[inline]
pub fn saturating_rounding_doubling_high_mul(a: i32, b: i32) -> i32 {
    if a == i32::MIN && b == i32::MIN {
        return i32::MAX;
    }
    let product = i64::from(a) * i64::from(b);
    let nudge: i64 = if product >= 0 { 1 << 30 } else { 1 - (1 << 30) };
    // Division (not a shift): it rounds towards zero, which the nudge of a negative product expects.
    ((product + nudge) / (1i64 << 31)) as i32
}

/// `x / 2^exponent`, rounded to nearest, halves away from zero. `exponent` is 0..=31.
#[inline]
pub fn rounding_divide_by_pot(x: i32, exponent: u32) -> i32 {
    let mask = ((1i64 << exponent) - 1) as i32;
    let remainder = x & mask;
    let threshold = (mask >> 1) + i32::from(x < 0);
    (x >> (exponent & 31)).wrapping_add(i32::from(remainder > threshold))
}

/// `x * multiplier * 2^(shift - 31)` with double rounding; a positive `shift` multiplies first.
#[inline]
pub fn multiply_by_quantized_multiplier(x: i32, multiplier: i32, shift: i32) -> i32 {
    let left = if shift > 0 { shift as u32 & 31 } else { 0 };
    let right = if shift < 0 { shift.unsigned_abs().min(31) } else { 0 };
    rounding_divide_by_pot(saturating_rounding_doubling_high_mul(x.wrapping_shl(left), multiplier), right)
}

/// A 32-bit sum brought to int8: scaled, moved to the output's zero point and limited to the activation's range.
#[inline]
pub fn requantize_i8(acc: i32, multiplier: i32, shift: i32, zero_point: i32, lo: i32, hi: i32) -> i8 {
    let scaled = multiply_by_quantized_multiplier(acc, multiplier, shift).wrapping_add(zero_point);
    scaled.max(lo).min(hi) as i8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn high_mul_rounds_and_saturates() {
        assert_eq!(saturating_rounding_doubling_high_mul(i32::MIN, i32::MIN), i32::MAX);
        assert_eq!(saturating_rounding_doubling_high_mul(1 << 30, 1 << 30), 1 << 29);
        assert_eq!(saturating_rounding_doubling_high_mul(1, 1 << 30), 1);
        assert_eq!(saturating_rounding_doubling_high_mul(-1, 1 << 30), 0);
        assert_eq!(saturating_rounding_doubling_high_mul(-3, 1 << 30), -1);
    }

    #[test]
    fn divide_rounds_halves_away_from_zero() {
        assert_eq!(rounding_divide_by_pot(5, 1), 3);
        assert_eq!(rounding_divide_by_pot(-5, 1), -3);
        assert_eq!(rounding_divide_by_pot(-6, 2), -2);
        assert_eq!(rounding_divide_by_pot(7, 0), 7);
        assert_eq!(rounding_divide_by_pot(i32::MIN, 31), -1);
    }
}
