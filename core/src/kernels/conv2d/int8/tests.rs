use super::*;
use crate::arch::Scalar;
use crate::kernels::testing::{taps_of_pixels, windows};
use crate::kernels::testing_int8::{Layer, bytes};
use crate::kernels::window::{Axis, Window2d};
use crate::rng::Rng;
use proptest::prelude::*;
use std::vec::Vec;

/// The reference: the zero point is subtracted from every input, taps beside the input are skipped.
fn reference(shape: &Conv2d, layer: &Layer, x: &[i8]) -> Vec<i8> {
    let (in_c, group_in, taps) = (shape.in_c as usize, shape.group_in(), shape.window.taps());
    let mut y = Vec::new();
    for x in x.chunks(shape.in_elements()) {
        for pixel in taps_of_pixels(&shape.window) {
            for output in 0..shape.out_c as usize {
                let group = output / shape.group_out();
                let mut acc = layer.bias(output);
                for (tap, at) in &pixel {
                    for c in 0..group_in {
                        let x = i64::from(x[at * in_c + group * group_in + c]) - i64::from(layer.input_zero_point);
                        acc += x * i64::from(layer.w[(output * taps + tap) * group_in + c]);
                    }
                }
                y.push(layer.expected(output, acc));
            }
        }
    }
    y
}

/// The kernel with folded biases.
fn folded<I: Isa>(isa: I, shape: &Conv2d, layer: &Layer, scratch: usize, x: &[i8]) -> Vec<i8> {
    let patch = shape.patch();
    let b = layer.folded(shape.out_c as usize, |o| layer.w[o * patch..(o + 1) * patch].to_vec());
    let mut y = std::vec![0; x.len() / shape.in_elements() * shape.out_elements()];
    let mut scratch = std::vec![55; scratch];
    forward_i8(isa, shape, x, &layer.w, &b, layer.input_zero_point as i8, &layer.to(), &mut scratch, &mut y);
    y
}

fn shapes() -> impl Strategy<Value = Conv2d> {
    (windows(5, 4, 4, 5), 1u32..6, 1u32..12, 1u32..4)
        .prop_map(|(window, in_c, out_c, groups)| Conv2d { window, in_c: in_c * groups, out_c: out_c * groups, groups })
        .prop_filter("valid", Conv2d::is_valid)
}

proptest! {
    #[test]
    fn folded_equals_the_reference(
        shape in shapes(),
        samples in 1usize..3,
        seed: u64,
    ) {
        let mut rng = Rng::new(seed);
        let layer = Layer::random(&mut rng, shape.out_c as usize, shape.weights(), shape.patch());
        let x = bytes(&mut rng, samples * shape.in_elements());
        let expected = reference(&shape, &layer, &x);
        prop_assert_eq!(&folded(Scalar, &shape, &layer, 0, &x), &expected);
        prop_assert_eq!(&folded(Scalar, &shape, &layer, shape.patch(), &x), &expected, "gathered");
        #[cfg(target_arch = "x86_64")]
        if let Some(isa) = crate::arch::Avx2::new() {
            let scratch = scratch_bytes_i8(&shape);
            prop_assert_eq!(&folded(isa, &shape, &layer, 0, &x), &expected);
            prop_assert_eq!(&folded(isa, &shape, &layer, scratch, &x), &expected, "gathered");
        }
    }
}

#[test]
fn long_rows_of_padding_are_summed_in_pieces() {
    // 5 x 5 x 9 weights per filter, all but one tap beside the input: pads of 45 weights and more.
    let axis = Axis { input: 1, output: 1, kernel: 5, stride: 1, dilation: 1, pad: 2 };
    let shape = Conv2d { window: Window2d { height: axis, width: axis }, in_c: 9, out_c: 3, groups: 1 };
    for seed in 0..50 {
        let mut rng = Rng::new(seed);
        let layer = Layer::random(&mut rng, 3, shape.weights(), shape.patch());
        let x = bytes(&mut rng, 9);
        assert_eq!(folded(Scalar, &shape, &layer, 0, &x), reference(&shape, &layer, &x));
    }
}
