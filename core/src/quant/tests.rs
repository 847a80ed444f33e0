use super::defined::{divide_as_defined, high_mul_as_defined};
use super::functions::*;
use super::*;
use proptest::prelude::*;
use std::vec::Vec;

fn edges() -> Vec<i32> {
    let mut edges = std::vec![0, 1, -1, 2, -2, 3, -3, i32::MAX, i32::MIN, i32::MAX - 1, i32::MIN + 1];
    for bit in 1..31 {
        for near in -2..=2 {
            edges.push((1i32 << bit) + near);
            edges.push(-(1i32 << bit) + near);
        }
    }
    edges
}

#[test]
fn high_mul_equals_its_definition_at_all_edges() {
    for &a in &edges() {
        for &b in &edges() {
            assert_eq!(saturating_rounding_doubling_high_mul(a, b), high_mul_as_defined(a, b), "{a} * {b}");
        }
    }
}

#[test]
fn high_mul_equals_its_definition_for_every_16_bit_factor() {
    for multiplier in [1 << 30, i32::MAX, 1518500250, -1010580540, 3 << 28] {
        for a in i32::from(i16::MIN)..=i32::from(i16::MAX) {
            for a in [a, a << 15] {
                let expected = high_mul_as_defined(a, multiplier);
                assert_eq!(saturating_rounding_doubling_high_mul(a, multiplier), expected, "{a} * {multiplier}");
            }
        }
    }
}

#[test]
fn divide_rounds_halves_away_from_zero() {
    for exponent in 0..=31 {
        for x in edges().into_iter().chain(-4096..4096) {
            let expected = divide_as_defined(i128::from(x), 1 << exponent);
            assert_eq!(i128::from(rounding_divide_by_pot(x, exponent)), expected, "{x} / 2^{exponent}");
        }
    }
}

#[test]
fn mean_rounds_halves_away_from_zero() {
    for count in 1..=64 {
        for sum in -128 * count..=127 * count {
            let expected = divide_as_defined(i128::from(sum), i128::from(count));
            assert_eq!(i128::from(rounding_mean(sum, count)), expected, "{sum} / {count}");
        }
    }
    assert_eq!(rounding_mean(5, 0), 0);
}

#[test]
fn identity_multiplier_changes_nothing() {
    for x in -1000..=1000 {
        assert_eq!(multiply_by_quantized_multiplier(x, 1 << 30, 1), x);
    }
}

proptest! {
    #[test]
    fn high_mul_equals_its_definition(a: i32, b: i32) {
        prop_assert_eq!(saturating_rounding_doubling_high_mul(a, b), high_mul_as_defined(a, b));
    }

    #[test]
    fn multiplier_rounds_twice(x in -(1i32 << 24)..1 << 24, m in 1i32 << 30..=i32::MAX, shift in -31i32..=6) {
        let once = high_mul_as_defined(x << shift.max(0), m);
        let twice = divide_as_defined(i128::from(once), 1 << shift.min(0).unsigned_abs());
        prop_assert_eq!(i128::from(multiply_by_quantized_multiplier(x, m, shift)), twice);
        // Two roundings of half a step each, the first one scaled down by the second.
        let real = f64::from(x) * f64::from(m) * 2f64.powi(shift - 31);
        let bound = 0.5 + 0.5 * 2f64.powi(shift.min(0));
        prop_assert!((twice as f64 - real).abs() <= bound + 1e-9, "{twice} {real}");
    }

    #[test]
    fn requantize_stays_in_range(acc: i32, m in 0i32..=i32::MAX, shift in -40i32..=40, zp in -128i32..=127, lo in -128i32..=0, hi in 0i32..=127) {
        let y = i32::from(requantize_i8(acc, m, shift, zp, lo, hi));
        prop_assert!((lo..=hi).contains(&y));
    }

    #[test]
    fn quantize_is_the_nearest_step(x in -300f32..300.0, scale in 0.01f32..3.0, zp in -128i32..=127) {
        let q = i32::from(quantize_i8(x, scale, zp));
        let steps = f64::from(x / scale);
        let exact = (steps + f64::from(zp)).clamp(-128.0, 127.0);
        prop_assert!((f64::from(q) - exact).abs() <= 0.5 + 1e-6);
        let back = dequantize_i8(q as i8, scale, zp);
        prop_assert_eq!(quantize_i8(back, scale, zp), q as i8);
    }
}

#[test]
fn quantize_rounds_halves_away_from_zero_and_saturates() {
    let quantize = |x| quantize_i8(x, 2.0, 3);
    assert_eq!((quantize(1.0), quantize(-1.0), quantize(3.0), quantize(-3.0)), (4, 2, 5, 1));
    assert_eq!((quantize(1e30), quantize(-1e30)), (127, -128));
    assert_eq!((quantize(f32::INFINITY), quantize(f32::NEG_INFINITY), quantize(f32::NAN)), (127, -128, 3));
}

#[test]
fn dequantize_rounds_once() {
    for x in i8::MIN..=i8::MAX {
        for zero_point in [-128, 0, 5, 127] {
            for scale in [0.1f32, 0.0244801, 1.0 / 256.0] {
                // As the reference does it: a product in double, rounded to float.
                let expected = (f64::from(scale) * f64::from(i32::from(x) - zero_point)) as f32;
                assert_eq!(dequantize_i8(x, scale, zero_point).to_bits(), expected.to_bits());
            }
        }
    }
}

// -------------------------------------------------------------------------------------------- functions

const STEPS: i32 = 1 << 16;

fn real(raw: i32, integer_bits: u32) -> f64 {
    f64::from(raw) / 2f64.powi(31 - integer_bits as i32)
}

/// `STEPS` raw numbers from the most negative to 0.
fn negatives() -> impl Iterator<Item = i32> {
    (0..=STEPS).map(|i| (i64::from(i32::MIN) + i64::from(i) * (1 << 31) / i64::from(STEPS)) as i32)
}

#[test]
fn exp_is_close_and_monotone() {
    for integer_bits in 1..=5 {
        let mut previous = 0;
        for x in negatives() {
            let y = exp_of_negative(x, integer_bits);
            // The series stops at x^4: below (1/8)^5 / 5! = 2.6e-7, relative; then up to seven rounded products.
            let error = (real(y, 0) - real(x, integer_bits).exp()).abs();
            assert!(error < 3e-7, "exp({}) is off by {error}", real(x, integer_bits));
            assert!(y >= previous, "not monotone at {x}");
            previous = y;
        }
        assert_eq!(previous, i32::MAX, "exp(0) is one");
    }
}

#[test]
fn exp_factors_are_rounded_exponentials() {
    for (i, factor) in EXP_OF_MINUS_POWER.into_iter().enumerate() {
        let expected = (-(2f64.powi(i as i32 - 2))).exp() * 2f64.powi(31);
        assert_eq!(f64::from(factor), expected.round(), "exp(-2^{})", i as i32 - 2);
    }
}

#[test]
fn reciprocals_are_close() {
    for x in (0..=STEPS).map(|i| (i64::from(i) * i64::from(i32::MAX) / i64::from(STEPS)) as i32) {
        let real_x = real(x, 0);
        assert!((real(one_over_one_plus(x), 0) - 1.0 / (1.0 + real_x)).abs() < 1e-8, "{x}");
        assert!((real(one_minus_over_one_plus(x), 0) - (1.0 - real_x) / (1.0 + real_x)).abs() < 2e-8, "{x}");
    }
    for x in [1 << 19, (1 << 19) + 1, 3 << 19, 12345678, i32::MAX] {
        let (mantissa, exponent) = reciprocal(x, 12);
        let expected = 1.0 / real(x, 12);
        assert!((real(mantissa, 0) * 2f64.powi(-exponent) / expected - 1.0).abs() < 1e-8, "{x}");
    }
}

#[test]
fn logistic_and_tanh_are_close_symmetric_and_monotone() {
    let (mut last_logistic, mut last_tanh) = (0, i32::MIN);
    for x in negatives().chain(negatives().map(|x| x.saturating_neg()).collect::<Vec<_>>().into_iter().rev()) {
        let (l, t) = (logistic(x, 4), tanh(x, 4));
        let real_x = real(x, 4);
        assert!((real(l, 0) - 1.0 / (1.0 + (-real_x).exp())).abs() < 3e-7, "logistic({real_x})");
        assert!((real(t, 0) - real_x.tanh()).abs() < 4e-7, "tanh({real_x})");
        assert!(l >= last_logistic && t >= last_tanh, "not monotone at {real_x}");
        (last_logistic, last_tanh) = (l, t);
    }
    assert_eq!((logistic(0, 4), tanh(0, 4)), (1 << 30, 0));
}
