//! What the tests of this folder share.

use super::block::{open, set_head, store, stride};
use super::sums::Sums;
use super::trained::Parameter;
use crate::optim::{Optimizer, OptimizerRecord};
use crate::plan::Context;
use crate::rng::Rng;
use std::vec;
use std::vec::Vec;

/// So many random mantissas of at most `bits` bits with this exponent, one block after the other.
pub fn blocks(rng: &mut Rng, samples: usize, elements: usize, bits: u32, exponent: i32) -> Vec<i16> {
    let mut all = Vec::new();
    for sample in 0..samples {
        let mut block = vec![0; stride(elements)];
        for mantissa in &mut block[2..2 + elements] {
            *mantissa = (rng.next_u32() as i32 >> (31 - bits)) as i16;
        }
        set_head(&mut block, exponent + (sample as i32 % 3), 0);
        all.extend(block);
    }
    all
}

/// A power of two.
fn two_to(exponent: i32) -> f64 {
    f64::from_bits(((1023 + exponent) as u64) << 52)
}

/// The nearest integer; halves go away from zero.
fn nearest(x: f64) -> i32 {
    (x + 0.5f64.copysign(x)) as i32
}

/// The block nearest to these values.
pub fn block_of(values: &[f64]) -> Vec<i16> {
    let mut block = vec![0; stride(values.len())];
    let sums: Vec<i32> = values.iter().map(|value| nearest(value * two_to(20))).collect();
    store(&sums, -20, &mut block);
    block
}

/// The values of blocks, one after the other.
pub fn values(blocks: &[i16], elements: usize) -> Vec<f64> {
    let of = |block: &[i16]| -> Vec<f64> {
        let (exponent, mantissas) = open(block, elements);
        mantissas.iter().map(|mantissa| f64::from(*mantissa) * two_to(exponent)).collect()
    };
    blocks.chunks(stride(elements)).flat_map(of).collect()
}

/// Every value within `units` of 2^-15 of the greatest of its sample.
pub fn assert_near(found: &[f64], expected: &[f64], elements: usize, units: f64) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.chunks(elements).zip(expected.chunks(elements)) {
        let greatest = expected.iter().fold(0.0, |greatest: f64, value| greatest.max(value.abs()));
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() <= units * greatest / 32768.0, "{found} {expected} of {greatest}");
        }
    }
}

/// The greatest size.
pub fn greatest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |greatest: f64, value| greatest.max(value.abs()))
}

/// What a layer with weights is tested on: blocks, and the same values as floats.
pub struct Case {
    /// Inputs of some samples, weights, biases, gradients of the outputs.
    pub blocks: [Vec<i16>; 4],
    /// The same.
    pub floats: [Vec<f32>; 4],
}

/// The exponents of a case's weights and biases; those of samples are up to this and two more.
pub const EXPONENTS: [i32; 4] = [-14, -13, -20, -16];

impl Case {
    /// For so many inputs, weights, biases and outputs.
    pub fn new(seed: u64, samples: usize, [inputs, weights, biases, outputs]: [usize; 4]) -> Self {
        let mut rng = Rng::new(seed);
        let mut of = |samples: usize, len: usize, which: usize| {
            let bits = if matches!(which, 1 | 2) { 14 } else { 15 };
            let block = blocks(&mut rng, samples, len, bits, EXPONENTS[which]);
            let floats = values(&block, len).into_iter().map(|value| value as f32).collect();
            (block, floats)
        };
        let all = [of(samples, inputs, 0), of(1, weights, 1), of(1, biases, 2), of(samples, outputs, 3)];
        let [x, w, b, dy] = all;
        Self { blocks: [x.0, w.0, b.0, dy.0], floats: [x.1, w.1, b.1, dy.1] }
    }
}

/// Sums of so many products of operands `a` and `b`, rounded to blocks at most twice.
pub fn assert_sums(found: &[i16], expected: &[f32], elements: usize, terms: usize, [a, b]: [usize; 2]) {
    // Samples' exponents are up to two greater; each product loses up to a unit of its sum.
    let unit = Sums::new(terms, [EXPONENTS[a] + 2, EXPONENTS[b] + 2], EXPONENTS[2]).exponent;
    let (found, lost) = (values(found, elements), terms as f64 * two_to(unit));
    for (found, expected) in found.chunks(elements).zip(expected.chunks(elements)) {
        let expected: Vec<f64> = expected.iter().map(|value| f64::from(*value)).collect();
        let rounding = greatest(&expected) / 8192.0;
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() <= rounding + lost, "{found} {expected}, may lose {rounding} and {lost}");
        }
    }
}

/// With a rate of 1 and parameters of 0 an update is the gradient, of which no bit is lost but below this unit.
const UNIT: i32 = -6;

/// The gradients that `train` makes of weights and biases, so many of each.
pub fn gradients(lengths: [usize; 2], train: impl FnOnce(&Context, [Parameter<'_>; 2])) -> [Vec<f64>; 2] {
    let optimizer = Optimizer::at_step(OptimizerRecord::sgd(1.0), 1);
    let context =
        Context { samples: 1, optimizer, training: true, loss: 0.0, right: 0, evaluation: false, adapts: None };
    let mut parameters = lengths.map(|len| {
        let mut block = vec![0; stride(len)];
        set_head(&mut block, UNIT, 0);
        block
    });
    let [w, b] = &mut parameters;
    let parameter = |block, len| Parameter { len, block, ..Parameter::default() };
    train(&context, [parameter(w, lengths[0]), parameter(b, lengths[1])]);
    let [w, b] = [0, 1].map(|i| values(&parameters[i], lengths[i]).into_iter().map(|v| -v).collect());
    [w, b]
}

/// Whether such a gradient is that of floats.
pub fn assert_gradient(found: &[f64], expected: impl IntoIterator<Item = f64>) {
    for (found, expected) in found.iter().zip(expected) {
        // The exponent may have grown by one.
        assert!((found - expected).abs() <= 2.0 * two_to(UNIT), "{found} {expected}");
    }
}
