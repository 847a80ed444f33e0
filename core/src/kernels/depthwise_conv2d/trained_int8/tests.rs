//! Against a grouped int8 convolution, whose filters lie one after the other.

use super::*;
use crate::arch::Scalar;
use crate::kernels::conv2d::{self, Conv2d};
use crate::kernels::testing::{noise, windows};
use crate::kernels::testing_int8::{between, bytes};
use crate::optim::Store;
use crate::rng::Rng;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

fn shapes() -> impl Strategy<Value = DepthwiseConv2d> {
    (windows(4, 4, 3, 3), prop_oneof![1u32..6, 60u32..70], 1u32..4)
        .prop_map(|(window, in_c, multiplier)| DepthwiseConv2d { window, in_c, out_c: in_c * multiplier, multiplier })
        .prop_filter("valid", DepthwiseConv2d::is_valid)
}

proptest! {
    #[test]
    fn it_is_a_grouped_convolution(
        shape in shapes(),
        samples in 1usize..3,
        per_channel: bool,
        tile in 1usize..90,
        seed: u64,
    ) {
        let DepthwiseConv2d { window, in_c, out_c, .. } = shape;
        let grouped = Conv2d { window, in_c, out_c, groups: in_c };
        let mut rng = Rng::new(seed);
        let (w, x) = (bytes(&mut rng, shape.weights()), bytes(&mut rng, samples * shape.in_elements()));
        let dy = noise(&mut rng, samples * shape.out_elements());
        let (outputs, taps) = (shape.out_c as usize, shape.window.taps());
        let scale: Vec<f32> = (0..if per_channel { outputs } else { 1 }).map(|_| rng.uniform_f32(0.001, 0.1)).collect();
        let input = Input { scale: 0.02, zero_point: between(&mut rng, -128, 127) };
        let filters: Vec<i8> = (0..outputs).flat_map(|o| w.iter().skip(o).step_by(outputs).copied()).collect();

        let (mut dx, mut expected) = (vec![f32::NAN; x.len()], vec![f32::NAN; x.len()]);
        backward_input_i8(&shape, &dy, &w, &scale, &mut dx);
        conv2d::backward_input_i8(Scalar, &grouped, &dy, &filters, &scale, &mut [0.0; 64], &mut expected);
        prop_assert_eq!(&dx, &expected);

        let (mut dw, mut of_filters) = (vec![f32::NAN; w.len()], vec![f32::NAN; w.len()]);
        backward_weights_i8(&shape, &x, input, &dy, &mut vec![0.0; tile], &mut Store(&mut dw));
        let (mut gradient, mut unpacked) = (vec![0.0; 512], vec![0.0; 512]);
        let sink = &mut Store(&mut of_filters);
        conv2d::backward_weights_i8(Scalar, &grouped, &x, input, &dy, &mut gradient, &mut unpacked, sink);
        let expected: Vec<f32> = (0..taps).flat_map(|t| of_filters.iter().skip(t).step_by(taps).copied()).collect();
        prop_assert_eq!(&dw, &expected);
    }
}
