//! What layers over images share: samples are computed row by row, so that no more than a row's sums exist at a time.

use super::block::{Growing, open, stride};
use crate::kernels::util::{rows, rows_mut, sub_mut};
use crate::kernels::window::Axis;
use core::ops::Range;

/// Makes `(blocks, elements of one)` of others, a row of sums at a time.
///
/// `row` gets a sample's exponent and mantissas, the row's number and its sums, which hold anything, and gives the
/// exponent of their unit.
#[inline(always)]
pub fn row_by_row(
    (from, inputs): (&[i16], usize),
    (to, outputs): (&mut [i16], usize),
    sums: &mut [i32],
    mut row: impl FnMut((i32, &[i16]), usize, &mut [i32]) -> i32,
) {
    let len = sums.len().max(1);
    for (from, to) in rows(from, stride(inputs)).zip(rows_mut(to, stride(outputs))) {
        let from = open(from, inputs);
        let mut block = Growing::new(to);
        let (mut number, mut done) = (0, 0);
        while done < outputs {
            let sums = sub_mut(sums, 0, len.min(outputs - done));
            let unit = row(from, number, sums);
            block.push(sums, unit);
            (number, done) = (number + 1, done + len);
        }
    }
}

/// Outputs of an axis of which some may see this input: those in between that skip it, too.
#[inline]
pub fn readers(axis: &Axis, input: usize) -> Range<usize> {
    let reach = axis.kernel.saturating_sub(1).saturating_mul(axis.dilation);
    Axis { kernel: reach.saturating_add(1), ..*axis }.readers(input).0
}

/// `sums += a * b`, element by element; each product is shifted right.
// A device has room for one copy.
#[cfg_attr(target_os = "none", inline(never))]
pub fn multiply_add(right: u32, a: &[i16], b: &[i16], sums: &mut [i32]) {
    let right = right.min(31);
    for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
        *sum = sum.wrapping_add((i32::from(*a) * i32::from(*b)) >> right);
    }
}
