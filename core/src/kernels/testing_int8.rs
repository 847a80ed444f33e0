//! What the tests of int8 layers share: random layers, and what the reference makes of a sum.

use super::pool::Pool2d;
use super::requantize::Requantize;
use super::testing::windows;
use crate::quant::defined::requantize_as_defined;
use crate::rng::Rng;
use proptest::prelude::*;
use std::vec::Vec;

/// A whole number in `lo..=hi`.
pub fn between(rng: &mut Rng, lo: i32, hi: i32) -> i32 {
    lo + rng.below((hi - lo + 1) as u32) as i32
}

/// Random bytes, all values alike.
pub fn bytes(rng: &mut Rng, len: usize) -> Vec<i8> {
    (0..len).map(|_| between(rng, -128, 127) as i8).collect()
}

/// Shapes of pools.
pub fn pools() -> impl Strategy<Value = Pool2d> {
    let channels = prop_oneof![1u32..6, 30u32..70];
    let shape = (windows(6, 4, 2, 5), channels).prop_map(|(window, channels)| Pool2d { window, channels });
    shape.prop_filter("valid", Pool2d::is_valid)
}

/// The parameters of a random layer with weights, as the reference has them (nothing folded).
#[derive(Clone, Debug)]
pub struct Layer {
    pub w: Vec<i8>,
    pub b: Vec<i32>,
    pub input_zero_point: i32,
    pub multiplier: Vec<i32>,
    pub shift: Vec<i32>,
    pub zero_point: i32,
    pub lo: i32,
    pub hi: i32,
}

impl Layer {
    /// A layer of `outputs` outputs whose sums have about `terms` terms: per channel or per tensor, with bias or
    /// without, with limits or without. `input_zero_point` is 0 in one of four.
    pub fn random(rng: &mut Rng, outputs: usize, weights: usize, terms: usize) -> Self {
        let channels = if rng.below(3) == 0 { 1 } else { outputs };
        let sum_bits = 14 + terms.max(1).ilog2() as i32;
        let limited = rng.below(2) == 0;
        Self {
            w: (0..weights).map(|_| between(rng, -127, 127) as i8).collect(),
            b: (0..if rng.below(4) == 0 { 0 } else { outputs }).map(|_| between(rng, -20_000, 20_000)).collect(),
            input_zero_point: if rng.below(4) == 0 { 0 } else { between(rng, -128, 127) },
            multiplier: (0..channels).map(|_| between(rng, 1 << 30, i32::MAX)).collect(),
            shift: (0..channels).map(|_| 7 - sum_bits + between(rng, -2, 3)).collect(),
            zero_point: between(rng, -128, 127),
            lo: if limited { between(rng, -128, -20) } else { -128 },
            hi: if limited { between(rng, 20, 127) } else { 127 },
        }
    }

    /// How its sums become outputs.
    pub fn to(&self) -> Requantize<'_> {
        Requantize {
            multiplier: &self.multiplier,
            shift: &self.shift,
            zero_point: self.zero_point,
            lo: self.lo,
            hi: self.hi,
            sum_bits: 32,
        }
    }

    /// The bias of an output, 0 if there is none.
    pub fn bias(&self, output: usize) -> i64 {
        self.b.get(output).copied().map_or(0, i64::from)
    }

    /// The biases with the zero point folded in; `weights_of` lists the weights of an output.
    pub fn folded<F: Fn(usize) -> Vec<i8>>(&self, outputs: usize, weights_of: F) -> Vec<i32> {
        let sum = |output| weights_of(output).into_iter().map(i64::from).sum::<i64>();
        (0..outputs).map(|o| (self.bias(o) - i64::from(self.input_zero_point) * sum(o)) as i32).collect()
    }

    /// What the reference makes of the sum of an output.
    pub fn expected(&self, output: usize, acc: i64) -> i8 {
        let channel = if self.multiplier.len() == 1 { 0 } else { output };
        requantize_as_defined(acc, self.multiplier[channel], self.shift[channel], self.zero_point, self.lo, self.hi)
    }
}
