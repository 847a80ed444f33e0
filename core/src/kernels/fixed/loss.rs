//! Losses and the gradients of their means, as in [`crate::loss`].

use super::block::{RUNAWAY, open, store, stride};
use super::elementary::logarithm;
use super::number::{Factor, exponent_of, fixed, float, log2_up, mul_q16, shift};
use super::softmax::{PROBABILITY, Total, below, probabilities};
use crate::arch::Isa;
use crate::kernels::util::{copy, elements, rows, rows_mut};
use crate::loss::Target;
use crate::memory::Slices;
use crate::plan::{Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Softmax and cross-entropy: the mean over samples of `ln(sum exp z) - sum target * z`, in units of 2^-16; `z` becomes
/// `dz = (softmax(z) - target) / samples`. `sums` has room for one sample.
///
/// With several passes `dz` is of the mean over the samples of all of them.
/// With class indices the wanted class's gradient is the negative sum of the others, so that it does not cancel.
/// Where logits have run away ([`RUNAWAY`]), the loss is infinite: integers that are at their limits never are.
/// Gives also how many samples are recognised: no class that is wanted is below the greatest logit.
pub fn softmax_cross_entropy(
    [samples, passes, classes]: [usize; 3],
    target: Target<'_>,
    sums: &mut [i32],
    z: &mut [i16],
) -> (f32, u32) {
    let share = Factor::one_over(samples.saturating_mul(passes) as u32);
    let (mut loss, mut greatest, mut right) = (0u32, 0, 0);
    for (sample, block) in rows_mut(z, stride(classes)).enumerate() {
        let (exponent, z) = open(block, classes);
        greatest = exponent.max(greatest);
        let total = probabilities(exponent, z, sums);
        let (own, missing) = match target {
            Target::Class(labels) => match labels.get(sample) {
                Some(label) => class(total, exponent, z, *label as usize, sums),
                None => (0, 1),
            },
            Target::Distribution(targets) => {
                let start = sample * classes;
                distribution(total, exponent, z, targets.get(start..).unwrap_or(&[]), sums)
            }
        };
        loss = loss.saturating_add(own).saturating_add(missing);
        right += u32::from(missing == 0);
        let unit = spread(share, PROBABILITY, sums);
        store(sums, unit, block);
    }
    if greatest > RUNAWAY {
        return (f32::INFINITY, right);
    }
    (mean(float(loss.min(i32::MAX as u32) as i32, -16), samples), right)
}

/// Sums times a share; gives the power of two of their unit then.
fn spread(share: Factor, exponent: i32, sums: &mut [i32]) -> i32 {
    if share.mantissa != 1 << 16 {
        for sum in sums {
            *sum = share.mantissa_times(*sum);
        }
    }
    exponent + share.exponent + 16
}

fn mean(sum: f32, samples: usize) -> f32 {
    // A division takes a core without floats as long as a small layer.
    if samples == 1 { sum } else { sum / samples as f32 }
}

/// The gradient where one class is wanted; gives the two parts of the loss, the second of which is what the class misses
/// the greatest logit by.
fn class(total: Total, exponent: i32, z: &[i16], label: usize, sums: &mut [i32]) -> (u32, u32) {
    let Some(wanted) = z.get(label) else { return (0, 1) };
    let all = sums.iter().fold(0i32, |all, sum| all.wrapping_add(*sum));
    if let Some(sum) = sums.get_mut(label) {
        *sum = sum.wrapping_sub(all);
    }
    (logarithm(total.sum, total.one), below(total, exponent, *wanted) as u32)
}

/// The gradient where a distribution is wanted; gives the parts of the loss as [`class`] does.
fn distribution(total: Total, exponent: i32, z: &[i16], target: &[f32], sums: &mut [i32]) -> (u32, u32) {
    let (mut loss, mut weight) = (0i32, 0i32);
    for ((sum, z), target) in sums.iter_mut().zip(z).zip(target) {
        let share = fixed(*target, -16).clamp(0, 1 << 16);
        weight = weight.saturating_add(share);
        loss = loss.saturating_add(mul_q16(below(total, exponent, *z), share as u32));
        *sum = sum.saturating_sub(fixed(*target, PROBABILITY));
    }
    let own = mul_q16(logarithm(total.sum, total.one) as i32, weight.min(1 << 16) as u32);
    (own as u32, loss as u32)
}

/// Mean squared error: the mean over samples and features of `(y - target)^2`; `y` becomes
/// `dy = 2 (y - target) / (samples * len)`, with several passes of the samples of all of them. `sums` has room for one
/// sample.
pub fn mean_squared_error([samples, passes, len]: [usize; 3], target: &[f32], sums: &mut [i32], y: &mut [i16]) -> f32 {
    let share = Factor::one_over(samples.saturating_mul(passes).saturating_mul(len) as u32);
    let mut loss = 0.0;
    for (block, target) in rows_mut(y, stride(len)).zip(rows(target, len)) {
        let (exponent, y) = open(block, len);
        let greatest = target.iter().fold(0, |greatest, t| (t.to_bits() & (u32::MAX >> 1)).max(greatest));
        // Both have 29 bits in this unit at most.
        let unit = exponent.max(exponent_of(greatest)) - 14;
        let (left, down) = (exponent.saturating_sub(unit), log2_up(len));
        let mut squares = 0i32;
        for ((sum, y), target) in sums.iter_mut().zip(y).zip(target) {
            *sum = shift(i32::from(*y), left).saturating_sub(fixed(*target, unit));
            let difference = *sum >> 16;
            squares = squares.wrapping_add((difference * difference) >> down);
        }
        loss += float(squares >> 7, (unit + 16).saturating_mul(2).saturating_add(down as i32 + 7));
        // The greatest number of bits, for the share's product to lose none that counts.
        let unit = spread(share, unit + 1, sums);
        store(sums, unit, block);
    }
    mean(loss, samples.saturating_mul(len))
}

/// Step for [`softmax_cross_entropy`]; in place if `z` and `dz` are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SoftmaxCrossEntropy {
    /// Classes.
    pub classes: u32,
    /// 1 if the target is a class index (`u32`), 0 if it is a row of `classes` floats.
    pub sparse: u32,
    /// Logits.
    pub z: Ref,
    /// Targets.
    pub target: Ref,
    /// Gradient of the logits.
    pub dz: Ref,
    /// For the sums of one sample.
    pub sums: Ref,
}

impl StepRecord for SoftmaxCrossEntropy {
    operands! {
        z: input block [samples, classes],
        target: read f32 [samples, classes unless sparse],
        sums: scratch i32 [classes],
        dz: write block [samples, classes],
    }

    fn shape_is_valid(&self) -> bool {
        elements([self.classes]).is_some() && self.sparse <= 1
    }

    fn run<I: Isa>(&self, _: I, at: &mut Slices<'_>, context: &mut Context) {
        let z = at.read();
        let target = if self.sparse == 1 { Target::Class(at.read()) } else { Target::Distribution(at.read()) };
        let (sums, dz) = (at.write(), at.write());
        copy(z, dz);
        (context.loss, context.right) =
            softmax_cross_entropy([context.samples, context.passes(), self.classes as usize], target, sums, dz);
    }
}

/// Step for [`mean_squared_error`]; in place if `y` and `dy` are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MeanSquaredError {
    /// Features of one sample.
    pub len: u32,
    /// Predictions.
    pub y: Ref,
    /// Targets, as many floats.
    pub target: Ref,
    /// Gradient of the predictions.
    pub dy: Ref,
    /// For the sums of one sample.
    pub sums: Ref,
}

impl StepRecord for MeanSquaredError {
    operands! {
        y: input block [samples, len],
        target: read f32 [samples, len],
        sums: scratch i32 [len],
        dy: write block [samples, len],
    }

    fn shape_is_valid(&self) -> bool {
        elements([self.len]).is_some()
    }

    fn run<I: Isa>(&self, _: I, at: &mut Slices<'_>, context: &mut Context) {
        let (y, target) = (at.read(), at.read());
        let (sums, dy) = (at.write(), at.write());
        copy(y, dy);
        let sizes = [context.samples, context.passes(), self.len as usize];
        context.loss = mean_squared_error(sizes, target, sums, dy);
    }
}

#[cfg(test)]
mod tests;
