//! Tests of softmax against its definition in f64.

use super::*;
use crate::arch::Scalar;
use crate::kernels::testing::*;
use crate::math::Maths;
use crate::rng::Rng;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

fn reference(len: usize, beta: f64, x: &[f64]) -> Vec<f64> {
    x.chunks(len)
        .flat_map(|x| {
            let greatest = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = x.iter().map(|x| (beta * (x - greatest)).exp()).sum();
            x.iter().map(|x| (beta * (x - greatest)).exp() / total).collect::<Vec<_>>()
        })
        .collect()
}

/// Factors of the exponents: exact ones, so that they add no rounding.
const BETAS: [f32; 3] = [1.0, 0.5, 0.25];

fn inputs(rng: &mut Rng, len: usize) -> Vec<f32> {
    noise(rng, len).iter().map(|x| 10.0 * x).collect()
}

proptest! {
    #[test]
    fn forward_matches_its_definition(rows in 1usize..5, len in 1usize..20, beta in 0usize..3, seed: u64) {
        let (beta, x) = (BETAS[beta], inputs(&mut Rng::new(seed), rows * len));
        let mut y = x.clone();
        forward_f32(Maths::Exact, len, beta, &mut y);
        // Subtracting rounds x - max, at most 20 in size: 20 roundings of e^x; exp itself, the sum and the quotient
        // add the rest.
        assert_close(&y, &reference(len, beta.into(), &wide(&x)), 2 * (20 + 2) + len + 1, &y);
        for row in y.chunks(len) {
            let total: f64 = wide(row).iter().sum();
            prop_assert!((total - 1.0).abs() <= 2.0 * len as f64 * ROUNDING, "sums to {}", total);
        }
    }

    #[test]
    fn backward_matches_finite_differences(rows in 1usize..5, len in 1usize..20, beta in 0usize..3, seed: u64) {
        let (beta, mut rng) = (BETAS[beta], Rng::new(seed));
        let (x, dy) = (inputs(&mut rng, rows * len), noise(&mut rng, rows * len));
        let numeric = numeric_gradient(&x, |x| weighted(&reference(len, beta.into(), x), &dy));
        let mut y = x.clone();
        forward_f32(Maths::Exact, len, beta, &mut y);
        let mut dx = dy.clone();
        backward_f32(Scalar, len, beta, &y, &mut dx);
        // As above for y, which enters twice; |dy - sum| is at most 2.
        let magnitude: Vec<f32> = y.iter().map(|y| 2.0 * y).collect();
        assert_close(&dx, &numeric, 2 * (2 * (20 + 2) + len + 1) + len + 2, &magnitude);
    }

    #[test]
    fn in_place_equals_out_of_place(rows in 1u32..4, len in 1u32..12, samples in 1usize..4, seed: u64) {
        let mut rng = Rng::new(seed);
        let total = samples * (rows * len) as usize;
        let (x, dy) = (inputs(&mut rng, total), noise(&mut rng, total));
        let [first, second, third] = [0, 4 * total as u32, 8 * total as u32].map(Ref::arena);

        let mut apart = [&x[..], &vec![f32::NAN; total]].concat();
        run(&ForwardF32 { rows, len, beta: 1.0, logarithm: 0, x: first, y: second }, &mut apart, samples, REVEAL);
        let mut here = x.clone();
        let record = ForwardF32 { rows, len, beta: 1.0, logarithm: 0, x: first, y: first };
        run(&record, &mut here, samples, REVEAL);
        prop_assert_eq!(record.operands(samples).as_slice().len(), 1);
        prop_assert_eq!(bits(&apart[..total]), bits(&x), "the input stays");
        prop_assert_eq!(bits(&apart[total..]), bits(&here));

        let mut apart = [&here[..], &dy, &vec![f32::NAN; total]].concat();
        run(&BackwardF32 { rows, len, beta: 1.0, y: first, dy: second, dx: third }, &mut apart, samples, REVEAL);
        let mut arena = [&here[..], &dy].concat();
        run(&BackwardF32 { rows, len, beta: 1.0, y: first, dy: second, dx: second }, &mut arena, samples, REVEAL);
        prop_assert_eq!(bits(&apart[2 * total..]), bits(&arena[total..]));
    }
}

#[test]
fn huge_inputs_do_not_overflow() {
    let mut y = [1e30, 1e30, -1e30];
    forward_f32(Maths::Exact, 3, 1.0, &mut y);
    assert_eq!(y, [0.5, 0.5, 0.0]);
}

proptest! {
    #[test]
    fn logarithm_matches_its_definition(rows in 1usize..5, len in 1usize..20, seed: u64) {
        let x = inputs(&mut Rng::new(seed), rows * len);
        let mut y = x.clone();
        log_forward_f32(Maths::Exact, len, &mut y);
        let expected: Vec<f64> = reference(len, 1.0, &wide(&x)).iter().map(|y| y.ln()).collect();
        // The logarithm is of a sum with the roundings above; differences are at most 20 and logarithms 3 in size.
        let magnitude = vec![1.0; x.len()];
        assert_close(&y, &expected, 2 * (20 + 2) + len + 20 + 2 * 3 + 23, &magnitude);
    }
}
