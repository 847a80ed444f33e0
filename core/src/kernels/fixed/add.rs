//! Sums, element by element: residual connections, gradients that come from several places, and limits alone.

use super::block::{MIN_EXPONENT, bits, exponent, fit, mantissas_mut, open, round, set_head, stride};
use super::number::Limits;
use crate::arch::Isa;
use crate::kernels::util::{copy, elements, from, rows_mut, sub, sub_mut};
use crate::memory::Slices;
use crate::plan::{Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bits below the unit of the coarser of two blocks: their sums have 30.
const FINE: i32 = 14;

/// Sums that exist at a time.
const TILE: usize = 64;

/// `y = clamp(y + b)`, or of the difference `y - b`; an empty `b` counts as zeros.
#[cfg_attr(target_os = "none", inline(never))]
pub fn add(len: usize, b: &[i16], subtracts: bool, limits: Limits, y: &mut [i16]) {
    let size = stride(len);
    for (sample, block) in rows_mut(y, size).enumerate() {
        let (of_b, b) = open(sub(b, sample * size, size), len);
        let of_y = exponent(block);
        let unit = of_y.max(of_b).saturating_sub(FINE);
        let ((lo, hi), right) = (limits.at(unit), [of_y, of_b].map(|of| (unit + FINE - of).clamp(0, 31)));
        let fine = |mantissa: i16, right: i32| (i32::from(mantissa) << FINE) >> right;
        let sums = |start: usize, y: &[i16], sums: &mut [i32]| {
            let mut b = from(b, start).iter();
            for (sum, y) in sums.iter_mut().zip(y) {
                let b = fine(b.next().copied().unwrap_or(0), right[1]);
                *sum = (fine(*y, right[0]) + if subtracts { -b } else { b }).max(lo).min(hi);
            }
        };
        // Twice: the greatest decides the exponent.
        let (mut tile, mut needed) = ([0; TILE], 0);
        let y = mantissas_mut(block, len);
        for (number, y) in y.chunks(TILE).enumerate() {
            let tile = sub_mut(&mut tile, 0, y.len());
            sums(number * TILE, y, tile);
            needed = needed.max(bits(tile));
        }
        let (kept, right) = fit(needed, unit);
        for (number, y) in y.chunks_mut(TILE).enumerate() {
            let tile = sub_mut(&mut tile, 0, y.len());
            sums(number * TILE, y, tile);
            round(tile, right, y);
        }
        set_head(block, kept, 0);
    }
}

/// Step for [`add`]: `y = clamp(a + b)` or `clamp(a - b)`. An absent operand counts as zeros. In place if `y` equals `a`,
/// or `b` of a sum, but not both.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Add {
    /// Elements of one sample.
    pub len: u32,
    /// 1 for a difference, 0 for a sum.
    pub subtracts: u32,
    /// One input, or none.
    pub a: Ref,
    /// The other, or none.
    pub b: Ref,
    /// Output.
    pub y: Ref,
    /// Least output.
    pub lo: f32,
    /// Greatest output.
    pub hi: f32,
}

impl StepRecord for Add {
    operands! {
        a: input block [samples, len],
        b: input block [samples, len],
        y: write block [samples, len],
    }

    fn shape_is_valid(&self) -> bool {
        let onto_b = self.b == self.y;
        elements([self.len]).is_some() && self.subtracts <= 1 && !(onto_b && (self.subtracts == 1 || self.a == self.y))
    }

    fn run<I: Isa>(&self, _: I, at: &mut Slices<'_>, _: &mut Context) {
        let (a, b, y): (&[i16], &[i16], &mut [i16]) = (at.read(), at.read(), at.write());
        let (len, limits) = (self.len as usize, Limits { lo: self.lo, hi: self.hi });
        if self.b == self.y {
            return add(len, a, false, limits, y);
        }
        if self.a.is_none() {
            for block in rows_mut(y, stride(len)) {
                set_head(block, MIN_EXPONENT, 0);
                mantissas_mut(block, len).fill(0);
            }
        }
        copy(a, y);
        add(len, b, self.subtracts == 1, limits, y);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::fixed::testing::{assert_near, blocks, values};
    use crate::kernels::testing::run_record;
    use crate::optim::{Optimizer, OptimizerRecord};
    use crate::rng::Rng;
    use std::vec::Vec;
    use zerocopy::IntoBytes;

    const SAMPLES: usize = 3;

    fn limited(values: impl Iterator<Item = f64>, limits: Limits) -> Vec<f64> {
        values.map(|v| v.max(f64::from(limits.lo)).min(f64::from(limits.hi))).collect()
    }

    fn run(record: Add, arena: &mut [i16]) {
        assert!(record.shape_is_valid());
        let optimizer = Optimizer::at_step(OptimizerRecord::sgd(1.0), 1);
        let mut context = Context {
            samples: SAMPLES,
            optimizer,
            training: true,
            loss: 0.0,
            right: 0,
            evaluation: false,
            adapts: None,
        };
        run_record(crate::arch::Scalar, &record, &[], arena.as_mut_bytes(), &mut context);
    }

    #[test]
    fn sums_and_differences_are_those_of_reals() {
        let mut rng = Rng::new(3);
        for (len, apart) in [(1, 0), (7, -4), (64, 3), (65, 20), (200, -200)] {
            let a = blocks(&mut rng, SAMPLES, len, 15, -12);
            let b = blocks(&mut rng, SAMPLES, len, 15, -12 + apart);
            let all = [values(&a, len), values(&b, len)];
            let most = f64::from(apart.max(0)).exp2() as f32;
            for limits in [Limits::NONE, Limits { lo: -most, hi: 3.0 * most }] {
                for subtracts in [0, 1] {
                    let sign = if subtracts == 1 { -1.0 } else { 1.0 };
                    let expected = limited(all[0].iter().zip(&all[1]).map(|(a, b)| a + sign * b), limits);
                    let bytes = (2 * a.len()) as u32;
                    let [at_a, at_b, at_y] = [0, 1, 2].map(|i| Ref::arena(i * bytes));
                    let record = |y| {
                        let Limits { lo, hi } = limits;
                        Add { len: len as u32, subtracts, a: at_a, b: at_b, y, lo, hi }
                    };
                    for y in [at_y, at_a, at_b] {
                        if y == at_b && subtracts == 1 {
                            assert!(!record(y).shape_is_valid());
                            continue;
                        }
                        let mut arena = [&a[..], &b, &a].concat();
                        run(record(y), &mut arena);
                        let found = values(&arena[y.offset() / 2..][..a.len()], len);
                        // One rounding, to up to 16 bits, of two whose low bits are cut off.
                        assert_near(&found, &expected, len, 2.0);
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_absent_counts_as_zeros() {
        let b = blocks(&mut Rng::new(4), SAMPLES, 9, 15, -10);
        let (at_b, at_y) = (Ref::arena(0), Ref::arena(2 * b.len() as u32));
        let (lo, hi) = (f32::NEG_INFINITY, f32::INFINITY);
        for (subtracts, a, b_ref, sign) in
            [(1, Ref::NONE, at_b, -1.0), (0, Ref::NONE, at_b, 1.0), (0, at_b, Ref::NONE, 1.0)]
        {
            let mut arena = [&b[..], &b].concat();
            run(Add { len: 9, subtracts, a, b: b_ref, y: at_y, lo, hi }, &mut arena);
            let expected: Vec<f64> = values(&b, 9).iter().map(|b| sign * b).collect();
            assert_eq!(values(&arena[b.len()..], 9), expected);
        }
        let mut arena = b.clone();
        run(Add { len: 9, subtracts: 0, a: at_b, b: Ref::NONE, y: at_b, lo: 0.0, hi: 3.0 }, &mut arena);
        let expected = limited(values(&b, 9).into_iter(), Limits { lo: 0.0, hi: 3.0 });
        assert_near(&values(&arena, 9), &expected, 9, 1.0);
        let onto_both = Add { len: 9, subtracts: 0, a: at_b, b: at_b, y: at_b, lo, hi };
        assert!(!onto_both.shape_is_valid());
    }
}
