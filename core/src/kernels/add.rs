//! Sums, element by element: residual connections, and gradients that come from several places.

mod int16;
mod int8;

pub use int8::{ForwardI8, Sum, Term, forward_i8, forward_in_place_i8};
pub use int16::{ForwardI16, forward_i16, forward_in_place_i16};

use super::util::{elements, in_place};
use crate::arch::Isa;
use crate::math;
use crate::memory::{Memory, view, view_mut};
use crate::plan::{Access, Context, Operand, Operands, Ref, StepRecord};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

// ---------------------------------------------------------------------------------------------------- kernels, f32

/// `y = clamp(a + b, lo, hi)`.
pub fn forward_f32(a: &[f32], b: &[f32], lo: f32, hi: f32, y: &mut [f32]) {
    for ((y, a), b) in y.iter_mut().zip(a).zip(b) {
        *y = math::clamp(a + b, lo, hi);
    }
}

/// `y = clamp(y + b, lo, hi)`.
pub fn forward_in_place_f32(b: &[f32], lo: f32, hi: f32, y: &mut [f32]) {
    for (y, b) in y.iter_mut().zip(b) {
        *y = math::clamp(*y + b, lo, hi);
    }
}

// ---------------------------------------------------------------------------------------------- step records, f32

/// Forward step, f32, with the activation's limits fused; in place if `y` equals `a` or `b`.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ForwardF32 {
    /// Elements of one sample.
    pub len: u32,
    /// One input.
    pub a: Ref,
    /// The other.
    pub b: Ref,
    /// Output.
    pub y: Ref,
    /// Least output.
    pub lo: f32,
    /// Greatest output.
    pub hi: f32,
}

impl ForwardF32 {
    fn places(&self, samples: usize) -> ([Operand; 2], Operand) {
        let elements = samples.saturating_mul(self.len as usize);
        let y = Operand::f32(self.y, elements, Access::Write);
        let (a, y) = in_place(Operand::f32(self.a, elements, Access::Read), y);
        let (b, y) = in_place(Operand::f32(self.b, elements, Access::Read), y);
        ([a, b], y)
    }
}

impl StepRecord for ForwardF32 {
    fn operands(&self, samples: usize) -> Operands {
        let ([a, b], y) = self.places(samples);
        Operands::of([a, b, y])
    }

    fn shape_is_valid(&self) -> bool {
        elements([self.len]).is_some()
    }

    fn run<I: Isa>(&self, _: I, memory: &mut Memory<'_>, context: &mut Context) {
        let (reads, y) = self.places(context.samples);
        let ([a, b], [y]) = memory.carve(reads, [y]);
        let (a, b, y): (&[f32], &[f32], &mut [f32]) = (view(a), view(b), view_mut(y));
        let (lo, hi) = (self.lo, self.hi);
        match (self.a == self.y, self.b == self.y) {
            (false, false) => forward_f32(a, b, lo, hi, y),
            (true, false) => forward_in_place_f32(b, lo, hi, y),
            (false, true) => forward_in_place_f32(a, lo, hi, y),
            (true, true) => y.iter_mut().for_each(|y| *y = math::clamp(*y + *y, lo, hi)),
        }
    }
}

/// `y += x`, f32: for a gradient whose tensor is read in several places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct AccumulateF32 {
    /// Elements of one sample.
    pub len: u32,
    /// What is added.
    pub x: Ref,
    /// What it is added to.
    pub y: Ref,
}

impl AccumulateF32 {
    fn places(&self, samples: usize) -> (Operand, Operand) {
        let elements = samples.saturating_mul(self.len as usize);
        (Operand::f32(self.x, elements, Access::Read), Operand::f32(self.y, elements, Access::ReadWrite))
    }
}

impl StepRecord for AccumulateF32 {
    fn operands(&self, samples: usize) -> Operands {
        let (x, y) = self.places(samples);
        Operands::of([x, y])
    }

    fn shape_is_valid(&self) -> bool {
        elements([self.len]).is_some()
    }

    fn run<I: Isa>(&self, isa: I, memory: &mut Memory<'_>, context: &mut Context) {
        let (x, y) = self.places(context.samples);
        let ([x], [y]) = memory.carve([x], [y]);
        isa.accumulate_f32(view(x), view_mut(y));
    }
}

#[cfg(test)]
mod tests;
