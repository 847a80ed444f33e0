//! Sums, int16 forward: as int8, with zero points 0 and inputs shifted left by 15 bits.

use super::{Sum, Term};
use crate::arch::Isa;
use crate::kernels::requantize::limits_are_valid_i16;
use crate::kernels::util::elements;
use crate::memory::Slices;
use crate::plan::{Context, Ref, StepRecord, operands};
use crate::quant::multiply_by_quantized_multiplier as scale;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `clamp(a + b)` in the output's numbers.
#[inline]
fn of(sum: &Sum, a: i16, b: i16) -> i16 {
    let scaled = |x: i16, term: &Term| {
        let shifted = i32::from(x).wrapping_sub(term.zero_point).wrapping_shl(sum.left_shift as u32);
        scale(shifted, term.multiplier, term.shift)
    };
    let total = scaled(a, &sum.a).wrapping_add(scaled(b, &sum.b));
    let y = scale(total, sum.multiplier, sum.shift).wrapping_add(sum.zero_point);
    y.max(sum.lo).min(sum.hi) as i16
}

/// `y = clamp(a + b)`.
pub fn forward_i16(sum: &Sum, a: &[i16], b: &[i16], y: &mut [i16]) {
    for ((y, a), b) in y.iter_mut().zip(a).zip(b) {
        *y = of(sum, *a, *b);
    }
}

/// `y = clamp(y + b)`: `y` holds input `a`.
pub fn forward_in_place_i16(sum: &Sum, b: &[i16], y: &mut [i16]) {
    for (y, b) in y.iter_mut().zip(b) {
        *y = of(sum, *y, *b);
    }
}

/// Forward step, int16, with the activation's limits fused; in place if `y` equals `a` or `b`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ForwardI16 {
    /// Elements of one sample.
    pub len: u32,
    /// One input.
    pub a: Ref,
    /// The other.
    pub b: Ref,
    /// Output.
    pub y: Ref,
    /// Scales.
    pub sum: Sum,
}

impl StepRecord for ForwardI16 {
    operands! {
        a: input i16 [samples, len],
        b: input i16 [samples, len],
        y: write i16 [samples, len],
    }

    fn shape_is_valid(&self) -> bool {
        let Sum { a, b, left_shift, zero_point, lo, hi, .. } = self.sum;
        elements([self.len]).is_some()
            && (0..32).contains(&left_shift)
            && [a.zero_point, b.zero_point, zero_point] == [0; 3]
            && limits_are_valid_i16(lo, hi)
    }

    fn run<I: Isa>(&self, _: I, at: &mut Slices<'_>, _: &mut Context) {
        let (a, b, y) = (at.read(), at.read(), at.write());
        match (self.a == self.y, self.b == self.y) {
            (false, false) => forward_i16(&self.sum, a, b, y),
            (true, false) => forward_in_place_i16(&self.sum, b, y),
            (false, true) => forward_in_place_i16(&self.sum.swapped(), a, y),
            (true, true) => y.iter_mut().for_each(|y| *y = of(&self.sum, *y, *y)),
        }
    }
}
