//! Tests of dense layers against their definition in f64.

use super::*;
use crate::arch::Scalar;
use crate::kernels::fixed::number::log2_up;
use crate::kernels::fixed::testing::*;
use crate::rng::Rng;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

/// `c[i][j] = sum of a[i][k] b[k][j]`.
fn product([m, k, n]: [usize; 3], a: impl Fn(usize, usize) -> f64, b: impl Fn(usize, usize) -> f64) -> Vec<f64> {
    (0..m * n).map(|at| (0..k).map(|k| a(at / n, k) * b(k, at % n)).sum()).collect()
}

proptest! {
    #[test]
    fn forward_and_backward_are_those_of_reals(
        inputs in 1usize..140, outputs in 1usize..20, samples in 1usize..4, seed: u64, bias in -22i32..-2,
    ) {
        let mut rng = Rng::new(seed);
        let shape = Dense { inputs: inputs as u32, outputs: outputs as u32 };
        let x = blocks(&mut rng, samples, inputs, 15, -14);
        let w = blocks(&mut rng, 1, inputs * outputs, 14, -13);
        let b = blocks(&mut rng, 1, outputs, 14, bias);
        let (real_x, real_w, real_b) = (values(&x, inputs), values(&w, inputs * outputs), values(&b, outputs));
        let mut sums = vec![7; inputs.max(outputs)];
        let mut y = vec![0; samples * stride(outputs)];
        let lo = Limits { lo: 0.0, hi: f32::INFINITY };
        for limits in [Limits::NONE, lo] {
            forward(Scalar, &shape, &x, &w, &b, limits, &mut sums[..outputs], &mut y);
            let mut expected =
                product([samples, inputs, outputs], |s, i| real_x[s * inputs + i], |i, o| real_w[o * inputs + i]);
            for (at, y) in expected.iter_mut().enumerate() {
                *y += real_b[at % outputs];
                if limits == lo {
                    *y = y.max(0.0);
                }
            }
            // Half a unit of the result, and up to a unit of the sums for each product.
            let lost = inputs as f64 * f64::from((log2_up(inputs) as i32 - 12 - 13).max(bias - 15)).exp2();
            for (found, expected) in values(&y, outputs).chunks(outputs).zip(expected.chunks(outputs)) {
                let unit = greatest(expected) / 16384.0;
                for (found, expected) in found.iter().zip(expected) {
                    prop_assert!((found - expected).abs() <= unit + lost, "{found} {expected}");
                }
            }
        }

        let dy = blocks(&mut rng, samples, outputs, 15, -17);
        let real_dy = values(&dy, outputs);
        let mut dx = vec![0; samples * stride(inputs)];
        backward_input(Scalar, &shape, &dy, &w, &mut sums[..inputs], &mut dx);
        let expected =
            product([samples, outputs, inputs], |s, o| real_dy[s * outputs + o], |o, i| real_w[o * inputs + i]);
        assert_near(&values(&dx, inputs), &expected, inputs, 2.5);
    }

    /// With a rate of 1 and weights of 0 the update is the gradient; its mean has no bias, its error is below a unit.
    #[test]
    fn gradients_are_those_of_reals(inputs in 1usize..140, outputs in 1usize..9, samples in 1usize..4, seed: u64) {
        let mut rng = Rng::new(seed);
        let shape = Dense { inputs: inputs as u32, outputs: outputs as u32 };
        let (x, dy) = (blocks(&mut rng, samples, inputs, 15, -14), blocks(&mut rng, samples, outputs, 15, -16));
        let (real_x, real_dy) = (values(&x, inputs), values(&dy, outputs));
        let [w, b] = gradients([inputs * outputs, outputs], |context, parameters| {
            train(Scalar, context, [inputs, outputs, 1], [&x, &dy], parameters, |gradient, tile, update| {
                backward_weights(Scalar, &shape, gradient, &x, &dy, tile, update);
            });
        });
        let expected = product([outputs, samples, inputs], |o, s| real_dy[s * outputs + o], |s, i| real_x[s * inputs + i]);
        assert_gradient(&w, expected);
        assert_gradient(&b, (0..outputs).map(|o| (0..samples).map(|s| real_dy[s * outputs + o]).sum()));
    }
}
