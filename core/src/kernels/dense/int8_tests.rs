use super::*;
use crate::arch::Scalar;
use crate::kernels::testing_int8::{Layer, bytes};
use crate::rng::Rng;
use proptest::prelude::*;
use std::vec::Vec;

/// The reference: the zero point is subtracted from every input.
fn reference(shape: &Dense, layer: &Layer, x: &[i8]) -> Vec<i8> {
    let (inputs, outputs) = shape.dims();
    let output = |x: &[i8], output: usize| {
        let w = &layer.w[output * inputs..(output + 1) * inputs];
        let products =
            x.iter().zip(w).map(|(x, w)| (i64::from(*x) - i64::from(layer.input_zero_point)) * i64::from(*w));
        layer.expected(output, layer.bias(output) + products.sum::<i64>())
    };
    x.chunks(inputs).flat_map(|x| (0..outputs).map(move |o| output(x, o))).collect()
}

/// The kernel with folded biases.
fn folded<I: Isa>(isa: I, shape: &Dense, layer: &Layer, x: &[i8]) -> Vec<i8> {
    let (inputs, outputs) = shape.dims();
    let b = layer.folded(outputs, |o| layer.w[o * inputs..(o + 1) * inputs].to_vec());
    let mut y = std::vec![0; x.len() / inputs * outputs];
    forward_i8(isa, shape, x, &layer.w, &b, &layer.to(), &mut y);
    y
}

proptest! {
    #[test]
    fn int8_folded_equals_the_reference(inputs in 1u32..80, outputs in 1u32..40, samples in 1usize..4, seed: u64) {
        let shape = Dense { inputs, outputs };
        let mut rng = Rng::new(seed);
        let layer = Layer::random(&mut rng, outputs as usize, (inputs * outputs) as usize, inputs as usize);
        let x = bytes(&mut rng, samples * inputs as usize);
        let expected = reference(&shape, &layer, &x);
        prop_assert_eq!(&folded(Scalar, &shape, &layer, &x), &expected);
        #[cfg(target_arch = "x86_64")]
        if let Some(isa) = crate::arch::Avx2::new() {
            prop_assert_eq!(&folded(isa, &shape, &layer, &x), &expected);
        }
    }
}
