//! Activations, element by element: limits (relu, relu6), sigmoid, tanh.
//!
//! Forward and backward work in place where both places are the same. Backward needs the forward step's output,
//! not its input: for limits `dx = dy` where `lo < y < hi`, for sigmoid `dy * y * (1 - y)`, for tanh
//! `dy * (1 - y * y)`.

use super::util::{copy, elements, from, in_place};
use crate::arch::Isa;
use crate::math::Maths;
use crate::memory::{Memory, view, view_mut};
use crate::plan::{Access, Context, Operand, Operands, Ref, StepRecord};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Which function. Numbers are part of the image format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Kind {
    /// Limits `lo..=hi`: relu is `0..=inf`, relu6 is `0..=6`.
    Clamp = 0,
    /// `1 / (1 + e^-x)`.
    Sigmoid = 1,
    /// Hyperbolic tangent.
    Tanh = 2,
}

impl Kind {
    /// From its number.
    pub const fn from_u32(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Clamp),
            1 => Some(Self::Sigmoid),
            2 => Some(Self::Tanh),
            _ => None,
        }
    }
}

// ---------------------------------------------------------------------------------------------------- kernels, f32

/// `y = f(y)`; `lo` and `hi` matter to [`Kind::Clamp`] only.
pub fn forward_f32<I: Isa>(isa: I, maths: Maths, kind: Kind, lo: f32, hi: f32, y: &mut [f32]) {
    match kind {
        Kind::Clamp => isa.clamp_f32(lo, hi, y),
        Kind::Sigmoid => y.iter_mut().for_each(|y| *y = maths.sigmoid(*y)),
        Kind::Tanh => y.iter_mut().for_each(|y| *y = maths.tanh(*y)),
    }
}

/// Gradient of the input in place of the gradient of the output: `dy = dy * f'`, with `f'` from `y = f(x)`.
#[inline(always)] // So that its caller can have it compiled for an instruction set.
pub fn backward_f32(kind: Kind, lo: f32, hi: f32, y: &[f32], dy: &mut [f32]) {
    let pairs = dy.iter_mut().zip(y);
    match kind {
        Kind::Clamp => pairs.for_each(|(dy, &y)| *dy = if lo < y && y < hi { *dy } else { 0.0 }),
        Kind::Sigmoid => pairs.for_each(|(dy, y)| *dy *= y * (1.0 - y)),
        Kind::Tanh => pairs.for_each(|(dy, y)| *dy *= 1.0 - y * y),
    }
}

// ---------------------------------------------------------------------------------------------- step records, f32

/// Forward step, f32; in place if `x` and `y` are equal.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ForwardF32 {
    /// [`Kind`].
    pub kind: u32,
    /// Elements of one sample.
    pub len: u32,
    /// Least output, for [`Kind::Clamp`].
    pub lo: f32,
    /// Greatest output, for [`Kind::Clamp`].
    pub hi: f32,
    /// Input.
    pub x: Ref,
    /// Output.
    pub y: Ref,
}

impl ForwardF32 {
    fn places(&self, samples: usize) -> (Operand, Operand) {
        let elements = samples.saturating_mul(self.len as usize);
        in_place(Operand::f32(self.x, elements, Access::Read), Operand::f32(self.y, elements, Access::Write))
    }
}

impl StepRecord for ForwardF32 {
    fn operands(&self, samples: usize) -> Operands {
        let (x, y) = self.places(samples);
        Operands::of([x, y])
    }

    fn shape_is_valid(&self) -> bool {
        Kind::from_u32(self.kind).is_some() && elements([self.len]).is_some()
    }

    fn run<I: Isa>(&self, isa: I, memory: &mut Memory<'_>, context: &mut Context) {
        let (x, y) = self.places(context.samples);
        let ([x], [y]) = memory.carve([x], [y]);
        copy(x, y);
        let Some(kind) = Kind::from_u32(self.kind) else { return };
        forward_f32(isa, Maths::of(context.training), kind, self.lo, self.hi, view_mut(y));
    }
}

/// Backward step, f32; in place if `dy` and `dx` are equal.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BackwardF32 {
    /// [`Kind`].
    pub kind: u32,
    /// Elements of one sample.
    pub len: u32,
    /// Least output of the forward step, for [`Kind::Clamp`].
    pub lo: f32,
    /// Greatest output of the forward step, for [`Kind::Clamp`].
    pub hi: f32,
    /// Output of the forward step.
    pub y: Ref,
    /// Gradient of the output.
    pub dy: Ref,
    /// Gradient of the input.
    pub dx: Ref,
}

impl BackwardF32 {
    fn places(&self, samples: usize) -> ([Operand; 2], Operand) {
        let elements = samples.saturating_mul(self.len as usize);
        let (dy, dx) =
            in_place(Operand::f32(self.dy, elements, Access::Read), Operand::f32(self.dx, elements, Access::Write));
        ([Operand::f32(self.y, elements, Access::Read), dy], dx)
    }
}

impl StepRecord for BackwardF32 {
    fn operands(&self, samples: usize) -> Operands {
        let ([y, dy], dx) = self.places(samples);
        Operands::of([y, dy, dx])
    }

    fn shape_is_valid(&self) -> bool {
        Kind::from_u32(self.kind).is_some() && elements([self.len]).is_some()
    }

    fn run<I: Isa>(&self, isa: I, memory: &mut Memory<'_>, context: &mut Context) {
        let (reads, dx) = self.places(context.samples);
        let ([y, dy], [dx]) = memory.carve(reads, [dx]);
        copy(dy, dx);
        let Some(kind) = Kind::from_u32(self.kind) else { return };
        let (y, len): (&[f32], _) = (view(y), self.len as usize);
        isa.split(context.samples, len, [(view_mut(dx), len)], |of, [dx]| {
            isa.vectorize(|| backward_f32(kind, self.lo, self.hi, from(y, of.start * len), dx));
        });
    }
}

#[cfg(test)]
mod tests;
