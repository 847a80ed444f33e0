//! Tests of depthwise convolutions against those of floats.

use super::*;
use crate::arch::Scalar;
use crate::kernels::depthwise_conv2d;
use crate::kernels::fixed::testing::*;
use crate::kernels::testing::axes;
use crate::kernels::window::Window2d;
use crate::optim::Store;
use proptest::prelude::*;
use std::vec;

proptest! {
    #[test]
    fn forward_and_backward_are_those_of_floats(
        height in axes(1..3), width in axes(1..3), channels in 1u32..80, samples in 1usize..3, seed: u64,
    ) {
        let shape =
            DepthwiseConv2d { window: Window2d { height, width }, in_c: channels, out_c: channels, multiplier: 1 };
        let (inputs, outputs, channels) = (shape.in_elements(), shape.out_elements(), channels as usize);
        let case = Case::new(seed, samples, [inputs, shape.weights(), channels, outputs]);
        let [x, w, b, dy] = &case.blocks;
        let [real_x, real_w, real_b, real_dy] = &case.floats;

        let mut sums = vec![7; shape.window.width.output as usize * channels];
        let (mut y, mut expected) = (vec![3; samples * stride(outputs)], vec![0.0; samples * outputs]);
        for (lo, hi) in [(f32::NEG_INFINITY, f32::INFINITY), (0.0, 6.0)] {
            forward(&shape, [x, w, b], Limits { lo, hi }, &mut sums, &mut y);
            depthwise_conv2d::forward_f32(Scalar, &shape, real_x, real_w, real_b, lo, hi, &mut expected);
            assert_sums(&y, &expected, outputs, shape.window.taps(), [0, 1]);
        }

        let mut sums = vec![7; shape.window.width.input as usize * channels];
        let (mut dx, mut expected) = (vec![3; samples * stride(inputs)], vec![0.0; samples * inputs]);
        backward_input(&shape, dy, w, &mut sums, &mut dx);
        depthwise_conv2d::backward_input_f32(Scalar, &shape, real_dy, real_w, &mut expected);
        assert_sums(&dx, &expected, inputs, shape.window.taps(), [3, 1]);

        let lengths = [inputs, channels, shape.window.out_pixels()];
        let [dw, _] = gradients([shape.weights(), channels], |context, parameters| {
            train(Scalar, context, lengths, [x, dy], parameters, |gradient, tile, update| {
                backward_weights(Scalar, &shape, gradient, x, dy, tile, update);
            });
        });
        let (mut tile, mut expected) = (vec![0.0; 64], vec![0.0; shape.weights()]);
        depthwise_conv2d::backward_weights_f32(Scalar, &shape, real_x, real_dy, &mut tile, &mut Store(&mut expected));
        assert_gradient(&dw, expected.into_iter().map(f64::from));
    }
}
