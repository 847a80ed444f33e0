use super::*;
use crate::arch::Scalar;
use crate::kernels::testing_int8::{Layer, bytes};
use crate::rng::Rng;
use proptest::prelude::*;
use std::vec::Vec;

/// The reference: the zero point is subtracted from every input, taps beside the input are skipped.
fn reference(shape: &Conv2d, layer: &Layer, x: &[i8]) -> Vec<i8> {
    let s = |field: u32| field as usize;
    let mut y = Vec::new();
    for x in x.chunks(shape.in_elements()) {
        for (out_y, out_x) in (0..s(shape.out_h)).flat_map(|y| (0..s(shape.out_w)).map(move |x| (y, x))) {
            for output in 0..s(shape.out_c) {
                let group = output / shape.group_out();
                let mut acc = layer.bias(output);
                for (ky, kx) in (0..s(shape.kernel_h)).flat_map(|y| (0..s(shape.kernel_w)).map(move |x| (y, x))) {
                    let in_y = (out_y * s(shape.stride_h) + ky * s(shape.dilation_h)) as i64 - i64::from(shape.pad_top);
                    let in_x =
                        (out_x * s(shape.stride_w) + kx * s(shape.dilation_w)) as i64 - i64::from(shape.pad_left);
                    if in_y < 0 || in_y >= i64::from(shape.in_h) || in_x < 0 || in_x >= i64::from(shape.in_w) {
                        continue;
                    }
                    for c in 0..shape.group_in() {
                        let at = (in_y as usize * s(shape.in_w) + in_x as usize) * s(shape.in_c);
                        let x = i64::from(x[at + group * shape.group_in() + c]) - i64::from(layer.input_zero_point);
                        let tap = (output * s(shape.kernel_h) + ky) * s(shape.kernel_w) + kx;
                        acc += x * i64::from(layer.w[tap * shape.group_in() + c]);
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
    let size = (1u32..8, 1u32..8, 1u32..6, 1u32..7);
    let window = (1u32..5, 1u32..5, 1u32..4, 1u32..4, 1u32..4, 1u32..4, 0u32..5, 0u32..5);
    (size, window, 1u32..6, 1u32..12, 1u32..4).prop_map(|(size, window, in_c, out_c, groups)| {
        let (in_h, in_w, out_h, out_w) = size;
        let (kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left) = window;
        Conv2d {
            in_h,
            in_w,
            in_c: in_c * groups,
            out_h,
            out_w,
            out_c: out_c * groups,
            kernel_h,
            kernel_w,
            stride_h,
            stride_w,
            dilation_h,
            dilation_w,
            pad_top,
            pad_left,
            groups,
        }
    })
}

proptest! {
    #[test]
    fn folded_equals_the_reference(
        shape in shapes().prop_filter("valid", Conv2d::is_valid),
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
    let shape = Conv2d {
        in_h: 1,
        in_w: 1,
        in_c: 9,
        out_h: 1,
        out_w: 1,
        out_c: 3,
        kernel_h: 5,
        kernel_w: 5,
        stride_h: 1,
        stride_w: 1,
        dilation_h: 1,
        dilation_w: 1,
        pad_top: 2,
        pad_left: 2,
        groups: 1,
    };
    for seed in 0..50 {
        let mut rng = Rng::new(seed);
        let layer = Layer::random(&mut rng, 3, shape.weights(), shape.patch());
        let x = bytes(&mut rng, 9);
        assert_eq!(folded(Scalar, &shape, &layer, 0, &x), reference(&shape, &layer, &x));
    }
}
