//! Layers packed for every token equal the plain ones, byte for byte, on the twins.

use super::packing::{self, Layer, Packed};
use super::run;
use crate::arch::{IsaId, Scalar};
use crate::kernels::conv2d::{self, Conv2d, Tiled};
use crate::kernels::dense::{self, Dense};
use crate::kernels::depthwise_conv2d::{self, DepthwiseConv2d};
use crate::kernels::requantize::Requantize;
use crate::kernels::testing::windows;
use crate::kernels::testing_int8::{between, bytes};
use crate::kernels::window::{Axis, Window2d};
use crate::rng::Rng;
use proptest::prelude::*;
use std::vec::Vec;

/// A layer that every order can hold: one multiplier for each output, factors below 1.
struct Random {
    weights: Vec<i8>,
    bias: Vec<i32>,
    multiplier: Vec<i32>,
    shift: Vec<i32>,
    to: (i32, i32, i32),
}

impl Random {
    fn new(rng: &mut Rng, outputs: usize, weights: usize, terms: usize) -> Self {
        let bits = 7 + terms.max(1).ilog2() as i32;
        let limited = rng.below(2) == 0;
        // Among random ones layers whose sums are as great as they can be.
        let extreme = rng.below(4) == 0;
        let zero_point = if rng.below(2) == 0 { -128 } else { between(rng, -128, 127) };
        let lo = match rng.below(3) {
            0 => zero_point,
            1 => -60,
            _ => -128,
        };
        // Now and then factors of a half and more.
        let least = between(rng, 0, 1);
        Self {
            weights: if extreme { std::vec![-128; weights] } else { bytes(rng, weights) },
            bias: (0..outputs).map(|_| between(rng, -20_000, 20_000) << if extreme { 12 } else { 0 }).collect(),
            multiplier: (0..outputs).map(|_| between(rng, 1 << 30, i32::MAX)).collect(),
            shift: (0..outputs).map(|_| -between(rng, least, bits + 2)).collect(),
            to: (zero_point, lo, if limited { lo.max(50) } else { 127 }),
        }
    }

    fn layer(&self) -> Layer<'_> {
        let Self { weights, bias, multiplier, shift, .. } = self;
        Layer { weights, bias, multiplier, shift, zero_point: self.to.0, lo: self.to.1 }
    }

    /// With the tables, or, for streams, without.
    fn to(&self, plain: bool) -> Requantize<'_> {
        let (zero_point, lo, hi) = self.to;
        let table = |table| if plain { table } else { &[][..] };
        let (multiplier, shift) = (table(&self.multiplier), table(&self.shift));
        Requantize { multiplier, shift, zero_point, lo, hi, sum_bits: 32 }
    }
}

/// Every token's order that has this layer.
fn packed(pack: impl Fn(IsaId) -> Option<Packed>) -> impl Iterator<Item = (IsaId, Packed)> {
    IsaId::ALL.into_iter().filter_map(move |isa| Some((isa, pack(isa)?)))
}

fn convolutions() -> impl Strategy<Value = Conv2d> {
    (windows(7, 4, 3, 4), 1u32..10, 1u32..10)
        .prop_map(|(window, in_c, out_c)| Conv2d { window, in_c, out_c, groups: 1 })
        .prop_filter("valid", Conv2d::is_valid)
}

/// Three by three taps with all borders that they can have.
fn threes() -> impl Strategy<Value = Window2d> {
    let axis = |stride| {
        (3u32..9, 0u32..2, 0u32..2).prop_map(move |(input, pad, behind)| {
            let output = (input + pad + behind).saturating_sub(3) / stride + 1;
            Axis { input, output, kernel: 3, stride, dilation: 1, pad }
        })
    };
    (1u32..3)
        .prop_flat_map(move |stride| (axis(stride), axis(stride)))
        .prop_map(|(height, width)| Window2d { height, width })
}

fn depthwise() -> impl Strategy<Value = DepthwiseConv2d> {
    (prop_oneof![windows(8, 4, 3, 4), threes()], 1u32..9, 1u32..3)
        .prop_map(|(window, in_c, multiplier)| DepthwiseConv2d { window, in_c, out_c: in_c * multiplier, multiplier })
        .prop_filter("valid", DepthwiseConv2d::is_valid)
}

proptest! {
    #[test]
    fn convolutions_equal_the_plain_kernel(shape in convolutions(), samples in 1usize..3, pad: i8, seed: u64) {
        let mut rng = Rng::new(seed);
        let random = Random::new(&mut rng, shape.out_c as usize, shape.weights(), shape.patch());
        let x = bytes(&mut rng, samples * shape.in_elements());
        let mut expected = std::vec![0; samples * shape.out_elements()];
        let (w, b) = (&random.weights, &random.bias);
        conv2d::forward_i8(Scalar, &shape, &x, w, b, pad, &random.to(true), &mut [], &mut expected);
        for (isa, Packed { stream, scratch_words }) in packed(|isa| packing::conv2d(isa, &shape, &random.layer())) {
            let mut y = std::vec![99; expected.len()];
            let mut scratch = std::vec![0x5555_5555; scratch_words];
            let (x, stream, to) = (&x[..], &stream[..], random.to(false));
            run(Scalar, isa, Tiled { shape: &shape, x, stream, pad, to, scratch: &mut scratch, y: &mut y });
            prop_assert_eq!(&y, &expected, "{}", isa.name());
        }
    }

    #[test]
    fn dense_layers_equal_the_plain_kernel(inputs in 1u32..70, outputs in 1u32..20, seed: u64) {
        let shape = Dense { inputs, outputs };
        let mut rng = Rng::new(seed);
        let random = Random::new(&mut rng, outputs as usize, (inputs * outputs) as usize, inputs as usize);
        let x = bytes(&mut rng, inputs as usize);
        let mut expected = std::vec![0; outputs as usize];
        dense::forward_i8(Scalar, &shape, &x, &random.weights, &random.bias, &random.to(true), &mut expected);
        for (isa, packed) in packed(|isa| packing::dense(isa, &shape, &random.layer())) {
            let mut y = std::vec![99; expected.len()];
            let (x, stream, to) = (&x[..], &packed.stream[..], random.to(false));
            run(Scalar, isa, dense::Ordered { shape: &shape, x, stream, to, y: &mut y });
            prop_assert_eq!(&y, &expected, "{}", isa.name());
        }
    }

    #[test]
    fn depthwise_layers_equal_the_plain_kernel(shape in depthwise(), pad_value: i8, seed: u64) {
        let mut rng = Rng::new(seed);
        let random = Random::new(&mut rng, shape.out_c as usize, shape.weights(), shape.window.taps());
        let x = bytes(&mut rng, shape.in_elements());
        let mut expected = std::vec![0; shape.out_elements()];
        let (w, b) = (&random.weights, &random.bias);
        depthwise_conv2d::forward_i8(Scalar, &shape, &x, w, b, pad_value, &random.to(true), &mut expected);
        for (isa, Packed { stream, scratch_words }) in packed(|isa| packing::depthwise(isa, &shape, &random.layer())) {
            let mut y = std::vec![99; expected.len()];
            let mut scratch = std::vec![0x5555_5555; scratch_words];
            let layer = super::Depthwise { stream: &stream, pad_value, to: random.to(false) };
            let task = depthwise_conv2d::Ordered { shape: &shape, layer, scratch: &mut scratch, x: &x, y: &mut y };
            run(Scalar, isa, task);
            prop_assert_eq!(&y, &expected, "{}", isa.name());
        }
    }
}
