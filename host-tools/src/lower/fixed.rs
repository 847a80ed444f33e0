//! Real factors as fixed-point ones, exactly as TensorFlow Lite computes them.
//!
//! The arithmetic follows TFLite's quantisation specification and the notes on its reference kernels:
//! doubles throughout, except where said.

use crate::graph::Activation;

/// A real factor as `multiplier * 2^(shift - 31)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fixed {
    /// In `2^30 ..= 2^31 - 1`, or 0.
    pub multiplier: i32,
    /// Positive shifts multiply.
    pub shift: i32,
}

/// Splits a factor that is zero or positive: a 31-bit mantissa (rounded, halves away from zero) and
/// an exponent.
///
/// Factors below `2^-32` become 0; those above `2^30` saturate.
pub fn quantize_multiplier(real: f64) -> Fixed {
    if real.is_nan() || real <= 0.0 {
        return Fixed { multiplier: 0, shift: 0 };
    }
    let (fraction, mut shift) = frexp(real);
    let mut mantissa = (fraction * (1i64 << 31) as f64).round() as i64;
    if mantissa == 1i64 << 31 {
        mantissa /= 2;
        shift += 1;
    }
    if shift < -31 {
        return Fixed { multiplier: 0, shift: 0 };
    }
    if shift > 30 {
        return Fixed { multiplier: i32::MAX, shift: 30 };
    }
    Fixed { multiplier: mantissa as i32, shift }
}

/// `(fraction, exponent)` with `real = fraction * 2^exponent` and `fraction` in `0.5..1`.
fn frexp(real: f64) -> (f64, i32) {
    // Subnormal numbers are brought into the normal range first.
    let (real, bias) = if real < f64::MIN_POSITIVE { (real * 2f64.powi(64), -64) } else { (real, 0) };
    let bits = real.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i32 - 1022;
    let fraction = f64::from_bits((bits & !(0x7ff << 52)) | (1022 << 52));
    (fraction, exponent + bias)
}

/// The int8 range that a fused clamp leaves: `(lo, hi)`.
///
/// As TFLite: the bound is divided by the scale in f32 and rounded, halves away from zero.
pub fn clamp_i8(activation: Activation, scale: f32, zero_point: i32) -> (i32, i32) {
    let (low, high) = activation.clamp().unwrap_or((f32::NEG_INFINITY, f32::INFINITY));
    let quantize = |bound: f32, end: i32| {
        if bound.is_infinite() {
            return end;
        }
        // The cast saturates, as far as a bound may lie outside of i32.
        zero_point.saturating_add((bound / scale).round() as i32).clamp(-128, 127)
    };
    (quantize(low, -128), quantize(high, 127))
}

/// A real value on the int8 grid: rounded to nearest, halves away from zero, saturating.
pub fn quantize_i8(value: f32, scale: f32, zero_point: i32) -> i8 {
    // A NaN becomes the zero point.
    let steps = (value / scale).round() as i32;
    steps.saturating_add(zero_point).clamp(-128, 127) as i8
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_factors() {
        assert_eq!(quantize_multiplier(1.0), Fixed { multiplier: 1 << 30, shift: 1 });
        assert_eq!(quantize_multiplier(0.5), Fixed { multiplier: 1 << 30, shift: 0 });
        assert_eq!(quantize_multiplier(0.25), Fixed { multiplier: 1 << 30, shift: -1 });
        assert_eq!(quantize_multiplier(0.0), Fixed { multiplier: 0, shift: 0 });
        // The mantissa rounds up to 2^31 and is halved.
        assert_eq!(quantize_multiplier(1.0 - 2f64.powi(-40)), Fixed { multiplier: 1 << 30, shift: 1 });
        assert_eq!(quantize_multiplier(2f64.powi(-33)), Fixed { multiplier: 0, shift: 0 });
        assert_eq!(quantize_multiplier(2f64.powi(-32)), Fixed { multiplier: 1 << 30, shift: -31 });
        assert_eq!(quantize_multiplier(1e300), Fixed { multiplier: i32::MAX, shift: 30 });
        assert_eq!(quantize_multiplier(f64::from_bits(1)), Fixed { multiplier: 0, shift: 0 });
    }

    #[test]
    fn clamps_follow_scale_and_zero_point() {
        assert_eq!(clamp_i8(Activation::Linear, 0.1, 3), (-128, 127));
        assert_eq!(clamp_i8(Activation::Relu, 0.1, 3), (3, 127));
        assert_eq!(clamp_i8(Activation::Relu6, 0.1, -20), (-20, 40));
        assert_eq!(clamp_i8(Activation::Relu6, 1e-30, -20), (-20, 127));
        assert_eq!(clamp_i8(Activation::ReluN1To1, 0.5, 0), (-2, 2));
    }

    #[test]
    fn values_round_half_away_and_saturate() {
        assert_eq!(quantize_i8(0.25, 0.5, 0), 1);
        assert_eq!(quantize_i8(-0.25, 0.5, 0), -1);
        assert_eq!(quantize_i8(1e9, 0.5, -3), 127);
        assert_eq!(quantize_i8(f32::NEG_INFINITY, 0.5, -3), -128);
        assert_eq!(quantize_i8(f32::NAN, 0.5, -3), -3);
    }

    proptest! {
        #[test]
        fn the_mantissa_is_within_half_a_step(real in 1e-9f64..1e8) {
            let Fixed { multiplier, shift } = quantize_multiplier(real);
            prop_assert!(multiplier >= 1 << 30);
            let back = f64::from(multiplier) * 2f64.powi(shift - 31);
            prop_assert!((back - real).abs() <= 0.5 * 2f64.powi(shift - 31));
        }
    }
}
