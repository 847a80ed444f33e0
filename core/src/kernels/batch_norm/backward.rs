//! Gradients: of gamma and beta, then of the input.
//!
//! With `h = (x - mean) inverse` and `n` rows: `dbeta = sum(dy)`, `dgamma = sum(dy h)`, and
//! `dx = gamma inverse (dy - dbeta / n - h dgamma / n)` (Ioffe and Szegedy 2015, section 3).

use super::{Channels, Columns, block, block_mut, each_block, split_channels};
use crate::arch::Isa;
use crate::kernels::util::{copy, from, rows, rows_mut};
use crate::memory::Memory;
use crate::plan::{Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `dgamma` and `dbeta`: sums over rows, in order. `moments` is `[mean, inverse][channels]`.
pub fn gradients_f32<I: Isa>(isa: I, x: &[f32], dy: &[f32], moments: &[f32], dgamma: &mut [f32], dbeta: &mut [f32]) {
    let (mean, inverse) = moments.split_at(moments.len() / 2);
    split_channels(isa, rows(x, mean.len()).len(), [dgamma, dbeta], |start, [dgamma, dbeta]| {
        let end = start + dgamma.len();
        each_block(isa.alone(), start, end, &mut Gradients { start, x, dy, mean, inverse, dgamma, dbeta });
    });
}

struct Gradients<'a> {
    /// The channel that `dgamma` and `dbeta` begin with.
    start: usize,
    x: &'a [f32],
    dy: &'a [f32],
    mean: &'a [f32],
    inverse: &'a [f32],
    dgamma: &'a mut [f32],
    dbeta: &'a mut [f32],
}

impl Columns for Gradients<'_> {
    #[inline(always)]
    fn block<const N: usize>(&mut self, first: usize) {
        let channels = self.mean.len();
        let (Some(mean), Some(inverse)) = (block::<N>(self.mean, first), block::<N>(self.inverse, first)) else {
            return;
        };
        let at = first - self.start;
        let (Some(dgamma), Some(dbeta)) = (block_mut(self.dgamma, at), block_mut(self.dbeta, at)) else { return };
        let (mut sums, mut products) = ([0.0; N], [0.0; N]);
        for (x, dy) in rows(self.x, channels).zip(rows(self.dy, channels)) {
            let (Some(x), Some(dy)) = (block::<N>(x, first), block::<N>(dy, first)) else { return };
            sums.iter_mut().zip(dy).for_each(|(sum, dy)| *sum += dy);
            let scaled = x.iter().zip(mean).zip(inverse).map(|((x, mean), inverse)| (x - mean) * inverse);
            products.iter_mut().zip(dy).zip(scaled).for_each(|((product, dy), h)| *product += dy * h);
        }
        (*dgamma, *dbeta) = (products, sums);
    }
}

/// `dy` becomes `dx`.
pub fn backward_input_f32<I: Isa>(
    isa: I,
    x: &[f32],
    moments: &[f32],
    gamma: &[f32],
    dgamma: &[f32],
    dbeta: &[f32],
    dy: &mut [f32],
) {
    let (mean, inverse) = moments.split_at(moments.len() / 2);
    let channels = mean.len();
    let total = rows(dy, channels).len();
    isa.split(total, channels, [(dy, channels)], |range, [dy]| {
        let x = from(x, range.start * channels);
        let mut input = Input { total, x, mean, inverse, gamma, dgamma, dbeta, dy };
        each_block(isa.alone(), 0, channels, &mut input);
    });
}

struct Input<'a> {
    /// Rows of the whole batch.
    total: usize,
    x: &'a [f32],
    mean: &'a [f32],
    inverse: &'a [f32],
    gamma: &'a [f32],
    dgamma: &'a [f32],
    dbeta: &'a [f32],
    dy: &'a mut [f32],
}

impl Columns for Input<'_> {
    #[inline(always)]
    fn block<const N: usize>(&mut self, first: usize) {
        let channels = self.mean.len();
        let count = self.total as f32;
        let (Some(mean), Some(inverse), Some(gamma), Some(dgamma), Some(dbeta)) = (
            block::<N>(self.mean, first),
            block::<N>(self.inverse, first),
            block::<N>(self.gamma, first),
            block::<N>(self.dgamma, first),
            block::<N>(self.dbeta, first),
        ) else {
            return;
        };
        let (mut factor, mut term, mut slope) = ([0.0; N], [0.0; N], [0.0; N]);
        let learned = gamma.iter().zip(inverse).zip(dgamma).zip(dbeta);
        let constants = factor.iter_mut().zip(&mut term).zip(&mut slope);
        for (((factor, term), slope), (((gamma, inverse), dgamma), dbeta)) in constants.zip(learned) {
            *factor = gamma * inverse;
            *term = dbeta / count;
            *slope = inverse * (dgamma / count);
        }
        for (x, dy) in rows(self.x, channels).zip(rows_mut(self.dy, channels)) {
            let (Some(x), Some(dy)) = (block::<N>(x, first), block_mut::<N>(dy, first)) else { return };
            let constants = mean.iter().zip(&factor).zip(&term).zip(&slope);
            for ((dy, x), (((mean, factor), term), slope)) in dy.iter_mut().zip(x).zip(constants) {
                *dy = factor * ((*dy - term) - (x - mean) * slope);
            }
        }
    }
}

/// Step for [`gradients_f32`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct GradientsF32 {
    /// Shape.
    pub shape: Channels,
    /// Input of the forward step.
    pub x: Ref,
    /// Gradient of the output.
    pub dy: Ref,
    /// Mean and inverse deviation of the batch, `[2][channels]`.
    pub moments: Ref,
    /// Gradient of gamma.
    pub dgamma: Ref,
    /// Gradient of beta.
    pub dbeta: Ref,
}

impl StepRecord for GradientsF32 {
    operands! {
        x: read f32 [samples, shape.positions, shape.channels],
        dy: read f32 [samples, shape.positions, shape.channels],
        moments: read f32 [const 2, shape.channels],
        dgamma: write f32 [shape.channels],
        dbeta: write f32 [shape.channels],
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid()
    }

    fn run<I: Isa>(&self, isa: I, memory: &mut Memory<'_>, context: &mut Context) {
        let mut at = memory.slices(self, context.samples);
        let (x, dy, moments) = (at.read(), at.read(), at.read());
        let (dgamma, dbeta) = (at.write(), at.write());
        gradients_f32(isa, x, dy, moments, dgamma, dbeta);
    }
}

/// Step for [`backward_input_f32`]; in place if `dy` and `dx` are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BackwardInputF32 {
    /// Shape.
    pub shape: Channels,
    /// Input of the forward step.
    pub x: Ref,
    /// Mean and inverse deviation of the batch, `[2][channels]`.
    pub moments: Ref,
    /// Factor of each channel, as it was in the forward step.
    pub gamma: Ref,
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
        dgamma: read f32 [shape.channels],
        dbeta: read f32 [shape.channels],
        dy: input f32 [samples, shape.positions, shape.channels],
        dx: write f32 [samples, shape.positions, shape.channels],
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid()
    }

    fn run<I: Isa>(&self, isa: I, memory: &mut Memory<'_>, context: &mut Context) {
        let mut at = memory.slices(self, context.samples);
        let (x, moments, gamma, dgamma, dbeta, dy) = (at.read(), at.read(), at.read(), at.read(), at.read(), at.read());
        let dx = at.write();
        let dx: &mut [f32] = dx;
        copy(dy, dx);
        backward_input_f32(isa, x, moments, gamma, dgamma, dbeta, dx);
    }
}
