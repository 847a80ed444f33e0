//! Batch normalisation: `y = gamma (x - mean) / sqrt(variance + epsilon) + beta`, channel by channel.
//!
//! Shapes: `x, y [samples][positions][channels]`; gamma, beta and all statistics `[channels]`. A row is one position of
//! one sample; a dense layer's output has one position.
//!
//! Training takes mean and variance (of the population) of the batch, over all rows, and moves the kept ones towards
//! them: `kept = momentum kept + (1 - momentum) batch`. Inference takes the kept ones. These are Keras 3's definitions.
//! Either way the layer becomes a factor and a term for each channel, `scale = gamma / sqrt(variance + epsilon)` and
//! `shift = beta - mean scale`, so that one step ([`ScaleShiftF32`]) serves both.
//!
//! A sum over rows is one chain for each channel, in order of rows, starting from zero. Tokens that are not exact cut
//! many rows into parts, each a chain (`parts.rs`); the number of parts follows from the number of rows alone. So the
//! bits never depend on the number of threads.

mod backward;
mod parts;
mod records;

pub use backward::{BackwardInputF32, GradientsF32, backward_input_f32, gradients_f32};
pub use records::{FactorsF32, MomentsF32, ScaleShiftF32};

use super::util::{clear, elements, from, rows, sub};
use crate::arch::{Columns, Isa};
use crate::math;
use core::ops::Range;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Shape of a normalised tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Channels {
    /// Rows of one sample: pixels of an image, 1 for a vector.
    pub positions: u32,
    /// Channels of a row.
    pub channels: u32,
}

impl Channels {
    fn channels(&self) -> usize {
        self.channels as usize
    }

    fn is_valid(&self) -> bool {
        elements([self.positions, self.channels]).is_some()
    }
}

// ---------------------------------------------------------------------------------------------------- kernels, f32

/// Mean and variance (of the population) of every channel: `sum(x) / rows`, then `sum((x - mean)^2) / rows`.
///
/// Of several parts both are taken apart, and joined as Chan, Golub and LeVeque 1983 do: the parts' means weighted by
/// their rows, and the parts' variances with the squared distances of their means.
pub fn moments_f32<I: Isa>(isa: I, channels: usize, x: &[f32], mean: &mut [f32], variance: &mut [f32]) {
    let count = rows(x, channels).len();
    let part = |rows: Range<usize>, first: usize, [mean, variance]: [&mut [f32]; 2]| {
        let (of, n) = (Columns { row: channels, first }, rows.len() as f32);
        let x = sub(x, rows.start * channels, rows.len() * channels);
        clear(mean);
        isa.column_sums_f32(of, x, mean);
        mean.iter_mut().for_each(|mean| *mean /= n);
        clear(variance);
        isa.column_squares_f32(of, x, mean, variance);
        variance.iter_mut().for_each(|variance| *variance /= n);
    };
    parts::sums(isa, count, [mean, variance], part, |parts, [mean, variance]| {
        let whole = count as f32;
        for (rows, [part, _]) in parts.clone() {
            let share = rows.len() as f32 / whole;
            mean.iter_mut().zip(part).for_each(|(mean, part)| *mean += share * part);
        }
        for (rows, [part, spread]) in parts {
            let share = rows.len() as f32 / whole;
            for (((variance, mean), part), spread) in variance.iter_mut().zip(&*mean).zip(part).zip(spread) {
                let distance = part - mean;
                *variance += share * (spread + distance * distance);
            }
        }
    });
}

/// `kept = momentum kept + (1 - momentum) batch`.
pub fn move_towards(momentum: f32, batch: &[f32], kept: &mut [f32]) {
    let rest = 1.0 - momentum;
    for (kept, batch) in kept.iter_mut().zip(batch) {
        *kept = momentum * *kept + rest * batch;
    }
}

/// `variance` becomes `1 / sqrt(variance + epsilon)`.
pub fn inverse_deviation(epsilon: f32, variance: &mut [f32]) {
    for variance in variance {
        *variance = 1.0 / math::sqrt(*variance + epsilon);
    }
}

/// `scale = gamma inverse`, `shift = beta - mean scale`; `factors` is `[scale, shift][channels]`.
pub fn factors(gamma: &[f32], beta: &[f32], mean: &[f32], inverse: impl Iterator<Item = f32>, factors: &mut [f32]) {
    let (scale, shift) = factors.split_at_mut_checked(factors.len() / 2).unwrap_or_default();
    let learned = gamma.iter().zip(beta).zip(mean).zip(inverse);
    for ((scale, shift), (((gamma, beta), mean), inverse)) in scale.iter_mut().zip(shift).zip(learned) {
        *scale = gamma * inverse;
        *shift = beta - mean * *scale;
    }
}

/// `y = clamp(x scale + shift, lo, hi)`; in place, with `y` for `x`, if there is no `x`.
pub fn scale_shift_f32<I: Isa>(isa: I, x: Option<&[f32]>, factors: &[f32], lo: f32, hi: f32, y: &mut [f32]) {
    let (scale, shift) = factors.split_at_checked(factors.len() / 2).unwrap_or_default();
    let channels = scale.len();
    isa.split(rows(y, channels).len(), channels, [(y, channels)], |range, [y]| {
        let x = x.map(|x| from(x, range.start * channels));
        isa.scale_shift_f32(x, scale, shift, lo, hi, y);
    });
}

#[cfg(test)]
mod tests;
