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
//! Every sum over rows is one chain for each channel, in order of rows, starting from zero: its bits depend neither on
//! the token nor on how channels are shared among threads.

mod backward;
mod records;

pub use backward::{BackwardInputF32, GradientsF32, backward_input_f32, gradients_f32};
pub use records::{FactorsF32, MomentsF32, ScaleShiftF32};

use super::util::{elements, from, rows, rows_mut};
use crate::arch::{Isa, IsaId};
use crate::math;
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

/// Work on several neighbouring channels at once, over all rows.
trait Columns {
    /// The channels `first..first + N`.
    fn block<const N: usize>(&mut self, first: usize);
}

/// Channels that one thread sums at least: a cache line of each row.
const GROUP: usize = 16;

/// Shares the channels of `rows` rows among threads, in whole groups, with the parts of `results` (one number for each
/// channel) that belong to them: calls `task` with the first channel and the parts.
#[inline(always)]
fn split_channels<I: Isa, const N: usize>(
    isa: I,
    rows: usize,
    results: [&mut [f32]; N],
    task: impl Fn(usize, [&mut [f32]; N]) + Sync,
) {
    let channels = results.first().map_or(0, |result| result.len());
    let cost = rows.saturating_mul(GROUP);
    let slices = results.map(|result| (result, GROUP));
    isa.split(channels.div_ceil(GROUP), cost, slices, |groups, results| task(groups.start * GROUP, results));
}

/// Goes through channels `first..end`: in blocks that fill registers where those are wide, else one by one.
#[inline(always)]
fn each_block<I: Isa>(isa: I, mut first: usize, end: usize, work: &mut impl Columns) {
    isa.vectorize(
        #[inline(always)]
        || {
            if I::ID != IsaId::Scalar {
                while first + 64 <= end {
                    work.block::<64>(first);
                    first += 64;
                }
                while first + 16 <= end {
                    work.block::<16>(first);
                    first += 16;
                }
            }
            while first < end {
                work.block::<1>(first);
                first += 1;
            }
        },
    );
}

/// Channels `first..first + N` of a row, or of a list of one number for each channel.
#[inline(always)]
fn block<const N: usize>(row: &[f32], first: usize) -> Option<&[f32; N]> {
    from(row, first).first_chunk()
}

/// [`block`] for writing.
#[inline(always)]
fn block_mut<const N: usize>(row: &mut [f32], first: usize) -> Option<&mut [f32; N]> {
    super::util::from_mut(row, first).first_chunk_mut()
}

// ---------------------------------------------------------------------------------------------------- kernels, f32

/// Mean and variance (of the population) of every channel: `sum(x) / rows`, then `sum((x - mean)^2) / rows`.
pub fn moments_f32<I: Isa>(isa: I, channels: usize, x: &[f32], mean: &mut [f32], variance: &mut [f32]) {
    let count = rows(x, channels).len();
    split_channels(isa, count, [mean, variance], |start, [mean, variance]| {
        let end = start + mean.len();
        each_block(isa.alone(), start, end, &mut Moments { channels, start, x, mean, variance });
    });
}

struct Moments<'a> {
    channels: usize,
    /// The channel that `mean` and `variance` begin with.
    start: usize,
    x: &'a [f32],
    mean: &'a mut [f32],
    variance: &'a mut [f32],
}

impl Columns for Moments<'_> {
    #[inline(always)]
    fn block<const N: usize>(&mut self, first: usize) {
        let count = rows(self.x, self.channels).len() as f32;
        let at = first - self.start;
        let (Some(mean), Some(variance)) = (block_mut(self.mean, at), block_mut(self.variance, at)) else { return };
        let mut sums = [0.0; N];
        for row in rows(self.x, self.channels) {
            let Some(row) = block::<N>(row, first) else { return };
            sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
        }
        sums.iter_mut().for_each(|sum| *sum /= count);
        *mean = sums;
        let mut squares = [0.0; N];
        for row in rows(self.x, self.channels) {
            let Some(row) = block::<N>(row, first) else { return };
            for ((square, x), mean) in squares.iter_mut().zip(row).zip(&sums) {
                let distance = x - mean;
                *square += distance * distance;
            }
        }
        squares.iter_mut().for_each(|square| *square /= count);
        *variance = squares;
    }
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
    let (scale, shift) = factors.split_at_mut(factors.len() / 2);
    let learned = gamma.iter().zip(beta).zip(mean).zip(inverse);
    for ((scale, shift), (((gamma, beta), mean), inverse)) in scale.iter_mut().zip(shift).zip(learned) {
        *scale = gamma * inverse;
        *shift = beta - mean * *scale;
    }
}

/// `y = clamp(x scale + shift, lo, hi)`.
pub fn scale_shift_f32<I: Isa>(isa: I, x: &[f32], factors: &[f32], lo: f32, hi: f32, y: &mut [f32]) {
    let (scale, shift) = factors.split_at(factors.len() / 2);
    let channels = scale.len();
    isa.split(rows(y, channels).len(), channels, [(y, channels)], |range, [y]| {
        let x = from(x, range.start * channels);
        isa.vectorize(
            #[inline(always)]
            || {
                for (x, y) in rows(x, channels).zip(rows_mut(y, channels)) {
                    for (((y, x), scale), shift) in y.iter_mut().zip(x).zip(scale).zip(shift) {
                        *y = math::clamp(x * scale + shift, lo, hi);
                    }
                }
            },
        );
    });
}

/// [`scale_shift_f32`] in place.
pub fn scale_shift_in_place_f32<I: Isa>(isa: I, factors: &[f32], lo: f32, hi: f32, y: &mut [f32]) {
    let (scale, shift) = factors.split_at(factors.len() / 2);
    let channels = scale.len();
    isa.split(rows(y, channels).len(), channels, [(y, channels)], |_, [y]| {
        isa.vectorize(
            #[inline(always)]
            || {
                for y in rows_mut(y, channels) {
                    for ((y, scale), shift) in y.iter_mut().zip(scale).zip(shift) {
                        *y = math::clamp(*y * scale + shift, lo, hi);
                    }
                }
            },
        );
    });
}

#[cfg(test)]
mod tests;
