//! Tests of the average pool against its definition in f64.

use super::*;
use crate::arch::Scalar;
use crate::kernels::max_pool::tests::{shape_of, shapes as any_shapes, windows};
use crate::kernels::testing::*;
use crate::kernels::window::Axis;
use crate::rng::Rng;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

fn reference(shape: &Pool2d, samples: usize, x: &[f64]) -> Vec<f64> {
    windows(shape, samples)
        .into_iter()
        .map(|window| window.iter().map(|&at| x[at]).sum::<f64>() / window.len() as f64)
        .collect()
}

fn shapes() -> impl Strategy<Value = Pool2d> {
    any_shapes().prop_filter("neighbouring taps", Pool2d::is_dense)
}

proptest! {
    #[test]
    fn forward_matches_its_definition(shape in shapes(), samples in 1usize..4, seed: u64) {
        let x = noise(&mut Rng::new(seed), samples * shape.in_elements());
        let mut y = vec![f32::NAN; samples * shape.out_elements()];
        let mut magnitude = y.clone();
        forward_f32(Scalar, &shape, &absolute(&x), f32::NEG_INFINITY, f32::INFINITY, &mut magnitude);
        forward_f32(Scalar, &shape, &x, f32::NEG_INFINITY, f32::INFINITY, &mut y);
        // The sum's roundings and one of the division.
        let roundings = shape.window.taps() + 1;
        assert_close(&y, &reference(&shape, samples, &wide(&x)), roundings, &magnitude);
        let limited: Vec<f32> = y.iter().map(|y| y.clamp(-0.25, 0.25)).collect();
        forward_f32(Scalar, &shape, &x, -0.25, 0.25, &mut y);
        prop_assert_eq!(y, limited);
    }

    #[test]
    fn backward_matches_finite_differences(shape in shapes(), samples in 1usize..4, seed: u64) {
        let mut rng = Rng::new(seed);
        let x = noise(&mut rng, samples * shape.in_elements());
        let dy = noise(&mut rng, samples * shape.out_elements());
        let numeric = numeric_gradient(&x, |x| weighted(&reference(&shape, samples, x), &dy));
        let (mut dx, mut magnitude) = (vec![f32::NAN; x.len()], vec![f32::NAN; x.len()]);
        backward_f32(Scalar, &shape, &dy, &mut dx);
        backward_f32(Scalar, &shape, &absolute(&dy), &mut magnitude);
        // The sum's roundings, and two of the reciprocal and its product.
        assert_close(&dx, &numeric, shape.window.taps() + 2, &magnitude);
    }

    #[test]
    fn records_run_their_kernels(shape in shapes(), samples in 1usize..4, seed: u64) {
        let mut rng = Rng::new(seed);
        let (inputs, outputs) = (samples * shape.in_elements(), samples * shape.out_elements());
        let (data, place) = (noise(&mut rng, inputs + outputs), |elements: usize| Ref::arena(4 * elements as u32));
        let (x, dy) = data.split_at(inputs);

        let mut y = vec![f32::NAN; outputs];
        forward_f32(Scalar, &shape, x, -0.5, 0.5, &mut y);
        let mut arena = data.clone();
        let record = ForwardF32 { shape, x: place(0), y: place(inputs), lo: -0.5, hi: 0.5 };
        run(&record, &mut arena, samples, REVEAL);
        prop_assert_eq!(&arena[inputs..], y);

        let mut dx = vec![f32::NAN; inputs];
        backward_f32(Scalar, &shape, dy, &mut dx);
        let mut arena = [dy, x].concat();
        run(&BackwardF32 { shape, dy: place(0), dx: place(outputs) }, &mut arena, samples, REVEAL);
        prop_assert_eq!(&arena[outputs..], dx);
    }
}

#[test]
fn padding_does_not_count() {
    let axis = Axis { input: 2, output: 2, kernel: 2, stride: 1, dilation: 1, pad: 0 };
    let mut y = [0.0; 4];
    let shape = shape_of(axis, axis, 1);
    forward_f32(Scalar, &shape, &[1.0, 2.0, 3.0, 6.0], f32::NEG_INFINITY, f32::INFINITY, &mut y);
    assert_eq!(y, [3.0, 4.0, 4.5, 6.0]);
}

#[test]
fn a_global_pool_is_one_window() {
    let axis = Axis { input: 3, output: 1, kernel: 3, stride: 1, dilation: 1, pad: 0 };
    let x: Vec<f32> = (0..18).map(|i| i as f32).collect();
    let mut y = [0.0; 2];
    forward_f32(Scalar, &shape_of(axis, axis, 2), &x, f32::NEG_INFINITY, f32::INFINITY, &mut y);
    assert_eq!(y, [8.0, 9.0]);
}
