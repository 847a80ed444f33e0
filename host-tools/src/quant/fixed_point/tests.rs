use super::tables::*;
use super::*;
use embernet_core::quant::{dequantize_i8, multiply_by_quantized_multiplier, quantize_i8};
use embernet_core::rng::Rng;
use proptest::prelude::*;

fn affine(scale: f32, zero_point: i32) -> Affine {
    Affine::new(scale, zero_point).unwrap()
}

#[test]
fn multipliers_of_plain_numbers() {
    let split = |real| Multiplier::new("test", real).map(|m| (m.mantissa, m.shift)).ok();
    assert_eq!(split(0.0), Some((0, 0)));
    assert_eq!(split(0.5), Some((1 << 30, 0)));
    assert_eq!(split(1.0), Some((1 << 30, 1)));
    assert_eq!(split(0.75), Some((3 << 29, 0)));
    assert_eq!(split(1.0 / 1024.0), Some((1 << 30, -9)));
    assert_eq!(split(1.0 - 2f64.powi(-40)), Some((1 << 30, 1)), "the mantissa rounds up to one");
    assert_eq!(split(2f64.powi(-32)), Some((1 << 30, -31)));
    assert_eq!(split(2f64.powi(-33)), Some((0, 0)));
    assert_eq!(split(f64::MIN_POSITIVE / 8.0), Some((0, 0)), "subnormal");
    assert_eq!(split(2f64.powi(29)), Some((1 << 30, 30)));
    for impossible in [2f64.powi(30), f64::INFINITY, f64::NAN, -0.5] {
        assert_eq!(split(impossible), None, "{impossible}");
    }
}

#[test]
fn a_dense_layer_with_one_scale_rounds_to_f32_first() {
    let (x, w, y) = (0.391015f32, 0.007_123_4_f32, 0.364498f32);
    let double = layer_multipliers(x, &[w], y).unwrap()[0];
    let single = dense_multiplier(x, w, y).unwrap();
    assert_eq!(double.shift, single.shift);
    // Half a unit of f32's 24 bits is 2^7 of 31.
    assert!(double != single && (double.mantissa - single.mantissa).abs() <= 128);
}

proptest! {
    #[test]
    fn multipliers_are_close(exponent in -31f64..29.9) {
        let real = exponent.exp2();
        let Multiplier { mantissa, shift } = Multiplier::new("test", real).unwrap();
        prop_assert!(mantissa >= 1 << 30);
        let back = f64::from(mantissa) * 2f64.powi(shift - 31);
        prop_assert!((back / real - 1.0).abs() <= 2f64.powi(-31));
    }

    #[test]
    fn folding_keeps_every_sum(seed: u64, outputs in 1usize..8, len in 1usize..20, zero_point in -128i32..=127) {
        let mut rng = Rng::new(seed);
        let mut byte = || rng.next_u32() as i8;
        let w: Vec<i8> = (0..outputs * len).map(|_| byte()).collect();
        let x: Vec<i8> = (0..len).map(|_| byte()).collect();
        let b: Vec<i32> = (0..outputs).map(|_| i32::from(byte()) * 1000).collect();
        let rows = fold_bias(&b, &w, outputs, zero_point);
        let columns = fold_bias_depthwise(&b, &w, outputs, zero_point);
        let none = fold_bias(&[], &w, outputs, zero_point);
        for o in 0..outputs {
            let dot = |w_of: &dyn Fn(usize) -> i8, zero: i32| -> i32 {
                (0..len).map(|i| (i32::from(x[i]) - zero) * i32::from(w_of(i))).sum()
            };
            let row = |i: usize| w[o * len + i];
            let column = |i: usize| w[i * outputs + o];
            prop_assert_eq!(b[o] + dot(&row, zero_point), rows[o] + dot(&row, 0));
            prop_assert_eq!(b[o] + dot(&column, zero_point), columns[o] + dot(&column, 0));
            prop_assert_eq!(dot(&row, zero_point), none[o] + dot(&row, 0));
        }
    }

    #[test]
    fn sums_are_close(a in 0.001f32..1.0, b in 0.001f32..1.0, y in 0.004f32..4.0, za in -128i32..=127, zb in -128i32..=127) {
        let (a, b, y) = (affine(a, za), affine(b, zb), affine(y, 0));
        let sum = add_sum(a, b, y, Activation::Linear).unwrap();
        for (p, q) in [(-128i8, 127i8), (0, 0), (5, -7), (127, 127)] {
            let real = f64::from(dequantize_i8(p, a.scale(), za)) + f64::from(dequantize_i8(q, b.scale(), zb));
            let exact = (real / f64::from(y.scale())).clamp(-128.0, 127.0);
            // One rounding to a step; the two inner ones are 2^-19 of an input step at most.
            prop_assert!((f64::from(sum.of(p, q)) - exact).abs() <= 0.51, "{} {exact}", sum.of(p, q));
        }
    }
}

#[test]
fn folding_wraps_as_sums_do() {
    let b = fold_bias(&[i32::MIN], &[127, 127], 1, 127);
    assert_eq!(b, [i32::MIN.wrapping_sub(127 * 254)]);
}

#[test]
fn ranges_of_activations() {
    let range = |activation, scale, zero_point| activation_range(activation, affine(scale, zero_point));
    assert_eq!(range(Activation::Linear, 0.1, 3), Ok((-128, 127)));
    assert_eq!(range(Activation::Relu, 0.1, 3), Ok((3, 127)));
    assert_eq!(range(Activation::Relu6, 0.1, -128), Ok((-128, -68)));
    assert_eq!(range(Activation::Relu6, 0.01, -128), Ok((-128, 127)));
    assert_eq!(range(Activation::ReluN1To1, 0.4, 10), Ok((7, 13)), "2.5 steps, away from zero");
    assert_eq!(range(Activation::Tanh, 0.1, 3), Err(FixedPointError::NotAClamp { found: "tanh" }));
}

#[test]
fn bad_scales_and_zero_points_are_refused() {
    for scale in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        assert!(matches!(Affine::new(scale, 0), Err(FixedPointError::Scale { .. })));
    }
    assert_eq!(Affine::new(1.0, 128), Err(FixedPointError::ZeroPoint { found: 128, expected: "-128..=127" }));
    assert_eq!(Affine::of(&Quant::per_axis(vec![1.0, 2.0], 0), DType::I8), Err(FixedPointError::PerAxis { found: 2 }));
    assert!(add_sum(affine(1.0, 0), affine(1.0, 0), affine(1e-6, 0), Activation::Linear).is_err());
    assert!(softmax_scaling(1e-9, 1.0).is_err());
    assert!(softmax_scaling(f32::NAN, 1.0).is_err());
    assert!(rescale_table(affine(1e9, 0), affine(1e-9, 0)).is_err());
    assert!(hard_swish_table(affine(1.0, 0), affine(1e-4, 0)).is_err());
    assert!(hard_swish_table(affine(1e-9, 0), affine(1.0, 0)).is_err());
    assert!(logistic_table(affine(8.0, 0)).is_err());
}

#[test]
fn softmax_scalings() {
    // 1/256 * 2^26 = 2^18, whose exponent is 19; 31 * 2^(26 - 19) = 3968 (CMSIS-NN's test data has the same pair).
    let scaling = softmax_scaling(1.0 / 256.0, 1.0).unwrap();
    assert_eq!((scaling.multiplier, scaling.left_shift, scaling.diff_min), (1 << 30, 19, -3968));
    let scaling = softmax_scaling(0.5, 2.0).unwrap();
    assert_eq!((scaling.multiplier, scaling.left_shift, scaling.diff_min), (1 << 30, 27, -15));
    let capped = softmax_scaling(1000.0, 1.0).unwrap();
    assert_eq!((capped.multiplier, capped.left_shift, capped.diff_min), (i32::MAX, 31, 0));
}

// ----------------------------------------------------------------------------------------------- tables

fn values() -> impl Iterator<Item = i8> {
    i8::MIN..=i8::MAX
}

/// Greatest difference of `table` from `f` over reals, in steps of the output.
fn distance(table: &Table, input: Affine, output: Affine, f: impl Fn(f64) -> f64) -> f64 {
    let error = |x: i8| {
        let real = f64::from(input.scale()) * f64::from(i32::from(x) - input.zero_point());
        let exact = f(real) / f64::from(output.scale()) + f64::from(output.zero_point());
        (f64::from(table[usize::from(x as u8)]) - exact.clamp(-128.0, 127.0)).abs()
    };
    values().map(error).fold(0.0, f64::max)
}

/// Half a step from the second rounding; half a step before a shift by at least one bit from the first.
const TWO_ROUNDINGS: f64 = 0.5 + 0.25 + 1e-6;

fn is_monotone(table: &Table) -> bool {
    values().zip(values().skip(1)).all(|(a, b)| table[usize::from(a as u8)] <= table[usize::from(b as u8)])
}

#[test]
fn logistic_and_tanh_are_nearest() {
    for (scale, zero_point) in [(0.05, 0), (0.1, -128), (0.0244801, 5), (0.25, 127), (0.003, -7), (1.0, 3)] {
        let input = affine(scale, zero_point);
        let logistic = logistic_table(input).unwrap();
        // Half a step and a little for the fixed-point error.
        assert!(distance(&logistic, input, LOGISTIC_OUTPUT, |x| 1.0 / (1.0 + (-x).exp())) < 0.502, "{scale}");
        let tanh = tanh_table(input).unwrap();
        assert!(distance(&tanh, input, TANH_OUTPUT, f64::tanh) < 0.502, "{scale}");
        assert!(is_monotone(&logistic) && is_monotone(&tanh));
        let zero = usize::from(zero_point as u8);
        assert_eq!((logistic[zero], tanh[zero]), (0, 0));
    }
}

#[test]
fn clamps_are_nearest() {
    for (x, zx, y, zy) in [(0.1, 3, 0.1, 3), (0.1, -128, 0.05, -128), (0.02, 7, 0.3, -20)] {
        let (input, output) = (affine(x, zx), affine(y, zy));
        for (lo, hi) in [(f32::NEG_INFINITY, f32::INFINITY), (0.0, f32::INFINITY), (0.0, 6.0), (-1.0, 1.0)] {
            let table = clamp_table(input, output, lo, hi).unwrap();
            let clamp = |x: f64| x.clamp(f64::from(lo), f64::from(hi));
            // A limit is rounded once, to half a step.
            assert!(distance(&table, input, output, clamp) < TWO_ROUNDINGS);
        }
    }
}

#[test]
fn limits_of_int16_are_those_of_the_type() {
    let of = |scale| Affine::int16(scale, 0).unwrap();
    assert_eq!(activation_range(Activation::Linear, of(0.5)), Ok((-32768, 32767)));
    assert_eq!(activation_range(Activation::Relu6, of(0.001)), Ok((0, 6000)));
    assert!(activation_range(Activation::Tanh, of(0.5)).is_err());
    assert!(Affine::int16(0.5, 1).is_err(), "no zero point but 0");
}

#[test]
fn equal_scales_change_nothing_but_the_limits() {
    let q = affine(0.047, -11);
    let same = rescale_table(q, q).unwrap();
    assert!(values().all(|x| same[usize::from(x as u8)] == x));
    let relu = clamp_table(q, q, 0.0, f32::INFINITY).unwrap();
    assert!(values().all(|x| relu[usize::from(x as u8)] == x.max(-11)));
}

#[test]
fn leaky_relu_is_nearest() {
    let (input, output) = (affine(0.1, 10), affine(0.07, -20));
    for alpha in [0.125f32, 0.01, 1.5, -0.25, 0.0] {
        let table = leaky_relu_table(input, output, alpha).unwrap();
        let f = |x: f64| if x > 0.0 { x } else { x * f64::from(alpha) };
        assert!(distance(&table, input, output, f) < TWO_ROUNDINGS, "{alpha}");
    }
}

#[test]
fn hard_swish_is_close() {
    for (x, zx, y, zy) in [(0.05, 0, 0.05, 0), (0.1, -10, 0.06, -90), (8.0 / 255.0, -3, 4.5 / 255.0, -110)] {
        let (input, output) = (affine(x, zx), affine(y, zy));
        let table = hard_swish_table(input, output).unwrap();
        let f = |x: f64| x * (x + 3.0).clamp(0.0, 6.0) / 6.0;
        // 16-bit factors: 2^-15 of a range of 256 steps each, twice, on top of half a step.
        assert!(distance(&table, input, output, f) < 0.53, "{x}");
    }
}

#[test]
fn quantised_reals_pass_through_a_table_as_through_the_function() {
    let (input, output) = (affine(0.1, 0), affine(0.05, 0));
    let table = rescale_table(input, output).unwrap();
    let Multiplier { mantissa, shift } = Multiplier::new("test", f64::from(0.1f32) / f64::from(0.05f32)).unwrap();
    for x in [-5.0f32, -0.3, 0.0, 2.5] {
        let q = quantize_i8(x, 0.1, 0);
        let expected = multiply_by_quantized_multiplier(i32::from(q), mantissa, shift);
        assert_eq!(i32::from(table[usize::from(q as u8)]), expected);
    }
}

#[test]
fn log_softmax_is_within_a_step() {
    use embernet_core::kernels::softmax::forward_log_i8;
    for (len, scale) in [(3, 0.02), (100, 0.1), (1000, 0.005), (4095, 0.3)] {
        let scaling = log_softmax_scaling(scale).unwrap();
        let x: Vec<i8> = (0..len as i32).map(|i| (i * i * 7 + i * 31) as i8).collect();
        let mut y = x.clone();
        forward_log_i8(len, &scaling, &mut y);
        let sum: f64 = x.iter().map(|x| (f64::from(*x) * f64::from(scale)).exp()).sum();
        for (x, y) in x.iter().zip(&y) {
            let truth = (16.0 * (f64::from(*x) * f64::from(scale) - sum.ln()) + 127.0).clamp(-128.0, 127.0);
            assert!((f64::from(*y) - truth).abs() <= 1.0, "{len} of scale {scale}: {x} is {y}, not {truth}");
        }
    }
}
