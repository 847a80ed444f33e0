//! The short kernels give the bits of the others.

use super::*;
use crate::arch::Scalar;
use crate::kernels::integer::Width;
use crate::kernels::requantize::{Requantize, Wide};
use crate::kernels::testing::{bits, noise, windows};
use crate::kernels::testing_int8::{Layer as Integer, between, bytes, pools};
use crate::kernels::{average_pool, conv2d, dense, depthwise_conv2d, max_pool, transpose_conv2d};
use crate::rng::Rng;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;
use zerocopy::IntoBytes;

const NONE: (f32, f32) = (f32::NEG_INFINITY, f32::INFINITY);

fn convolutions() -> impl Strategy<Value = Conv2d> {
    convolutions_with(4)
}

fn convolutions_with(dilations: u32) -> impl Strategy<Value = Conv2d> {
    let shape = (windows(4, 4, dilations, 4), 1u32..5, 1u32..5, 1u32..4).prop_map(|(window, in_c, out_c, groups)| {
        Conv2d { window, in_c: in_c * groups, out_c: out_c * groups, groups }
    });
    shape.prop_filter("valid", Conv2d::is_valid)
}

fn depthwise() -> impl Strategy<Value = DepthwiseConv2d> {
    (windows(4, 4, 4, 4), 1u32..9, 1u32..4)
        .prop_map(|(window, in_c, multiplier)| DepthwiseConv2d { window, in_c, out_c: in_c * multiplier, multiplier })
        .prop_filter("valid", DepthwiseConv2d::is_valid)
}

fn int16(rng: &mut Rng, len: usize) -> Vec<i16> {
    (0..len).map(|_| between(rng, -32768, 32767) as i16).collect()
}

fn wide(b: &[i32]) -> Vec<Wide> {
    b.iter().map(|b| [*b as u32, (*b >> 31) as u32]).collect()
}

/// Two int4 weights in a byte, and the same as int8.
fn nibbles(w: &[i8]) -> (Vec<u8>, Vec<i8>) {
    let w: Vec<i8> = w.iter().map(|w| w >> 4).collect();
    let pair = |pair: &[i8]| (pair[0] as u8 & 15) | (pair.get(1).copied().unwrap_or(0) as u8) << 4;
    (w.chunks(2).map(pair).collect(), w)
}

const SAMPLES: usize = 2;

proptest! {
    #[test]
    fn floats(conv in convolutions(), depth in depthwise(), seed: u64) {
        let mut rng = Rng::new(seed);
        let (lo, hi) = NONE;
        let b = noise(&mut rng, 64);

        let x = noise(&mut rng, SAMPLES * conv.in_elements());
        let (w, b_out) = (noise(&mut rng, conv.weights()), &b[..conv.out_c as usize]);
        let (mut found, mut expected) = (vec![9.0; SAMPLES * conv.out_elements()], vec![8.0; SAMPLES * conv.out_elements()]);
        let walk = Walk::conv2d(&conv);
        walk.over(found.len(), &mut Floats::new(&walk, &x, &w, b_out, &mut found));
        conv2d::forward_f32(Scalar, &conv, &x, &w, b_out, lo, hi, &mut [], &mut expected);
        prop_assert_eq!(bits(&found), bits(&expected));

        let (small, scale) = (bytes(&mut rng, conv.weights()), noise(&mut rng, conv.out_c as usize));
        for scale in [&scale[..], &scale[..1]] {
            walk.over(found.len(), &mut Floats::of_i8(&walk, &x, &small, scale, b_out, &mut found));
            conv2d::forward_weights_i8(Scalar, &conv, &x, &small, scale, b_out, lo, hi, &mut expected);
            prop_assert_eq!(bits(&found), bits(&expected));
        }

        // The other way.
        let (x, b_in) = (noise(&mut rng, SAMPLES * conv.out_elements()), &b[..conv.in_c as usize]);
        let (mut found, mut expected) = (vec![9.0; SAMPLES * conv.in_elements()], vec![8.0; SAMPLES * conv.in_elements()]);
        let walk = Walk::transpose_conv2d_f32(&conv);
        walk.over(found.len(), &mut Floats::new(&walk, &x, &w, b_in, &mut found).every(conv.patch()));
        transpose_conv2d::forward_f32(Scalar, &conv, &x, &w, b_in, lo, hi, &mut [], &mut expected);
        prop_assert_eq!(bits(&found), bits(&expected));

        let x = noise(&mut rng, SAMPLES * depth.in_elements());
        let w = noise(&mut rng, depth.weights());
        let (mut found, mut expected) = (vec![9.0; SAMPLES * depth.out_elements()], vec![8.0; SAMPLES * depth.out_elements()]);
        let walk = Walk::depthwise_conv2d(&depth);
        walk.over(found.len(), &mut Floats::new(&walk, &x, &w, &[], &mut found));
        depthwise_conv2d::forward_f32(Scalar, &depth, &x, &w, &[], lo, hi, &mut expected);
        prop_assert_eq!(bits(&found), bits(&expected));
    }

    #[test]
    fn integers(conv in convolutions(), depth in depthwise(), seed: u64) {
        let mut rng = Rng::new(seed);

        let layer = Integer::random(&mut rng, conv.out_c as usize, conv.weights(), conv.patch());
        let (to, pad) = (layer.to(), layer.input_zero_point as i8);
        let x = bytes(&mut rng, SAMPLES * conv.in_elements());
        let (mut found, mut expected) = (vec![9; SAMPLES * conv.out_elements()], vec![8; SAMPLES * conv.out_elements()]);
        let walk = Walk::conv2d(&conv);
        let w = Weights::I8(&layer.w);
        walk.over(found.len(), &mut Integers::of_i8(&walk, &x, w, &layer.b, pad, &to, &mut found));
        conv2d::forward_i8(Scalar, &conv, &x, &layer.w, &layer.b, pad, &to, &mut [], &mut expected);
        prop_assert_eq!(&found, &expected);

        let (packed, w) = nibbles(&layer.w);
        walk.over(found.len(), &mut Integers::of_i8(&walk, &x, Weights::I4(&packed), &layer.b, pad, &to, &mut found));
        conv2d::forward_i8(Scalar, &conv, &x, &w, &layer.b, pad, &to, &mut [], &mut expected);
        prop_assert_eq!(&found, &expected);

        let x = int16(&mut rng, SAMPLES * conv.in_elements());
        let (mut found, mut expected) = (vec![9; found.len()], vec![8; found.len()]);
        let (b, to) = (wide(&layer.b), Requantize { zero_point: 0, ..to });
        walk.over(found.len(), &mut Integers::of_i16(&walk, &x, &layer.w, &b, &to, &mut found));
        conv2d::forward_i16(Scalar, &conv, &x, &layer.w, &b, &to, &mut expected);
        prop_assert_eq!(&found, &expected);

        let layer = Integer::random(&mut rng, depth.out_c as usize, depth.weights(), depth.window.taps());
        let (to, pad) = (layer.to(), layer.input_zero_point as i8);
        let x = bytes(&mut rng, SAMPLES * depth.in_elements());
        let (mut found, mut expected) = (vec![9; SAMPLES * depth.out_elements()], vec![8; SAMPLES * depth.out_elements()]);
        let walk = Walk::depthwise_conv2d(&depth);
        let w = Weights::I8(&layer.w);
        walk.over(found.len(), &mut Integers::of_i8(&walk, &x, w, &layer.b, pad, &to, &mut found));
        depthwise_conv2d::forward_i8(Scalar, &depth, &x, &layer.w, &layer.b, pad, &to, &mut expected);
        prop_assert_eq!(&found, &expected);

        let x = int16(&mut rng, SAMPLES * depth.in_elements());
        let (mut found, mut expected) = (vec![9; found.len()], vec![8; found.len()]);
        let (b, to) = (wide(&layer.b), Requantize { zero_point: 0, ..to });
        walk.over(found.len(), &mut Integers::of_i16(&walk, &x, &layer.w, &b, &to, &mut found));
        depthwise_conv2d::forward_i16(Scalar, &depth, &x, &layer.w, &b, &to, &mut expected);
        prop_assert_eq!(&found, &expected);
    }

    #[test]
    fn transposed_integers(conv in convolutions_with(2), is_wide: bool, seed: u64) {
        let mut rng = Rng::new(seed);
        let width = if is_wide { Width::I16 } else { Width::I8 };
        let layer = Integer::random(&mut rng, conv.in_c as usize, conv.weights(), conv.patch());
        let (to, b) = (Requantize { zero_point: 0, ..layer.to() }, wide(&layer.b));
        let b = if is_wide { b.as_bytes() } else { layer.b.as_bytes() };
        // Words, so that int16 lies as it has to.
        let x: Vec<u32> = (0..SAMPLES * conv.out_elements()).map(|_| rng.next_u32()).collect();
        let x = &x.as_bytes()[..SAMPLES * conv.out_elements() * width.bytes()];
        let zero_point = if is_wide { 0 } else { layer.input_zero_point };
        let bytes = SAMPLES * conv.in_elements() * width.bytes();
        let (mut found, mut expected) = (vec![9; bytes], vec![8; bytes]);
        let walk = Walk::transpose_conv2d(&conv);
        let mut layer_of = Integers::new(&walk, width, x, zero_point, &layer.w, b, &to, &mut found);
        walk.over(bytes / width.bytes(), &mut layer_of);
        transpose_conv2d::forward_int(Scalar, &conv, width, x, zero_point, &layer.w, b, &to, &mut expected);
        prop_assert_eq!(&found, &expected);
    }

    #[test]
    fn dense_layers(inputs in 1u32..40, outputs in 1u32..20, seed: u64) {
        let mut rng = Rng::new(seed);
        let shape = Dense { inputs, outputs };
        let (inputs, outputs) = (inputs as usize, outputs as usize);
        let walk = Walk::dense(&shape, SAMPLES);
        let layer = Integer::random(&mut rng, outputs, inputs * outputs, inputs);
        let (x, to) = (bytes(&mut rng, SAMPLES * inputs), layer.to());
        let (mut found, mut expected) = (vec![9; SAMPLES * outputs], vec![8; SAMPLES * outputs]);
        walk.over(found.len(), &mut Integers::of_i8(&walk, &x, Weights::I8(&layer.w), &layer.b, 0, &to, &mut found));
        dense::forward_i8(Scalar, &shape, &x, &layer.w, &layer.b, &to, &mut expected);
        prop_assert_eq!(&found, &expected);

        let (x, w, b) = (noise(&mut rng, SAMPLES * inputs), noise(&mut rng, inputs * outputs), noise(&mut rng, outputs));
        let (mut found, mut expected) = (vec![9.0; SAMPLES * outputs], vec![8.0; SAMPLES * outputs]);
        walk.over(found.len(), &mut Floats::new(&walk, &x, &w, &b, &mut found));
        dense::forward_f32(Scalar, &shape, &x, &w, &b, NONE.0, NONE.1, &mut expected);
        prop_assert_eq!(bits(&found), bits(&expected));
    }

    #[test]
    fn pools_of_all_numbers(shape in pools(), mean: bool, seed: u64) {
        let dense = (shape.window.height.dilation, shape.window.width.dilation) == (1, 1);
        let mean = mean && dense;
        let mut rng = Rng::new(seed);
        let walk = Walk::pool(&shape);
        let (inputs, outputs) = (SAMPLES * shape.in_elements(), SAMPLES * shape.out_elements());
        let limits = (-100, 90);

        let x = bytes(&mut rng, inputs);
        let (mut found, mut expected) = (vec![9i8; outputs], vec![8i8; outputs]);
        walk.over(outputs, &mut IntegerPool::new(Width::I8, mean, x.as_bytes(), limits, found.as_mut_bytes()));
        let forward = if mean { average_pool::forward_i8::<Scalar> } else { max_pool::forward_i8::<Scalar> };
        forward(Scalar, &shape, &x, limits.0, limits.1, &mut expected);
        prop_assert_eq!(&found, &expected);

        let x = int16(&mut rng, inputs);
        let (mut found, mut expected) = (vec![9i16; outputs], vec![8i16; outputs]);
        walk.over(outputs, &mut IntegerPool::new(Width::I16, mean, x.as_bytes(), limits, found.as_mut_bytes()));
        let forward = if mean { average_pool::forward_i16 } else { max_pool::forward_i16 };
        forward(&shape, &x, limits.0, limits.1, &mut expected);
        prop_assert_eq!(&found, &expected);

        let mut x = noise(&mut rng, inputs);
        x[0] = f32::NAN;
        let (mut found, mut expected) = (vec![9.0; outputs], vec![8.0; outputs]);
        walk.over(outputs, &mut FloatPool::new(mean, &x, &mut found));
        let forward = if mean { average_pool::forward_f32::<Scalar> } else { max_pool::forward_f32::<Scalar> };
        forward(Scalar, &shape, &x, NONE.0, NONE.1, &mut expected);
        prop_assert_eq!(bits(&found), bits(&expected));
    }
}
