//! The only door to elementary functions.
//!
//! All of them come from `libm`, in pure Rust, so that a PC and a microcontroller compute the same bits.
//! Comparisons are written out because the minimum and maximum of signed zeros differ between processors.

/// `e^x`.
#[inline]
pub fn exp(x: f32) -> f32 {
    libm::expf(x)
}

/// Natural logarithm.
#[inline]
pub fn ln(x: f32) -> f32 {
    libm::logf(x)
}

/// Square root, correctly rounded.
#[inline]
pub fn sqrt(x: f32) -> f32 {
    libm::sqrtf(x)
}

/// Hyperbolic tangent.
#[inline]
pub fn tanh(x: f32) -> f32 {
    libm::tanhf(x)
}

/// The nearest whole number, halves away from zero.
#[inline]
pub fn round(x: f32) -> f32 {
    libm::roundf(x)
}

/// `base` to the power of a whole number, by repeated squaring (used for Adam's bias correction).
#[inline]
pub fn powi(base: f32, mut exponent: u32) -> f32 {
    let mut square = base;
    let mut result = 1.0;
    while exponent > 0 {
        if exponent & 1 == 1 {
            result *= square;
        }
        square *= square;
        exponent >>= 1;
    }
    result
}

/// Logistic function `1 / (1 + e^-x)`.
#[inline]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The larger of two; the first if they compare equal or either is not a number.
#[inline]
pub fn max(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

/// The smaller of two; the first if they compare equal or either is not a number.
#[inline]
pub fn min(a: f32, b: f32) -> f32 {
    if b < a { b } else { a }
}

/// `x` limited to `lo..=hi`; not-a-number passes through.
#[inline]
pub fn clamp(x: f32, lo: f32, hi: f32) -> f32 {
    min(max(x, lo), hi)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powi_is_repeated_multiplication() {
        assert_eq!(powi(0.5, 10), 1.0 / 1024.0);
        assert_eq!(powi(3.0, 0), 1.0);
    }

    #[test]
    fn clamp_keeps_nan_and_signed_zero() {
        assert!(clamp(f32::NAN, 0.0, 6.0).is_nan());
        assert_eq!(clamp(-0.0, 0.0, 6.0).to_bits(), (-0.0f32).to_bits());
        assert_eq!(clamp(7.0, 0.0, 6.0), 6.0);
    }
}
