//! What the tests of this folder share.

use super::block::{open, set_head, store, stride};
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
