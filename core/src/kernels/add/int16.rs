//! Sums, int16 forward: as int8, with zero points 0 and inputs shifted left by 15 bits.

use super::{Sum, Term};
use crate::arch::Isa;
use crate::kernels::requantize::limits_are_valid_i16;
use crate::kernels::util::{elements, in_place};
use crate::memory::{Memory, view, view_mut};
use crate::plan::{Access, Context, Operand, Operands, Ref, StepRecord};
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

impl ForwardI16 {
    fn places(&self, samples: usize) -> ([Operand; 2], Operand) {
        let elements = samples.saturating_mul(self.len as usize);
        let y = Operand::i16(self.y, elements, Access::Write);
        let (a, y) = in_place(Operand::i16(self.a, elements, Access::Read), y);
        let (b, y) = in_place(Operand::i16(self.b, elements, Access::Read), y);
        ([a, b], y)
    }
}

impl StepRecord for ForwardI16 {
    fn operands(&self, samples: usize) -> Operands {
        let ([a, b], y) = self.places(samples);
        Operands::of([a, b, y])
    }

    fn shape_is_valid(&self) -> bool {
        let Sum { a, b, left_shift, zero_point, lo, hi, .. } = self.sum;
        elements([self.len]).is_some()
            && (0..32).contains(&left_shift)
            && [a.zero_point, b.zero_point, zero_point] == [0; 3]
            && limits_are_valid_i16(lo, hi)
    }

    fn run<I: Isa>(&self, _: I, memory: &mut Memory<'_>, context: &mut Context) {
        let (reads, y) = self.places(context.samples);
        let ([a, b], [y]) = memory.carve(reads, [y]);
        let (a, b, y): (&[i16], &[i16], &mut [i16]) = (view(a), view(b), view_mut(y));
        match (self.a == self.y, self.b == self.y) {
            (false, false) => forward_i16(&self.sum, a, b, y),
            (true, false) => forward_in_place_i16(&self.sum, b, y),
            (false, true) => forward_in_place_i16(&self.sum.swapped(), a, y),
            (true, true) => y.iter_mut().for_each(|y| *y = of(&self.sum, *y, *y)),
        }
    }
}
