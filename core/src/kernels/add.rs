//! Sums, element by element: residual connections, and gradients that come from several places.

mod int16;
mod int8;

pub use int8::{ForwardI8, Sum, Term};
pub use int16::{ForwardI16, forward_i16, forward_in_place_i16};

use super::util::{elements, from};
use crate::arch::Isa;
use crate::math;
use crate::memory::Slices;
use crate::plan::{Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

// ---------------------------------------------------------------------------------------------------- kernels, f32

/// `y = clamp(a + b, lo, hi)`.
pub fn forward_f32<I: Isa>(isa: I, a: &[f32], b: &[f32], lo: f32, hi: f32, y: &mut [f32]) {
    isa.split(y.len(), 1, [(y, 1)], |of, [y]| {
        let (a, b) = (from(a, of.start), from(b, of.start));
        isa.vectorize(
            #[inline(always)]
            || y.iter_mut().zip(a).zip(b).for_each(|((y, a), b)| *y = math::clamp(a + b, lo, hi)),
        );
    });
}

/// `y = clamp(y + b, lo, hi)`.
pub fn forward_in_place_f32<I: Isa>(isa: I, b: &[f32], lo: f32, hi: f32, y: &mut [f32]) {
    isa.split(y.len(), 1, [(y, 1)], |of, [y]| {
        let b = from(b, of.start);
        isa.vectorize(
            #[inline(always)]
            || y.iter_mut().zip(b).for_each(|(y, b)| *y = math::clamp(*y + b, lo, hi)),
        );
    });
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

impl StepRecord for ForwardF32 {
    operands! {
        a: input f32 [samples, len],
        b: input f32 [samples, len],
        y: write f32 [samples, len],
    }

    fn shape_is_valid(&self) -> bool {
        elements([self.len]).is_some()
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, _: &mut Context) {
        let (a, b, y) = (at.read(), at.read(), at.write());
        let (lo, hi) = (self.lo, self.hi);
        match (self.a == self.y, self.b == self.y) {
            (false, false) => forward_f32(isa, a, b, lo, hi, y),
            (true, false) => forward_in_place_f32(isa, b, lo, hi, y),
            (false, true) => forward_in_place_f32(isa, a, lo, hi, y),
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

impl StepRecord for AccumulateF32 {
    operands! {
        x: read f32 [samples, len],
        y: update f32 [samples, len],
    }

    fn shape_is_valid(&self) -> bool {
        elements([self.len]).is_some()
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, _: &mut Context) {
        let (x, y): (&[f32], &mut [f32]) = (at.read(), at.write());
        isa.split(y.len(), 1, [(y, 1)], |of, [y]| isa.accumulate_f32(from(x, of.start), y));
    }
}

#[cfg(test)]
mod tests;
