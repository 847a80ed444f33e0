//! Against the f32 kernels over unpacked operands, which other tests hold against finite differences.

use super::super::{backward_input_f32, backward_weights_f32};
use super::*;
use crate::arch::Scalar;
use crate::kernels::testing::{ROUNDING, absolute, noise, windows};
use crate::kernels::testing_int8::{between, bytes};
use crate::optim::Store;
use crate::rng::Rng;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

fn shapes() -> impl Strategy<Value = Conv2d> {
    (windows(4, 4, 3, 3), 1u32..6, 1u32..7, 1u32..3)
        .prop_map(|(window, in_c, out_c, groups)| Conv2d { window, in_c: in_c * groups, out_c: out_c * groups, groups })
        .prop_filter("valid", Conv2d::is_valid)
}

/// Two sums of the same `terms` products in different orders.
fn assert_near(found: &[f32], expected: &[f32], terms: usize, magnitude: &[f32]) {
    for ((found, expected), magnitude) in found.iter().zip(expected).zip(magnitude) {
        let bound = 2.1 * (terms + 2) as f64 * ROUNDING * f64::from(*magnitude) + 1e-40;
        assert!((f64::from(*found) - f64::from(*expected)).abs() <= bound, "{found}, expected {expected} +- {bound:e}");
    }
}

proptest! {
    #[test]
    fn it_is_the_float_layer_over_unpacked_operands(
        shape in shapes(),
        samples in 1usize..3,
        per_channel: bool,
        tile in 1usize..90,
        seed: u64,
    ) {
        let mut rng = Rng::new(seed);
        let (w, x) = (bytes(&mut rng, shape.weights()), bytes(&mut rng, samples * shape.in_elements()));
        let dy = noise(&mut rng, samples * shape.out_elements());
        let outputs = shape.out_c as usize;
        let scale: Vec<f32> = (0..if per_channel { outputs } else { 1 }).map(|_| rng.uniform_f32(0.001, 0.1)).collect();
        let input = Input { scale: rng.uniform_f32(0.001, 0.1), zero_point: between(&mut rng, -128, 127) };
        let real_w: Vec<f32> =
            w.iter().enumerate().map(|(i, w)| f32::from(*w) * scale_of(&scale, i / shape.patch())).collect();
        let mut real_x = vec![0.0; x.len()];
        dequantize(input.scale, input.zero_point, &x, &mut real_x);

        let float_dx = |dy: &[f32], w: &[f32]| {
            let mut dx = vec![0.0; x.len()];
            backward_input_f32(Scalar, &shape, dy, w, &mut [], &mut dx);
            dx
        };
        let dx = |tile: usize| {
            let mut dx = vec![f32::NAN; x.len()];
            backward_input_i8(Scalar, &shape, &dy, &w, &scale, &mut vec![0.0; tile], &mut dx);
            dx
        };
        let terms = shape.window.taps() * shape.group_out();
        assert_near(&dx(4096), &float_dx(&dy, &real_w), terms, &float_dx(&absolute(&dy), &absolute(&real_w)));
        prop_assert_eq!(dx(tile), dx(4096), "tiles change no bit");

        let mut expected = vec![0.0; w.len()];
        backward_weights_f32(Scalar, &shape, &real_x, &dy, &mut vec![0.0; 4096], &mut Store(&mut expected));
        for tile in [tile, 4096] {
            let mut dw = vec![f32::NAN; w.len()];
            let (mut gradient, mut unpacked) = (vec![0.0; tile], vec![0.0; tile]);
            let sink = &mut Store(&mut dw);
            backward_weights_i8(Scalar, &shape, &x, input, &dy, &mut gradient, &mut unpacked, sink);
            prop_assert_eq!(&dw, &expected, "the same sums in the same order");
        }
    }
}
