use super::*;
use crate::arch::Scalar;
use crate::kernels::testing::{taps_of_pixels, windows};
use crate::kernels::testing_int8::{Layer, bytes};
use crate::rng::Rng;
use proptest::prelude::*;
use std::vec::Vec;

/// The reference: the zero point is subtracted from every input, taps beside the input are skipped.
fn reference(shape: &DepthwiseConv2d, layer: &Layer, x: &[i8]) -> Vec<i8> {
    let (in_c, out_c, multiplier) = (shape.in_c as usize, shape.out_c as usize, shape.multiplier as usize);
    let mut y = Vec::new();
    for x in x.chunks(shape.in_elements()) {
        for pixel in taps_of_pixels(&shape.window) {
            for output in 0..out_c {
                let mut acc = layer.bias(output);
                for (tap, at) in &pixel {
                    let x = i64::from(x[at * in_c + output / multiplier]) - i64::from(layer.input_zero_point);
                    acc += x * i64::from(layer.w[tap * out_c + output]);
                }
                y.push(layer.expected(output, acc));
            }
        }
    }
    y
}

/// The kernel with folded biases.
fn folded<I: Isa>(isa: I, shape: &DepthwiseConv2d, layer: &Layer, x: &[i8]) -> Vec<i8> {
    let out_c = shape.out_c as usize;
    let b = layer.folded(out_c, |o| layer.w.iter().skip(o).step_by(out_c).copied().collect());
    let mut y = std::vec![0; x.len() / shape.in_elements() * shape.out_elements()];
    forward_i8(isa, shape, x, &layer.w, &b, layer.input_zero_point as i8, &layer.to(), &mut y);
    y
}

fn shapes() -> impl Strategy<Value = DepthwiseConv2d> {
    // Multipliers beyond the block, channels that fill several blocks.
    let channels = prop_oneof![(1u32..9, 1u32..5), (1u32..3, 30u32..70), (30u32..70, 1u32..3)];
    (windows(5, 4, 4, 5), channels)
        .prop_map(|(window, (in_c, multiplier))| DepthwiseConv2d { window, in_c, out_c: in_c * multiplier, multiplier })
        .prop_filter("valid", DepthwiseConv2d::is_valid)
}

proptest! {
    #[test]
    fn folded_equals_the_reference(
        shape in shapes(),
        samples in 1usize..3,
        seed: u64,
    ) {
        let mut rng = Rng::new(seed);
        let terms = shape.window.taps();
        let layer = Layer::random(&mut rng, shape.out_c as usize, shape.weights(), terms);
        let x = bytes(&mut rng, samples * shape.in_elements());
        let expected = reference(&shape, &layer, &x);
        prop_assert_eq!(&folded(Scalar, &shape, &layer, &x), &expected);
        #[cfg(target_arch = "x86_64")]
        if let Some(isa) = crate::arch::Avx2::new() {
            prop_assert_eq!(&folded(isa, &shape, &layer, &x), &expected);
        }
    }
}
