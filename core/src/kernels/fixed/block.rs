//! Tensors in block floating point: `value = mantissa * 2^exponent`.
//!
//! In memory a block is whole words: the exponent (16 bits), a mark (16 bits, for whoever owns the tensor), then the
//! mantissas, and half a word of nothing behind an odd number of them.

use super::number::shift;
use crate::kernels::util::{from_mut, sub, sub_mut};

/// 16-bit halves before the mantissas.
const HEAD: usize = 2;

/// Exponents of results lie between these two. What is smaller counts as zero; what is larger has left all bounds.
pub const MIN_EXPONENT: i32 = -200;
/// See [`MIN_EXPONENT`].
pub const MAX_EXPONENT: i32 = 200;
/// Blocks with a greater exponent have run away: values from 2^63 on, whose squares no float holds.
pub const RUNAWAY: i32 = 48;

/// Bytes of a block.
#[inline]
pub const fn block_bytes(elements: usize) -> usize {
    elements.div_ceil(2).saturating_add(1).saturating_mul(4)
}

/// From one block of so many elements to the next, in halves.
#[inline]
pub const fn stride(elements: usize) -> usize {
    block_bytes(elements) / 2
}

/// Exponent and mantissas of a block; zeros' exponent and nothing if it is absent.
#[inline]
pub fn open(block: &[i16], elements: usize) -> (i32, &[i16]) {
    (exponent(block), sub(block, HEAD, elements))
}

/// The exponent of a block.
#[inline]
pub fn exponent(block: &[i16]) -> i32 {
    block.first().map_or(MIN_EXPONENT, |exponent| i32::from(*exponent))
}

/// The mantissas of a block, to be written.
#[inline]
pub fn mantissas_mut(block: &mut [i16], elements: usize) -> &mut [i16] {
    sub_mut(block, HEAD, elements)
}

/// Sets exponent and mark; mantissas stay.
#[inline]
pub fn set_head(block: &mut [i16], exponent: i32, mark: i16) {
    if let Some(head) = block.first_chunk_mut::<HEAD>() {
        *head = [exponent as i16, mark];
    }
}

/// The mark that [`set_head`] has left.
#[inline]
pub fn mark(block: &[i16]) -> i16 {
    block.get(1).copied().unwrap_or(0)
}

/// Bits that the values need beside their signs.
#[inline]
pub fn bits(values: &[i32]) -> u32 {
    32 - values.iter().fold(0, |all, value| all | value.unsigned_abs()).leading_zeros()
}

/// Sums times `2^exponent` become a block: 15 bits of the greatest and a sign, rounded to nearest (halves up).
pub fn store(sums: &[i32], exponent: i32, block: &mut [i16]) {
    let (kept, right) = fit(bits(sums), exponent);
    round(sums, right, mantissas_mut(block, sums.len()));
    set_head(block, kept, 0);
}

/// The exponent of a block of sums times `2^exponent` that need so many bits, and how far they are shifted right for it.
pub fn fit(needed: u32, exponent: i32) -> (i32, i32) {
    let wanted = exponent.saturating_add(needed as i32 - 15);
    let kept = wanted.clamp(MIN_EXPONENT, MAX_EXPONENT);
    // Where the exponent is at its limit, mantissas take what is left.
    (kept, if needed == 0 { 0 } else { kept.saturating_sub(exponent) })
}

/// Sums become mantissas of a unit that is `2^right` of theirs, rounded to nearest (halves up).
// A device has room for one copy.
#[cfg_attr(target_os = "none", inline(never))]
pub fn round(sums: &[i32], right: i32, to: &mut [i16]) {
    if right > 0 {
        let right = right.min(31) as u32;
        let half = 1i32 << (right - 1);
        for (to, sum) in to.iter_mut().zip(sums) {
            // The half fits: sums have a bit less than a word, and if not, they are only off by one.
            *to = (sum.saturating_add(half) >> right).min(i32::from(i16::MAX)) as i16;
        }
    } else {
        for (to, sum) in to.iter_mut().zip(sums) {
            *to = shift(*sum, -right).clamp(-0x7fff, 0x7fff) as i16;
        }
    }
}

/// Raises the exponent of a block, whose first mantissas are rounded to the new unit (halves up).
pub fn coarsen(block: &mut [i16], elements: usize, by: i32) {
    for mantissa in mantissas_mut(block, elements) {
        *mantissa = coarser(*mantissa, by);
    }
    set_head(block, exponent(block).saturating_add(by), 0);
}

/// A mantissa of a unit that is `2^right` of its own, rounded to nearest (halves up).
#[inline(always)]
pub fn coarser(mantissa: i16, right: i32) -> i16 {
    let right = right.clamp(0, 31) as u32;
    ((i32::from(mantissa) + ((1u32 << right) >> 1) as i32) >> right) as i16
}

/// A block that is made some sums at a time, so that the sums of all never exist: its exponent grows with the greatest,
/// and what was there is rounded again.
#[derive(Debug)]
pub struct Growing<'a> {
    block: &'a mut [i16],
    filled: usize,
    exponent: i32,
}

impl<'a> Growing<'a> {
    /// Begins a block.
    pub fn new(block: &'a mut [i16]) -> Self {
        set_head(block, MIN_EXPONENT, 0);
        Self { block, filled: 0, exponent: MIN_EXPONENT }
    }

    /// The next sums times `2^exponent`.
    #[cfg_attr(target_os = "none", inline(never))]
    pub fn push(&mut self, sums: &[i32], exponent: i32) {
        let needed = bits(sums) as i32;
        let wanted = exponent.saturating_add(needed - 15).clamp(MIN_EXPONENT, MAX_EXPONENT);
        let grown = wanted.saturating_sub(self.exponent);
        if needed > 0 && grown > 0 {
            coarsen(self.block, self.filled, grown);
            self.exponent = wanted;
        }
        let right = if needed == 0 { 0 } else { self.exponent.saturating_sub(exponent) };
        let to = mantissas_mut(self.block, self.filled.saturating_add(sums.len()));
        round(sums, right, from_mut(to, self.filled));
        self.filled += sums.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    fn values(block: &[i16], elements: usize) -> Vec<f64> {
        let (exponent, mantissas) = open(block, elements);
        mantissas.iter().map(|m| f64::from(*m) * f64::from(exponent).exp2()).collect()
    }

    proptest! {
        #[test]
        fn sums_keep_fifteen_bits(
            sums in proptest::collection::vec(i32::MIN..=i32::MAX, 1..9),
            down in 0u32..31,
            exponent in -150i32..150,
        ) {
            let sums: Vec<i32> = sums.iter().map(|sum| sum >> down).collect();
            let mut block = vec![0; stride(sums.len())];
            store(&sums, exponent, &mut block);
            let greatest = sums.iter().map(|sum| f64::from(*sum).abs()).fold(0.0, f64::max);
            for (found, sum) in values(&block, sums.len()).iter().zip(&sums) {
                let found = found / f64::from(exponent).exp2();
                // Half a unit; one where the greatest rounds up to a 16th bit.
                let unit = greatest / 16384.0;
                prop_assert!((found - f64::from(*sum)).abs() <= unit, "{found}, {sum}");
            }
        }
    }

    proptest! {
        #[test]
        fn sums_may_come_in_pieces(
            sums in proptest::collection::vec(any::<i32>(), 1..40),
            downs in proptest::collection::vec(0u32..32, 8),
            exponent in -150i32..150,
        ) {
            // Pieces of five; some are much smaller than others, or zero.
            let sums: Vec<i32> = sums.iter().enumerate().map(|(i, sum)| (sum / 2) >> downs[i / 5].min(31)).collect();
            let mut block = vec![0; stride(sums.len())];
            let mut growing = Growing::new(&mut block);
            sums.chunks(5).for_each(|sums| growing.push(sums, exponent));
            let mut whole = vec![0; stride(sums.len())];
            store(&sums, exponent, &mut whole);
            if sums.iter().any(|sum| *sum != 0) {
                prop_assert_eq!(super::exponent(&block), super::exponent(&whole));
                // Rounded twice.
                for (found, expected) in open(&block, sums.len()).1.iter().zip(open(&whole, sums.len()).1) {
                    prop_assert!((i32::from(*found) - i32::from(*expected)).abs() <= 1, "{} {}", found, expected);
                }
            } else {
                prop_assert_eq!(open(&block, sums.len()), (MIN_EXPONENT, &vec![0; sums.len()][..]));
            }
        }
    }

    #[test]
    fn zeros_have_the_least_exponent() {
        let mut block = vec![7; stride(3)];
        store(&[0; 3], MIN_EXPONENT - 40, &mut block);
        assert_eq!((exponent(&block), values(&block, 3)), (MIN_EXPONENT, vec![0.0; 3]));
        store(&[1 << 20, -3, 0], MIN_EXPONENT - 30, &mut block);
        assert_eq!(open(&block, 3), (MIN_EXPONENT, &[0, 0, 0][..]));
        store(&[1 << 20, -3, 0], 300, &mut block);
        assert_eq!(exponent(&block), MAX_EXPONENT);
    }

    #[test]
    fn blocks_are_whole_words() {
        assert_eq!([0, 1, 2, 3].map(block_bytes), [4, 8, 8, 12]);
    }
}
