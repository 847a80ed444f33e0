//! Mean over neighbouring axes, int8: [`super::ForwardInteger`] can do all that it can, but slowly.
//!
//! Shapes: `x [samples][outer][count][inner]` to `y [samples][outer][inner]`.

use super::Scaling;
use crate::arch::Isa;
use crate::kernels::requantize::limits_are_valid;
use crate::kernels::util::{elements, rows, rows_mut, sub};
use crate::memory::Slices;
use crate::plan::{Context, Ref, StepRecord, operands};
use crate::quant::requantize_i8;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Outputs whose sums are held at once.
const BLOCK: usize = 32;

/// Shape of a mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Mean {
    /// Product of the axes before those that vanish.
    pub outer: u32,
    /// Product of the axes that vanish.
    pub count: u32,
    /// Product of the axes behind them.
    pub inner: u32,
}

impl Mean {
    /// Elements of one input sample.
    pub fn in_elements(&self) -> usize {
        self.outer as usize * self.count as usize * self.inner as usize
    }

    /// Elements of one output sample.
    pub fn out_elements(&self) -> usize {
        self.outer as usize * self.inner as usize
    }

    /// Whether the shape is consistent.
    pub fn is_valid(&self) -> bool {
        elements([self.outer, self.count, self.inner]).is_some()
    }
}

/// `y = clamp(requantize(sum of x - count * zero point))`.
pub fn mean_i8<I: Isa>(isa: I, shape: &Mean, x: &[i8], to: &Scaling, y: &mut [i8]) {
    let (count, inner) = (shape.count as usize, shape.inner as usize);
    let offset = (shape.count as i32).wrapping_mul(to.in_zero_point).wrapping_neg();
    for (x, y) in rows(x, count * inner).zip(rows_mut(y, inner)) {
        for (block, y) in y.chunks_mut(BLOCK).enumerate() {
            let mut sums = [offset; BLOCK];
            let Some(sums) = sums.get_mut(..y.len()) else { return };
            for x in rows(x, inner) {
                isa.accumulate_i8(sub(x, block * BLOCK, sums.len()), sums);
            }
            for (y, sum) in y.iter_mut().zip(sums) {
                *y = requantize_i8(*sum, to.multiplier, to.shift, to.zero_point, to.lo, to.hi);
            }
        }
    }
}

/// Forward step, int8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MeanI8 {
    /// Shape.
    pub shape: Mean,
    /// Input.
    pub x: Ref,
    /// Output.
    pub y: Ref,
    /// How sums become means.
    pub scaling: Scaling,
}

impl StepRecord for MeanI8 {
    operands! {
        x: read i8 [samples, shape.outer, shape.count, shape.inner],
        y: write i8 [samples, shape.outer, shape.inner],
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid() && limits_are_valid(self.scaling.lo, self.scaling.hi)
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, _: &mut Context) {
        let (x, y) = (at.read(), at.write());
        mean_i8(isa, &self.shape, x, &self.scaling, y);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::Scalar;
    use crate::kernels::testing_int8::{between, bytes};
    use crate::quant::defined::requantize_as_defined;
    use crate::rng::Rng;
    use proptest::prelude::*;
    use std::vec::Vec;

    proptest! {
        #[test]
        fn int8_equals_its_definition(outer in 1u32..4, count in 1u32..60, inner in 1u32..70, seed: u64) {
            let shape = Mean { outer, count, inner };
            let mut rng = Rng::new(seed);
            let bits = count.ilog2() as i32;
            let to = Scaling {
                in_zero_point: between(&mut rng, -128, 127),
                multiplier: between(&mut rng, 1 << 29, i32::MAX),
                shift: between(&mut rng, -2, 1) - bits,
                zero_point: between(&mut rng, -128, 127),
                lo: between(&mut rng, -128, 0),
                hi: between(&mut rng, 0, 127),
            };
            let x = bytes(&mut rng, 2 * shape.in_elements());
            let (count, inner) = (count as usize, inner as usize);
            let mut expected = Vec::new();
            for x in x.chunks(count * inner) {
                for i in 0..inner {
                    let column = x.iter().skip(i).step_by(inner);
                    let sum: i64 = column.map(|x| i64::from(*x) - i64::from(to.in_zero_point)).sum();
                    expected.push(requantize_as_defined(sum, to.multiplier, to.shift, to.zero_point, to.lo, to.hi));
                }
            }
            let mut y = std::vec![99; 2 * shape.out_elements()];
            mean_i8(Scalar, &shape, &x, &to, &mut y);
            prop_assert_eq!(&y, &expected);
            #[cfg(target_arch = "x86_64")]
            if let Some(isa) = crate::arch::Avx2::new() {
                mean_i8(isa, &shape, &x, &to, &mut y);
                prop_assert_eq!(&y, &expected);
            }
        }
    }

    #[test]
    fn impossible_shapes_are_refused() {
        let scaling = Scaling { in_zero_point: 0, multiplier: 1, shift: 0, zero_point: 0, lo: -128, hi: 127 };
        let step = MeanI8 { shape: Mean { outer: 1, count: 4, inner: 2 }, x: Ref::arena(0), y: Ref::arena(8), scaling };
        assert!(step.shape_is_valid());
        assert!(!MeanI8 { shape: Mean { outer: 1, count: 0, inner: 2 }, ..step }.shape_is_valid());
        assert!(!MeanI8 { scaling: Scaling { hi: 128, ..scaling }, ..step }.shape_is_valid());
        let huge = u32::MAX;
        assert!(!MeanI8 { shape: Mean { outer: huge, count: huge, inner: huge }, ..step }.shape_is_valid());
    }
}
