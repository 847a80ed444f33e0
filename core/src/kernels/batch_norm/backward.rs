//! Gradients: of gamma and beta, then of the input.
//!
//! With `h = (x - mean) inverse` and `n` rows: `dbeta = sum(dy)`, `dgamma = sum(dy h)`, and
//! `dx = gamma inverse (dy - dbeta / n - h dgamma / n)` (Ioffe and Szegedy 2015, section 3). The activation's limits are
//! part of the layer: `dy` counts as zero where the output is at one of them, which both steps tell from `x`.

use super::{Channels, parts};
use crate::arch::{Columns, Isa, Normalised};
use crate::kernels::util::{clear, copy, from, rows, sub};
use crate::memory::Slices;
use crate::plan::{Context, Ref, StepRecord, operands};
use core::ops::Range;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `dgamma` and `dbeta`: sums over rows.
pub fn gradients_f32<I: Isa>(isa: I, seen: &Normalised<'_>, dy: &[f32], dgamma: &mut [f32], dbeta: &mut [f32]) {
    let channels = dgamma.len();
    let part = |range: Range<usize>, first: usize, [dgamma, dbeta]: [&mut [f32]; 2]| {
        let of = |values| sub(values, range.start * channels, range.len() * channels);
        clear(dgamma);
        clear(dbeta);
        let seen = Normalised { x: of(seen.x), ..*seen };
        isa.norm_gradients_f32(Columns { row: channels, first }, &seen, of(dy), dgamma, dbeta);
    };
    parts::sums(isa, rows(dy, channels).len(), [dgamma, dbeta], part, |parts, [dgamma, dbeta]| {
        for (_, [products, sums]) in parts {
            dgamma.iter_mut().zip(products).for_each(|(dgamma, part)| *dgamma += part);
            dbeta.iter_mut().zip(sums).for_each(|(dbeta, part)| *dbeta += part);
        }
    });
}

/// `dy` becomes `dx`.
pub fn backward_input_f32<I: Isa>(isa: I, seen: &Normalised<'_>, dgamma: &[f32], dbeta: &[f32], dy: &mut [f32]) {
    let channels = dgamma.len();
    let total = rows(dy, channels).len();
    isa.split(total, channels, [(dy, channels)], |range, [dy]| {
        let seen = Normalised { x: from(seen.x, range.start * channels), ..*seen };
        isa.norm_input_f32(&seen, total as f32, dgamma, dbeta, dy);
    });
}

/// From the places of `x`, `moments`, `gamma` and `beta`.
fn seen([x, moments, gamma, beta]: [&[f32]; 4], lo: f32, hi: f32) -> Normalised<'_> {
    let (mean, inverse) = moments.split_at_checked(moments.len() / 2).unwrap_or_default();
    Normalised { x, mean, inverse, gamma, beta, lo, hi }
}

/// Step for [`gradients_f32`].
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct GradientsF32 {
    /// Shape of `x`.
    pub shape: Channels,
    /// Input of the forward step.
    pub x: Ref,
    /// Mean and inverse deviation of the batch, `[2][channels]`.
    pub moments: Ref,
    /// Factor of each channel, as it was in the forward step.
    pub gamma: Ref,
    /// Term of each channel, likewise.
    pub beta: Ref,
    /// Least output of the activation.
    pub lo: f32,
    /// Greatest output of the activation.
    pub hi: f32,
    /// Gradient of the output.
    pub dy: Ref,
    /// Gradient of gamma.
    pub dgamma: Ref,
    /// Gradient of beta.
    pub dbeta: Ref,
}

impl StepRecord for GradientsF32 {
    operands! {
        x: read f32 [samples, shape.positions, shape.channels],
        moments: read f32 [const 2, shape.channels],
        gamma: read f32 [shape.channels],
        beta: read f32 [shape.channels],
        dy: read f32 [samples, shape.positions, shape.channels],
        dgamma: write f32 [shape.channels],
        dbeta: write f32 [shape.channels],
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid()
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, _: &mut Context) {
        let seen = seen([at.read(), at.read(), at.read(), at.read()], self.lo, self.hi);
        let (dy, dgamma, dbeta) = (at.read(), at.write(), at.write());
        gradients_f32(isa, &seen, dy, dgamma, dbeta);
    }
}

/// Step for [`backward_input_f32`]; in place if `dy` and `dx` are equal.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BackwardInputF32 {
    /// Shape of `x`.
    pub shape: Channels,
    /// Input of the forward step.
    pub x: Ref,
    /// Mean and inverse deviation of the batch, `[2][channels]`.
    pub moments: Ref,
    /// Factor of each channel, as it was in the forward step.
    pub gamma: Ref,
    /// Term of each channel, likewise.
    pub beta: Ref,
    /// Least output of the activation.
    pub lo: f32,
    /// Greatest output of the activation.
    pub hi: f32,
    /// Gradient of gamma.
    pub dgamma: Ref,
    /// Gradient of beta.
    pub dbeta: Ref,
    /// Gradient of the output.
    pub dy: Ref,
    /// Gradient of the input.
    pub dx: Ref,
}

impl StepRecord for BackwardInputF32 {
    operands! {
        x: read f32 [samples, shape.positions, shape.channels],
        moments: read f32 [const 2, shape.channels],
        gamma: read f32 [shape.channels],
        beta: read f32 [shape.channels],
        dgamma: read f32 [shape.channels],
        dbeta: read f32 [shape.channels],
        dy: input f32 [samples, shape.positions, shape.channels],
        dx: write f32 [samples, shape.positions, shape.channels],
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid()
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, _: &mut Context) {
        let seen = seen([at.read(), at.read(), at.read(), at.read()], self.lo, self.hi);
        let (dgamma, dbeta, dy, dx) = (at.read(), at.read(), at.read(), at.write());
        copy(dy, dx);
        backward_input_f32(isa, &seen, dgamma, dbeta, dx);
    }
}
