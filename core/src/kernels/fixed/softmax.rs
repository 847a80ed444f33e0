//! Softmax of a sample, for the network's output and for the loss.

use super::block::{open, store, stride};
use super::elementary::power;
use super::number::{log2_up, mul_q16, shift};
use crate::arch::Isa;
use crate::kernels::util::{elements, rows, rows_mut};
use crate::memory::Slices;
use crate::plan::{Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Probabilities are in units of `2^PROBABILITY`.
pub const PROBABILITY: i32 = -30;

/// `log2 e` in units of 2^-15.
const LOG2_E: u32 = 47_274;

/// The sum of `e^(z - greatest z)`, and how many units of it are 1, as a power of two.
#[derive(Clone, Copy, Debug)]
pub struct Total {
    /// The sum.
    pub sum: u32,
    /// Bits of 1.
    pub one: u32,
    /// The greatest mantissa.
    pub greatest: i16,
}

/// Probabilities of the classes from logits `z * 2^exponent`, in units of `2^`[`PROBABILITY`]; within 2^-14 of theirs.
pub fn probabilities(exponent: i32, z: &[i16], sums: &mut [i32]) -> Total {
    let greatest = z.iter().copied().max().unwrap_or(0);
    // So many bits that the sum of all has 31 at most.
    let down = log2_up(z.len()).min(30);
    let mut sum = 0u32;
    for (to, z) in sums.iter_mut().zip(z) {
        // Both have 16 bits.
        let exponent_of_2 = (i32::from(greatest) - i32::from(*z)) as u32 * LOG2_E;
        let own = power(scaled(exponent_of_2, exponent.saturating_add(1))) >> down;
        *to = own as i32;
        sum = sum.wrapping_add(own);
    }
    let left = sum.max(1).leading_zeros();
    // 16 bits of the sum, rounded; its reciprocal has 16, too.
    let divisor = ((sum << left) >> 16) + (sum << left >> 15 & 1);
    let reciprocal = (1u32 << 31).checked_div(divisor).unwrap_or(0);
    for to in sums {
        *to = mul_q16(*to << left.saturating_sub(1), reciprocal);
    }
    Total { sum, one: 30 - down, greatest }
}

/// `value * 2^left`, saturating.
pub(super) fn scaled(value: u32, left: i32) -> u32 {
    if left <= 0 {
        value.checked_shr(left.unsigned_abs()).unwrap_or(0)
    } else if value != 0 && left >= value.leading_zeros() as i32 {
        u32::MAX
    } else {
        value << (left as u32 & 31)
    }
}

/// The distance of a mantissa from the greatest, in units of 2^-16.
pub(super) fn below(total: Total, exponent: i32, z: i16) -> i32 {
    shift(i32::from(total.greatest) - i32::from(z), exponent.saturating_add(16))
}

/// Step for softmax over all elements of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Softmax {
    /// Classes.
    pub len: u32,
    /// Input.
    pub x: Ref,
    /// Output.
    pub y: Ref,
    /// For the sums of one sample.
    pub sums: Ref,
}

impl StepRecord for Softmax {
    operands! {
        x: read block [samples, len],
        sums: scratch i32 [len],
        y: write block [samples, len],
    }

    fn shape_is_valid(&self) -> bool {
        elements([self.len]).is_some()
    }

    fn run<I: Isa>(&self, _: I, at: &mut Slices<'_>, _: &mut Context) {
        let len = self.len as usize;
        let x: &[i16] = at.read();
        let (sums, y) = (at.write(), at.write());
        for (x, y) in rows(x, stride(len)).zip(rows_mut(y, stride(len))) {
            let (exponent, x) = open(x, len);
            probabilities(exponent, x, sums);
            store(sums, PROBABILITY, y);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    proptest! {
        #[test]
        fn probabilities_are_close(z in proptest::collection::vec(any::<i16>(), 1..20), exponent in -20i32..-8) {
            let mut sums = vec![0; z.len()];
            let total = probabilities(exponent, &z, &mut sums);
            let real: Vec<f64> = z.iter().map(|z| (f64::from(*z) * f64::from(exponent).exp2()).exp()).collect();
            let expected: f64 = real.iter().sum();
            for (found, real) in sums.iter().zip(&real) {
                let found = f64::from(*found) * f64::from(PROBABILITY).exp2();
                prop_assert!((found - real / expected).abs() < 1.0 / 16384.0, "{found} {}", real / expected);
            }
            prop_assert_eq!(total.greatest, *z.iter().max().unwrap());
        }
    }

    #[test]
    fn huge_logits_are_certain() {
        let mut sums = [0; 2];
        probabilities(100, &[5, 6], &mut sums);
        assert_eq!(sums, [0, 1 << 30]);
        probabilities(-200, &[0, 0], &mut sums);
        assert_eq!(sums, [1 << 29; 2]);
    }
}
