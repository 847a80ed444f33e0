//! Losses and their gradients, as one step each: they read predictions and targets, write the gradient of the mean
//! loss over the samples, and leave that mean in the context.

use crate::arch::Isa;
use crate::kernels::util::{elements, from, rows, rows_mut};
use crate::math;
use crate::memory::Slices;
use crate::plan::{Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Partial sums of squared differences, on tokens that are not exact.
const LANES: usize = 32;

/// Mean squared error: mean over samples and features of `(y - target)^2`; `dy = 2 (y - target) / (samples * len)`.
///
/// `y` and `dy` are changed in place: the step reads `y` and leaves `dy` there. With several passes `dy` is of the mean
/// over the samples of all of them. Squares are summed in index order; tokens that are not exact add square `i` to
/// partial sum `i mod 32`, and then the partial sums in order.
pub fn mean_squared_error<I: Isa>(isa: I, len: usize, passes: usize, target: &[f32], y: &mut [f32]) -> f32 {
    let samples = rows(y, len).len();
    let (count, scale) = ((samples * len) as f32, (samples * len * passes) as f32);
    let square = |sum: &mut f32, y: &mut f32, target: &f32| {
        let difference = *y - target;
        *sum += difference * difference;
        *y = 2.0 * difference / scale;
    };
    let mut sum = 0.0;
    if I::ID.is_exact() {
        y.iter_mut().zip(target).for_each(|(y, target)| square(&mut sum, y, target));
        return sum / count;
    }
    let mut sums = [0.0; LANES];
    isa.vectorize(|| {
        for (y, target) in y.chunks_mut(LANES).zip(target.chunks(LANES)) {
            // Whole chunks have a length that the compiler knows.
            match (<&mut [f32; LANES]>::try_from(&mut *y), <&[f32; LANES]>::try_from(target)) {
                (Ok(y), Ok(target)) => {
                    for ((sum, y), target) in sums.iter_mut().zip(y).zip(target) {
                        square(sum, y, target);
                    }
                }
                _ => {
                    for ((sum, y), target) in sums.iter_mut().zip(y).zip(target) {
                        square(sum, y, target);
                    }
                }
            }
        }
    });
    sums.iter().for_each(|part| sum += part);
    sum / count
}

/// What cross-entropy is measured against.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// A class index for each sample (sparse).
    Class(&'a [u32]),
    /// A distribution over the classes for each sample, such as one-hot rows.
    Distribution(&'a [f32]),
}

/// Softmax and cross-entropy in one: mean over samples of `log(sum exp z) - sum target * z`;
/// `dz = (softmax(z) - target) / samples`.
///
/// With several passes `dz` is of the mean over the samples of all of them. `z` and `dz` share their place. The maximum
/// is subtracted first, so that no exponential overflows. A class index beyond the classes counts for nothing (the
/// session refuses it before).
///
/// Gives also how many samples are recognised: no class that is wanted has less than the greatest logit.
pub fn softmax_cross_entropy(classes: usize, passes: usize, target: Target<'_>, z: &mut [f32]) -> (f32, u32) {
    let samples = rows(z, classes).len();
    let scale = (samples * passes) as f32;
    let (mut loss, mut right) = (0.0, 0);
    for (sample, z) in rows_mut(z, classes).enumerate() {
        let greatest = z.iter().copied().fold(f32::NEG_INFINITY, math::max);
        // Of a class index the row is empty, of a row the index that of no class.
        let (index, row): (u32, &[f32]) = match target {
            Target::Class(labels) => (labels.get(sample).copied().unwrap_or(u32::MAX), &[]),
            Target::Distribution(rows) => (u32::MAX, from(rows, sample * classes)),
        };
        let wanted = |class: usize| match row.get(class) {
            Some(wanted) => *wanted,
            None if class == index as usize => 1.0,
            None => 0.0,
        };
        let (mut total, mut weight, mut wanted_z) = (0.0, 0.0, 0.0);
        for (class, z) in z.iter_mut().enumerate() {
            let (shifted, wanted) = (*z - greatest, wanted(class));
            if wanted != 0.0 {
                weight += wanted;
                wanted_z += wanted * shifted;
            }
            *z = math::exp(shifted);
            total += *z;
        }
        loss += weight * math::ln(total) - wanted_z;
        right += u32::from(is_zero(wanted_z));
        for (class, z) in z.iter_mut().enumerate() {
            *z = (*z / total - wanted(class)) / scale;
        }
    }
    (loss / samples as f32, right)
}

/// Zero of either sign, for cores that take long for floats.
fn is_zero(value: f32) -> bool {
    value.to_bits() << 1 == 0
}

/// Step for [`mean_squared_error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MeanSquaredError {
    /// Features of one sample.
    pub len: u32,
    /// Predictions, replaced by their gradient.
    pub y: Ref,
    /// Targets, as many.
    pub target: Ref,
}

impl StepRecord for MeanSquaredError {
    operands! {
        target: read f32 [samples, len],
        y: update f32 [samples, len],
    }

    const SMALL: bool = true;

    fn shape_is_valid(&self) -> bool {
        elements([self.len]).is_some()
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, context: &mut Context) {
        let (target, y) = (at.read(), at.write());
        context.loss = mean_squared_error(isa, self.len as usize, context.passes(), target, y);
    }
}

/// Step for [`softmax_cross_entropy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SoftmaxCrossEntropy {
    /// Classes.
    pub classes: u32,
    /// 1 if the target is a class index (`u32`), 0 if it is a row of `classes` floats.
    pub sparse: u32,
    /// Logits, replaced by their gradient.
    pub z: Ref,
    /// Targets.
    pub target: Ref,
}

impl StepRecord for SoftmaxCrossEntropy {
    operands! {
        target: read f32 [samples, classes unless sparse],
        z: update f32 [samples, classes],
    }

    const SMALL: bool = true;

    fn shape_is_valid(&self) -> bool {
        elements([self.classes]).is_some() && self.sparse <= 1
    }

    fn run<I: Isa>(&self, _: I, at: &mut Slices<'_>, context: &mut Context) {
        let target = if self.sparse == 1 { Target::Class(at.read()) } else { Target::Distribution(at.read()) };
        let (classes, passes) = (self.classes as usize, context.passes());
        (context.loss, context.right) = softmax_cross_entropy(classes, passes, target, at.write());
    }
}

#[cfg(test)]
mod tests;
