//! Step records of the forward direction.

use super::{Channels, factors, inverse_deviation, moments_f32, move_towards, scale_shift_f32};
use crate::arch::Isa;
use crate::kernels::util::{copy, elements};
use crate::math;
use crate::memory::Slices;
use crate::plan::{Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

fn is_epsilon(epsilon: f32) -> bool {
    epsilon.is_finite() && epsilon > 0.0
}

/// Statistics of a batch, f32: mean and inverse deviation for this batch's normalisation and its gradient, and the
/// kept statistics moved towards them. In an evaluation the kept ones stand for the batch's, and stay.
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

impl StepRecord for MomentsF32 {
    operands! {
        x: read f32 [samples, shape.positions, shape.channels],
        gamma: read f32 [shape.channels],
        beta: read f32 [shape.channels],
        mean: update f32 [shape.channels],
        variance: update f32 [shape.channels],
        moments: write f32 [const 2, shape.channels],
        factors: write f32 [const 2, shape.channels],
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid() && is_epsilon(self.epsilon) && (0.0..=1.0).contains(&self.momentum)
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, context: &mut Context) {
        let (x, gamma, beta) = (at.read(), at.read(), at.read());
        let (kept_mean, kept_variance) = (at.write(), at.write());
        let (moments, to) = (at.write::<f32>(), at.write());
        let (mean, variance) = moments.split_at_mut_checked(moments.len() / 2).unwrap_or_default();
        if context.evaluation {
            for (kept, to) in [(kept_mean, &mut *mean), (kept_variance, &mut *variance)] {
                copy(kept, to);
            }
        } else {
            moments_f32(isa, self.shape.channels(), x, mean, variance);
            move_towards(self.momentum, mean, kept_mean);
            move_towards(self.momentum, variance, kept_variance);
        }
        inverse_deviation(self.epsilon, variance);
        factors(gamma, beta, mean, variance.iter().copied(), to);
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

impl StepRecord for FactorsF32 {
    operands! {
        gamma: read f32 [channels],
        beta: read f32 [channels],
        mean: read f32 [channels],
        variance: read f32 [channels],
        factors: write f32 [const 2, channels],
    }

    fn shape_is_valid(&self) -> bool {
        elements([self.channels, 2]).is_some() && is_epsilon(self.epsilon)
    }

    fn run<I: Isa>(&self, _: I, at: &mut Slices<'_>, _: &mut Context) {
        let (gamma, beta, mean, variance) = (at.read(), at.read(), at.read(), at.read::<f32>());
        let to = at.write();
        let inverse = variance.iter().map(|variance| 1.0 / math::sqrt(variance + self.epsilon));
        factors(gamma, beta, mean, inverse, to);
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

impl StepRecord for ScaleShiftF32 {
    operands! {
        x: input f32 [samples, shape.positions, shape.channels],
        factors: read f32 [const 2, shape.channels],
        y: write f32 [samples, shape.positions, shape.channels],
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid()
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, _: &mut Context) {
        let (x, factors, y) = (at.read(), at.read(), at.write());
        scale_shift_f32(isa, (self.x != self.y).then_some(x), factors, self.lo, self.hi, y);
    }
}
