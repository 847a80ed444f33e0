//! Tests of pools against those of floats.

use super::*;
use crate::arch::Scalar;
use crate::kernels::fixed::testing::*;
use crate::kernels::max_pool::tests::{shape_of, shapes};
use crate::kernels::window::Axis;
use crate::kernels::{average_pool, max_pool};
use crate::rng::Rng;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

/// Exponents of inputs and of gradients.
const X: i32 = -13;
const DY: i32 = -17;

/// Blocks and their values as floats.
fn random(rng: &mut Rng, samples: usize, len: usize, exponent: i32) -> (Vec<i16>, Vec<f32>) {
    let block = blocks(rng, samples, len, 15, exponent);
    let floats = values(&block, len).into_iter().map(|value| value as f32).collect();
    (block, floats)
}

/// Every value within so many units of samples' mantissas, whose exponents are up to this one and two more.
fn near(found: &[i16], expected: &[f32], elements: usize, (units, exponent): (f64, i32)) {
    let most = units * f64::from(exponent + 2).exp2();
    for (found, expected) in values(found, elements).iter().zip(expected) {
        assert!((found - f64::from(*expected)).abs() <= most, "{found} {expected}, within {most}");
    }
}

proptest! {
    #[test]
    fn pools_are_those_of_floats(shape in shapes(), samples in 1usize..3, seed: u64) {
        let (inputs, outputs, channels) = (shape.in_elements(), shape.out_elements(), shape.channels as usize);
        let mut rng = Rng::new(seed);
        let (x, real_x) = random(&mut rng, samples, inputs, X);
        let (dy, real_dy) = random(&mut rng, samples, outputs, DY);
        let (mut y, mut expected_y) = (vec![3; samples * stride(outputs)], vec![0.0; samples * outputs]);
        let (mut dx, mut expected_dx) = (vec![3; samples * stride(inputs)], vec![0.0; samples * inputs]);
        let shared = windows(&shape.window.height) * windows(&shape.window.width);
        for (lo, hi) in [(f32::NEG_INFINITY, f32::INFINITY), (0.0, 1.0)] {
            // The greatest are the same numbers.
            max(&shape, &x, Limits { lo, hi }, &mut y);
            max_pool::forward_f32(Scalar, &shape, &real_x, lo, hi, &mut expected_y);
            near(&y, &expected_y, outputs, (0.0, X));
        }
        max_backward(&shape, &x, &dy, &mut dx);
        max_pool::backward_f32(Scalar, &shape, &real_x, &real_dy, &mut expected_dx);
        // Half a unit, as many times as large as windows share an element (rounded up to a power of two), of each.
        near(&dx, &expected_dx, inputs, ((shared * (shared - 1)) as f64, DY));

        if !shape.is_dense() {
            return Ok(());
        }
        let mut sums = vec![7; shape.window.width.output as usize * channels];
        for (lo, hi) in [(f32::NEG_INFINITY, f32::INFINITY), (0.0, 1.0)] {
            average(Scalar, &shape, &x, Limits { lo, hi }, &mut sums, &mut y);
            average_pool::forward_f32(Scalar, &shape, &real_x, lo, hi, &mut expected_y);
            // Reciprocals have 16 bits; two roundings.
            near(&y, &expected_y, outputs, (3.0, X));
        }
        let mut sums = vec![7; shape.window.width.input as usize * channels];
        average_backward(&shape, &dy, &mut sums, &mut dx);
        average_pool::backward_f32(Scalar, &shape, &real_dy, &mut expected_dx);
        near(&dx, &expected_dx, inputs, (3.0 * shared as f64, DY));
    }
}

#[test]
fn whole_images_have_one_average() {
    let whole = Axis { input: 32, output: 1, kernel: 32, stride: 1, dilation: 1, pad: 0 };
    let shape = shape_of(whole, whole, 2);
    let (mut x, mut y, mut sums) = (vec![0; stride(2048)], vec![0; stride(2)], vec![0; 64]);
    x[2..2050].fill(i16::MAX);
    x[3..2050].iter_mut().step_by(2).for_each(|x| *x = -i16::MAX);
    set_head(&mut x, -10, 0);
    average(Scalar, &shape, &x, Limits::NONE, &mut sums[..2], &mut y);
    assert_eq!(values(&y, 2), [i16::MAX, -i16::MAX].map(|v| f64::from(v) / 1024.0));
    average_backward(&shape, &y, &mut sums, &mut x);
    assert_eq!(values(&x, 2048)[..2], [i16::MAX, -i16::MAX].map(|v| f64::from(v) / 1024.0 / 1024.0));
}
