//! The reference's definitions over big numbers, for tests.

/// gemmlowp's definition, word for word: nudge by sign, divide towards zero.
pub fn high_mul_as_defined(a: i32, b: i32) -> i32 {
    if a == i32::MIN && b == i32::MIN {
        return i32::MAX;
    }
    let product = i128::from(a) * i128::from(b);
    let nudge = if product >= 0 { 1 << 30 } else { 1 - (1 << 30) };
    ((product + nudge) / (1i128 << 31)) as i32
}

/// Round to nearest, halves away from zero, over big numbers.
pub fn divide_as_defined(x: i128, divisor: i128) -> i128 {
    let magnitude = (2 * x.abs() + divisor) / (2 * divisor);
    if x < 0 { -magnitude } else { magnitude }
}

/// A 64-bit sum as int8: the way of [`super::requantize_i8`] over big numbers.
pub fn requantize_as_defined(acc: i64, multiplier: i32, shift: i32, zero_point: i32, lo: i32, hi: i32) -> i8 {
    let shifted = i32::try_from(acc << shift.max(0)).unwrap();
    let once = high_mul_as_defined(shifted, multiplier);
    let twice = divide_as_defined(i128::from(once), 1 << shift.min(0).unsigned_abs());
    (twice + i128::from(zero_point)).clamp(i128::from(lo), i128::from(hi)) as i8
}
