use super::*;
use crate::arch::Scalar;
use crate::kernels::testing_int8::{Layer, bytes};
use crate::rng::Rng;
use proptest::prelude::*;
use std::vec::Vec;

/// The reference: the zero point is subtracted from every input, taps beside the input are skipped.
fn reference(shape: &DepthwiseConv2d, layer: &Layer, x: &[i8]) -> Vec<i8> {
    let s = |field: u32| field as usize;
    let mut y = Vec::new();
    for x in x.chunks(shape.in_elements()) {
        for (out_y, out_x) in (0..s(shape.out_h)).flat_map(|y| (0..s(shape.out_w)).map(move |x| (y, x))) {
            for output in 0..s(shape.out_c) {
                let mut acc = layer.bias(output);
                for (ky, kx) in (0..s(shape.kernel_h)).flat_map(|y| (0..s(shape.kernel_w)).map(move |x| (y, x))) {
                    let in_y = (out_y * s(shape.stride_h) + ky * s(shape.dilation_h)) as i64 - i64::from(shape.pad_top);
                    let in_x =
                        (out_x * s(shape.stride_w) + kx * s(shape.dilation_w)) as i64 - i64::from(shape.pad_left);
                    if in_y < 0 || in_y >= i64::from(shape.in_h) || in_x < 0 || in_x >= i64::from(shape.in_w) {
                        continue;
                    }
                    let at = (in_y as usize * s(shape.in_w) + in_x as usize) * s(shape.in_c);
                    let x = i64::from(x[at + output / s(shape.multiplier)]) - i64::from(layer.input_zero_point);
                    acc += x * i64::from(layer.w[(ky * s(shape.kernel_w) + kx) * s(shape.out_c) + output]);
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
    let size = (1u32..8, 1u32..8, 1u32..6, 1u32..7);
    let window = (1u32..5, 1u32..5, 1u32..4, 1u32..4, 1u32..4, 1u32..4, 0u32..5, 0u32..5);
    // Multipliers beyond the block, channels that fill several blocks.
    let channels = prop_oneof![(1u32..9, 1u32..5), (1u32..3, 30u32..70), (30u32..70, 1u32..3)];
    (size, window, channels).prop_map(|(size, window, (in_c, multiplier))| {
        let (in_h, in_w, out_h, out_w) = size;
        let (kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left) = window;
        DepthwiseConv2d {
            in_h,
            in_w,
            in_c,
            out_h,
            out_w,
            out_c: in_c * multiplier,
            kernel_h,
            kernel_w,
            stride_h,
            stride_w,
            dilation_h,
            dilation_w,
            pad_top,
            pad_left,
            multiplier,
        }
    })
}

proptest! {
    #[test]
    fn folded_equals_the_reference(
        shape in shapes().prop_filter("valid", DepthwiseConv2d::is_valid),
        samples in 1usize..3,
        seed: u64,
    ) {
        let mut rng = Rng::new(seed);
        let terms = (shape.kernel_h * shape.kernel_w) as usize;
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
