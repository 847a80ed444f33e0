//! Step records of the forward direction.

use super::{
    Channels, factors, inverse_deviation, moments_f32, move_towards, scale_shift_f32, scale_shift_in_place_f32,
};
use crate::arch::Isa;
use crate::kernels::util::{elements, in_place};
use crate::math;
use crate::memory::{Memory, view, view_mut};
use crate::plan::{Access, Context, Operand, Operands, Ref, StepRecord};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

fn is_epsilon(epsilon: f32) -> bool {
    epsilon.is_finite() && epsilon > 0.0
}

/// Statistics of a batch, f32: mean and inverse deviation for this batch's normalisation and its gradient, and the
/// kept statistics moved towards them.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MomentsF32 {
    /// Shape of `x`.
    pub shape: Channels,
    /// Added to the variance.
    pub epsilon: f32,
    /// How much of the kept statistics stays.
    pub momentum: f32,
    /// Input.
    pub x: Ref,
    /// Factor of each channel.
    pub gamma: Ref,
    /// Term of each channel.
    pub beta: Ref,
    /// Kept mean.
    pub mean: Ref,
    /// Kept variance.
    pub variance: Ref,
    /// Written: mean and inverse deviation of the batch, `[2][channels]`.
    pub moments: Ref,
    /// Written: scale and shift, `[2][channels]`.
    pub factors: Ref,
}

impl MomentsF32 {
    fn places(&self, samples: usize) -> ([Operand; 3], [Operand; 4]) {
        let channels = self.shape.channels();
        let reads = [
            Operand::f32(self.x, self.shape.elements(samples), Access::Read),
            Operand::f32(self.gamma, channels, Access::Read),
            Operand::f32(self.beta, channels, Access::Read),
        ];
        let writes = [
            Operand::f32(self.mean, channels, Access::ReadWrite),
            Operand::f32(self.variance, channels, Access::ReadWrite),
            Operand::f32(self.moments, channels.saturating_mul(2), Access::Write),
            Operand::f32(self.factors, channels.saturating_mul(2), Access::Write),
        ];
        (reads, writes)
    }
}

impl StepRecord for MomentsF32 {
    fn operands(&self, samples: usize) -> Operands {
        let ([x, gamma, beta], [mean, variance, moments, factors]) = self.places(samples);
        Operands::of([x, gamma, beta, mean, variance, moments, factors])
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid() && is_epsilon(self.epsilon) && (0.0..=1.0).contains(&self.momentum)
    }

    fn run<I: Isa>(&self, isa: I, memory: &mut Memory<'_>, context: &mut Context) {
        let (reads, writes) = self.places(context.samples);
        let ([x, gamma, beta], [kept_mean, kept_variance, moments, to]) = memory.carve(reads, writes);
        let moments: &mut [f32] = view_mut(moments);
        let (mean, variance) = moments.split_at_mut(moments.len() / 2);
        moments_f32(isa, self.shape.channels(), view(x), mean, variance);
        move_towards(self.momentum, mean, view_mut(kept_mean));
        move_towards(self.momentum, variance, view_mut(kept_variance));
        inverse_deviation(self.epsilon, variance);
        factors(view(gamma), view(beta), mean, variance.iter().copied(), view_mut(to));
    }
}

/// Scale and shift from kept statistics that training changes, f32.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FactorsF32 {
    /// Channels.
    pub channels: u32,
    /// Added to the variance.
    pub epsilon: f32,
    /// Factor of each channel.
    pub gamma: Ref,
    /// Term of each channel.
    pub beta: Ref,
    /// Kept mean.
    pub mean: Ref,
    /// Kept variance.
    pub variance: Ref,
    /// Written: scale and shift, `[2][channels]`.
    pub factors: Ref,
}

impl FactorsF32 {
    fn places(&self) -> ([Operand; 4], Operand) {
        let channels = self.channels as usize;
        let reads = [self.gamma, self.beta, self.mean, self.variance];
        (
            reads.map(|at| Operand::f32(at, channels, Access::Read)),
            Operand::f32(self.factors, channels.saturating_mul(2), Access::Write),
        )
    }
}

impl StepRecord for FactorsF32 {
    fn operands(&self, _samples: usize) -> Operands {
        let ([gamma, beta, mean, variance], factors) = self.places();
        Operands::of([gamma, beta, mean, variance, factors])
    }

    fn shape_is_valid(&self) -> bool {
        elements([self.channels, 2]).is_some() && is_epsilon(self.epsilon)
    }

    fn run<I: Isa>(&self, _: I, memory: &mut Memory<'_>, _context: &mut Context) {
        let (reads, to) = self.places();
        let ([gamma, beta, mean, variance], [to]) = memory.carve(reads, [to]);
        let variance: &[f32] = view(variance);
        let inverse = variance.iter().map(|variance| 1.0 / math::sqrt(variance + self.epsilon));
        factors(view(gamma), view(beta), view(mean), inverse, view_mut(to));
    }
}

/// `y = clamp(x scale + shift)`, f32, with the activation's limits fused; in place if `x` and `y` are equal.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ScaleShiftF32 {
    /// Shape.
    pub shape: Channels,
    /// Input.
    pub x: Ref,
    /// Scale and shift, `[2][channels]`.
    pub factors: Ref,
    /// Output.
    pub y: Ref,
    /// Least output.
    pub lo: f32,
    /// Greatest output.
    pub hi: f32,
}

impl ScaleShiftF32 {
    fn places(&self, samples: usize) -> ([Operand; 2], Operand) {
        let elements = self.shape.elements(samples);
        let (x, y) =
            in_place(Operand::f32(self.x, elements, Access::Read), Operand::f32(self.y, elements, Access::Write));
        ([x, Operand::f32(self.factors, self.shape.channels().saturating_mul(2), Access::Read)], y)
    }
}

impl StepRecord for ScaleShiftF32 {
    fn operands(&self, samples: usize) -> Operands {
        let ([x, factors], y) = self.places(samples);
        Operands::of([x, factors, y])
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid()
    }

    fn run<I: Isa>(&self, isa: I, memory: &mut Memory<'_>, context: &mut Context) {
        let (reads, y) = self.places(context.samples);
        let ([x, factors], [y]) = memory.carve(reads, [y]);
        if self.x == self.y {
            scale_shift_in_place_f32(isa, view(factors), self.lo, self.hi, view_mut(y));
        } else {
            scale_shift_f32(isa, view(x), view(factors), self.lo, self.hi, view_mut(y));
        }
    }
}
