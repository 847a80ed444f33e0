//! Tests of the activations against their definitions in f64.

use super::*;
use crate::arch::Scalar;
use crate::kernels::testing::*;
use crate::math::Maths;
use crate::rng::Rng;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

/// Kinds with their limits.
const KINDS: [(Kind, f32, f32); 5] = [
    (Kind::Clamp, 0.0, f32::INFINITY),
    (Kind::Clamp, 0.0, 6.0),
    (Kind::Clamp, -1.5, 2.5),
    (Kind::Sigmoid, 0.0, 0.0),
    (Kind::Tanh, 0.0, 0.0),
];

fn reference(kind: Kind, lo: f32, hi: f32, x: &[f64]) -> Vec<f64> {
    let f = |x: f64| match kind {
        Kind::Clamp => x.clamp(f64::from(lo), f64::from(hi)),
        Kind::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Kind::Tanh => x.tanh(),
    };
    x.iter().map(|&x| f(x)).collect()
}

/// In `[-8, 8)`, and not within 1/256 of a whole or half number, where limits have their kinks.
fn inputs(rng: &mut Rng, len: usize) -> Vec<f32> {
    (0..len).map(|_| rng.below(32) as f32 / 2.0 - 8.0 + rng.uniform_f32(0.004, 0.496)).collect()
}

proptest! {
    #[test]
    fn forward_matches_its_definition(kind in 0usize..5, len in 1usize..40, seed: u64) {
        let (kind, lo, hi) = KINDS[kind];
        let x = inputs(&mut Rng::new(seed), len);
        let mut y = x.clone();
        forward_f32(Scalar, Maths::Exact, kind, lo, hi, &mut y);
        // libm's exp and tanh err by about one unit in the last place (two roundings); the sum and the quotient of
        // the sigmoid add two.
        assert_close(&y, &reference(kind, lo, hi, &wide(&x)), 6, &absolute(&y));
    }

    #[test]
    fn backward_matches_finite_differences(kind in 0usize..5, len in 1usize..40, seed: u64) {
        let (kind, lo, hi) = KINDS[kind];
        let mut rng = Rng::new(seed);
        let (x, dy) = (inputs(&mut rng, len), noise(&mut rng, len));
        let numeric = numeric_gradient(&x, |x| weighted(&reference(kind, lo, hi, x), &dy));
        let mut y = x.clone();
        forward_f32(Scalar, Maths::Exact, kind, lo, hi, &mut y);
        let mut dx = dy.clone();
        backward_f32(kind, lo, hi, &y, &mut dx);
        // The roundings of y reach the result multiplied by at most 2 |y dy|, and |y| is at most 1 where f' depends
        // on it.
        assert_close(&dx, &numeric, 16, &absolute(&dy));
    }

    #[test]
    fn in_place_equals_out_of_place(kind in 0usize..5, len in 1u32..40, samples in 1usize..4, seed: u64) {
        let (kind, lo, hi) = KINDS[kind];
        let (kind, mut rng) = (kind as u32, Rng::new(seed));
        let total = samples * len as usize;
        let (x, dy) = (inputs(&mut rng, total), noise(&mut rng, total));
        let [first, second, third] = [0, 4 * total as u32, 8 * total as u32].map(Ref::arena);

        let mut apart = [&x[..], &vec![f32::NAN; total]].concat();
        run(&ForwardF32 { kind, len, lo, hi, x: first, y: second }, &mut apart, samples, REVEAL);
        let mut here = x.clone();
        let record = ForwardF32 { kind, len, lo, hi, x: first, y: first };
        run(&record, &mut here, samples, REVEAL);
        prop_assert_eq!(record.operands(samples).as_slice().len(), 1);
        prop_assert_eq!(bits(&apart[..total]), bits(&x), "the input stays");
        prop_assert_eq!(bits(&apart[total..]), bits(&here));

        let mut apart = [&here[..], &dy, &vec![f32::NAN; total]].concat();
        run(&BackwardF32 { kind, len, lo, hi, y: first, dy: second, dx: third }, &mut apart, samples, REVEAL);
        let mut arena = [&here[..], &dy].concat();
        let record = BackwardF32 { kind, len, lo, hi, y: first, dy: second, dx: second };
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
    let record = ForwardF32 { kind: 3, len: 1, lo: 0.0, hi: 0.0, x: Ref::arena(0), y: Ref::arena(0) };
    assert!(!record.shape_is_valid());
    assert!(ForwardF32 { kind: 2, ..record }.shape_is_valid());
    assert!(!ForwardF32 { kind: 2, len: 0, ..record }.shape_is_valid());
}
