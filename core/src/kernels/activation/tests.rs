//! Tests of the activations against their definitions in f64.

use super::*;
use crate::arch::Scalar;
use crate::kernels::testing::*;
use crate::math::Maths;
use crate::rng::Rng;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

/// Kinds with their numbers.
const KINDS: [(Kind, f32, f32); 17] = [
    (Kind::Clamp, 0.0, f32::INFINITY),
    (Kind::Clamp, 0.0, 6.0),
    (Kind::Clamp, -1.5, 2.5),
    (Kind::Sigmoid, 0.0, 0.0),
    (Kind::Tanh, 0.0, 0.0),
    (Kind::LeakyRelu, 0.125, 0.0),
    (Kind::Elu, 0.75, 0.0),
    (Kind::HardSigmoid, 0.2, 0.5),
    (Kind::HardSwish, 0.0, 0.0),
    (Kind::Gelu, 0.0, 0.0),
    (Kind::GeluTanh, 0.0, 0.0),
    (Kind::Exp, 0.0, 0.0),
    (Kind::Log, 0.0, 0.0),
    (Kind::Sqrt, 0.0, 0.0),
    (Kind::Abs, 0.0, 0.0),
    (Kind::Neg, 0.0, 0.0),
    (Kind::Reciprocal, 0.0, 0.0),
];

fn reference(kind: Kind, a: f32, b: f32, x: &[f64]) -> Vec<f64> {
    let (a, b) = (f64::from(a), f64::from(b));
    let f = |x: f64| match kind {
        Kind::Clamp => x.clamp(a, b),
        Kind::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Kind::Tanh => x.tanh(),
        Kind::LeakyRelu => {
            if x > 0.0 {
                x
            } else {
                a * x
            }
        }
        Kind::Elu => {
            if x > 0.0 {
                x
            } else {
                a * x.exp_m1()
            }
        }
        Kind::HardSigmoid => (a * x + b).clamp(0.0, 1.0),
        Kind::HardSwish => x * (x + 3.0).clamp(0.0, 6.0) / 6.0,
        Kind::Gelu => 0.5 * x * (1.0 + libm::erf(x / 2f64.sqrt())),
        Kind::GeluTanh => 0.5 * x * (1.0 + ((2.0 / core::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh()),
        Kind::Exp => x.exp(),
        Kind::Log => x.ln(),
        Kind::Sqrt => x.sqrt(),
        Kind::Abs => x.abs(),
        Kind::Neg => -x,
        Kind::Reciprocal => 1.0 / x,
    };
    x.iter().map(|&x| f(x)).collect()
}

/// In `[-8, 8)`, and not within 1/256 of a whole or half number, where limits have their kinks; above 1/4 where the
/// function wants that.
fn inputs(rng: &mut Rng, kind: Kind, len: usize) -> Vec<f32> {
    let near =
        |x: f32| if matches!(kind, Kind::Log | Kind::Sqrt | Kind::Reciprocal) { 0.25 + x.abs() / 4.0 } else { x };
    (0..len).map(|_| near(rng.below(32) as f32 / 2.0 - 8.0 + rng.uniform_f32(0.004, 0.496))).collect()
}

proptest! {
    #[test]
    fn forward_matches_its_definition(kind in 0usize..17, len in 1usize..40, seed: u64) {
        let (kind, a, b) = KINDS[kind];
        let x = inputs(&mut Rng::new(seed), kind, len);
        let mut y = x.clone();
        forward_f32(Scalar, Maths::Exact, kind, a, b, &mut y);
        // libm's exp and tanh err by about one unit in the last place (two roundings); the sum and the quotient of
        // the sigmoid add two. A gelu's argument is rounded four times, and its last factor is a difference from 1,
        // so that it is the input that counts.
        let gelu = matches!(kind, Kind::Gelu | Kind::GeluTanh);
        let magnitude = if gelu { absolute(&x) } else { absolute(&y).iter().map(|y| y.max(0.5)).collect() };
        assert_close(&y, &reference(kind, a, b, &wide(&x)), if gelu { 12 } else { 6 }, &magnitude);
    }

    #[test]
    fn backward_matches_finite_differences(kind in 0usize..17, len in 1usize..40, seed: u64) {
        let (kind, a, b) = KINDS[kind];
        let mut rng = Rng::new(seed);
        let (x, dy) = (inputs(&mut rng, kind, len), noise(&mut rng, len));
        let numeric = numeric_gradient(&x, |x| weighted(&reference(kind, a, b, x), &dy));
        let mut y = x.clone();
        forward_f32(Scalar, Maths::Exact, kind, a, b, &mut y);
        let mut dx = dy.clone();
        backward_f32(kind, a, b, if kind.slope_from_output() { &y } else { &x }, &mut dx);
        // Slopes of these are at most e^8, 4 and 16.
        let steep = match kind {
            Kind::Exp => 2981.0,
            Kind::Reciprocal | Kind::Log | Kind::Sqrt => 16.0,
            _ => 4.0,
        };
        let dy: Vec<f32> = dy.iter().map(|dy| dy * steep).collect();
        // The roundings of y reach the result multiplied by at most 2 |y dy|, and |y| is at most 1 where f' depends
        // on it.
        assert_close(&dx, &numeric, 16, &absolute(&dy));
    }

    #[test]
    fn in_place_equals_out_of_place(kind in 0usize..17, len in 1u32..40, samples in 1usize..4, seed: u64) {
        let (kind, a, b) = KINDS[kind];
        let mut rng = Rng::new(seed);
        let total = samples * len as usize;
        let (x, dy) = (inputs(&mut rng, kind, total), noise(&mut rng, total));
        let [first, second, third] = [0, 4 * total as u32, 8 * total as u32].map(Ref::arena);

        let mut apart = [&x[..], &vec![f32::NAN; total]].concat();
        run(&ForwardF32 { kind: kind as u32, len, a, b, x: first, y: second }, &mut apart, samples, REVEAL);
        let mut here = x.clone();
        let record = ForwardF32 { kind: kind as u32, len, a, b, x: first, y: first };
        run(&record, &mut here, samples, REVEAL);
        prop_assert_eq!(record.operands(samples).as_slice().len(), 1);
        prop_assert_eq!(bits(&apart[..total]), bits(&x), "the input stays");
        prop_assert_eq!(bits(&apart[total..]), bits(&here));

        let mut apart = [&here[..], &dy, &vec![f32::NAN; total]].concat();
        run(&BackwardF32 { kind: kind as u32, len, a, b, y: first, dy: second, dx: third }, &mut apart, samples, REVEAL);
        let mut arena = [&here[..], &dy].concat();
        let record = BackwardF32 { kind: kind as u32, len, a, b, y: first, dy: second, dx: second };
        run(&record, &mut arena, samples, REVEAL);
        prop_assert_eq!(record.operands(samples).as_slice().len(), 2);
        prop_assert_eq!(bits(&apart[2 * total..]), bits(&arena[total..]));
    }
}

#[test]
fn limits_pass_no_gradient_at_their_ends() {
    let mut dy = [1.0; 5];
    backward_f32(Kind::Clamp, 0.0, 6.0, &[0.0, 1e-9, 3.0, 6.0, f32::NAN], &mut dy);
    assert_eq!(dy, [0.0, 1.0, 1.0, 0.0, 0.0]);
}

#[test]
fn extremes_saturate() {
    let mut y = [-1e30, 1e30];
    forward_f32(Scalar, Maths::Exact, Kind::Sigmoid, 0.0, 0.0, &mut y);
    assert_eq!(y, [0.0, 1.0]);
    let mut y = [-1e30, 1e30];
    forward_f32(Scalar, Maths::Exact, Kind::Tanh, 0.0, 0.0, &mut y);
    assert_eq!(y, [-1.0, 1.0]);
}

#[test]
fn unknown_kinds_are_refused() {
    let record = ForwardF32 { kind: 15, len: 1, a: 0.0, b: 0.0, x: Ref::arena(0), y: Ref::arena(0) };
    assert!(!record.shape_is_valid());
    assert!(ForwardF32 { kind: 2, ..record }.shape_is_valid());
    assert!(!ForwardF32 { kind: 2, len: 0, ..record }.shape_is_valid());
}
