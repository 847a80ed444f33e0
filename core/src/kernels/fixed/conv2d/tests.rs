//! Tests of convolutions against those of floats.

use super::*;
use crate::arch::Scalar;
use crate::kernels::conv2d;
use crate::kernels::fixed::testing::*;
use crate::kernels::testing::axes;
use crate::kernels::util::bias_backward;
use crate::kernels::window::{Axis, Window2d};
use crate::optim::Store;
use proptest::prelude::*;
use std::vec;

fn shape_of(height: Axis, width: Axis, (groups, depth, filters): (u32, u32, u32)) -> Conv2d {
    Conv2d { window: Window2d { height, width }, in_c: groups * depth, out_c: groups * filters, groups }
}

proptest! {
    #[test]
    fn forward_and_backward_are_those_of_floats(
        height in axes(1..3), width in axes(1..3), channels in (1u32..3, 1u32..4, 1u32..4), samples in 1usize..3, seed: u64,
    ) {
        let shape = shape_of(height, width, channels);
        let (inputs, outputs, out_c) = (shape.in_elements(), shape.out_elements(), shape.out_c as usize);
        let case = Case::new(seed, samples, [inputs, shape.weights(), out_c, outputs]);
        let [x, w, b, dy] = &case.blocks;
        let [real_x, real_w, real_b, real_dy] = &case.floats;

        let mut sums = vec![7; shape.window.width.output as usize * out_c];
        let (mut y, mut expected) = (vec![3; samples * stride(outputs)], vec![0.0; samples * outputs]);
        for (lo, hi) in [(f32::NEG_INFINITY, f32::INFINITY), (0.0, 6.0)] {
            forward(Scalar, &shape, [x, w, b], Limits { lo, hi }, &mut sums, &mut y);
            conv2d::forward_f32(Scalar, &shape, real_x, real_w, real_b, lo, hi, &mut [], &mut expected);
            assert_sums(&y, &expected, outputs, shape.patch(), [0, 1]);
        }

        let mut sums = vec![7; shape.window.width.input as usize * shape.in_c as usize];
        let (mut dx, mut expected) = (vec![3; samples * stride(inputs)], vec![0.0; samples * inputs]);
        backward_input(Scalar, &shape, dy, w, &mut sums, &mut dx);
        conv2d::backward_input_f32(Scalar, &shape, real_dy, real_w, &mut [], &mut expected);
        assert_sums(&dx, &expected, inputs, shape.window.taps() * shape.group_out(), [3, 1]);

        let lengths = [inputs, out_c, shape.window.out_pixels()];
        let [dw, db] = gradients([shape.weights(), out_c], |context, parameters| {
            train(Scalar, context, lengths, [x, dy], parameters, |gradient, tile, update| {
                backward_weights(Scalar, &shape, gradient, x, dy, tile, update);
            });
        });
        let (mut tile, mut expected) = (vec![0.0; 64], vec![0.0; shape.weights()]);
        conv2d::backward_weights_f32(Scalar, &shape, real_x, real_dy, &mut tile, &mut Store(&mut expected));
        assert_gradient(&dw, expected.into_iter().map(f64::from));
        let mut expected = vec![0.0; out_c];
        bias_backward(out_c, real_dy, &mut tile, &mut Store(&mut expected));
        assert_gradient(&db, expected.into_iter().map(f64::from));
    }
}
