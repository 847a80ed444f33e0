//! Losses and their gradients, as one step each: they read predictions and targets, write the gradient of the mean
//! loss over the samples, and leave that mean in the context.

use crate::arch::Isa;
use crate::kernels::util::{elements, rows, rows_mut};
use crate::math;
use crate::memory::{Memory, view, view_mut};
use crate::plan::{Access, Context, Operand, Operands, Ref, StepRecord};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Mean squared error: mean over samples and features of `(y - target)^2`; `dy = 2 (y - target) / (samples * len)`.
///
/// `y` and `dy` are changed in place: the step reads `y` and leaves `dy` there.
pub fn mean_squared_error(len: usize, target: &[f32], y: &mut [f32]) -> f32 {
    let samples = rows(y, len).len();
    let count = (samples * len) as f32;
    let mut sum = 0.0;
    for (y, target) in y.iter_mut().zip(target) {
        let difference = *y - target;
        sum += difference * difference;
        *y = 2.0 * difference / count;
    }
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
/// `z` and `dz` share their place. The maximum is subtracted first, so that no exponential overflows. A class
/// index beyond the classes counts for nothing (the session refuses it before).
pub fn softmax_cross_entropy(classes: usize, target: Target<'_>, z: &mut [f32]) -> f32 {
    let samples = rows(z, classes).len();
    let scale = samples as f32;
    let mut loss = 0.0;
    for (sample, z) in rows_mut(z, classes).enumerate() {
        let greatest = z.iter().copied().fold(f32::NEG_INFINITY, math::max);
        let mut total = 0.0;
        for z in z.iter() {
            total += math::exp(z - greatest);
        }
        let log_total = math::ln(total);
        for (class, z) in z.iter_mut().enumerate() {
            let wanted = match target {
                Target::Class(labels) => {
                    if labels.get(sample).is_some_and(|&label| label as usize == class) {
                        1.0
                    } else {
                        0.0
                    }
                }
                Target::Distribution(rows) => rows.get(sample * classes + class).copied().unwrap_or(0.0),
            };
            let shifted = *z - greatest;
            if wanted != 0.0 {
                loss += wanted * (log_total - shifted);
            }
            *z = (math::exp(shifted) / total - wanted) / scale;
        }
    }
    loss / scale
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

impl MeanSquaredError {
    fn places(&self, samples: usize) -> (Operand, Operand) {
        let elements = samples.saturating_mul(self.len as usize);
        (Operand::f32(self.target, elements, Access::Read), Operand::f32(self.y, elements, Access::ReadWrite))
    }
}

impl StepRecord for MeanSquaredError {
    fn operands(&self, samples: usize) -> Operands {
        let (target, y) = self.places(samples);
        Operands::of([target, y])
    }

    fn shape_is_valid(&self) -> bool {
        elements([self.len]).is_some()
    }

    fn run<I: Isa>(&self, _: I, memory: &mut Memory<'_>, context: &mut Context) {
        let (target, y) = self.places(context.samples);
        let ([target], [y]) = memory.carve([target], [y]);
        context.loss = mean_squared_error(self.len as usize, view(target), view_mut(y));
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

impl SoftmaxCrossEntropy {
    fn places(&self, samples: usize) -> (Operand, Operand) {
        let logits = samples.saturating_mul(self.classes as usize);
        let targets = if self.sparse == 1 { samples } else { logits };
        (Operand::i32(self.target, targets, Access::Read), Operand::f32(self.z, logits, Access::ReadWrite))
    }
}

impl StepRecord for SoftmaxCrossEntropy {
    fn operands(&self, samples: usize) -> Operands {
        let (target, z) = self.places(samples);
        Operands::of([target, z])
    }

    fn shape_is_valid(&self) -> bool {
        elements([self.classes]).is_some() && self.sparse <= 1
    }

    fn run<I: Isa>(&self, _: I, memory: &mut Memory<'_>, context: &mut Context) {
        let (target, z) = self.places(context.samples);
        let ([target], [z]) = memory.carve([target], [z]);
        let target = if self.sparse == 1 { Target::Class(view(target)) } else { Target::Distribution(view(target)) };
        context.loss = softmax_cross_entropy(self.classes as usize, target, view_mut(z));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Central finite differences in f64 against `dz`, for one-hot and soft targets.
    #[test]
    fn cross_entropy_gradient_matches_finite_differences() {
        let z = [0.3f32, -1.2, 2.0, 0.7, 0.1, -0.4];
        let target = [0.0f32, 1.0, 0.0, 0.2, 0.3, 0.5];
        let loss = |z: &[f64]| -> f64 {
            z.chunks(3)
                .zip(target.chunks(3))
                .map(|(z, t)| {
                    let total: f64 = z.iter().map(|z| z.exp()).sum();
                    z.iter().zip(t).map(|(z, t)| f64::from(*t) * (total.ln() - z)).sum::<f64>()
                })
                .sum::<f64>()
                / 2.0
        };
        let mut dz = z;
        let value = softmax_cross_entropy(3, Target::Distribution(&target), &mut dz);
        let z64: std::vec::Vec<f64> = z.iter().map(|&z| f64::from(z)).collect();
        assert!((f64::from(value) - loss(&z64)).abs() < 1e-6);
        for i in 0..6 {
            let (mut up, mut down) = (z64.clone(), z64.clone());
            up[i] += 1e-5;
            down[i] -= 1e-5;
            let numeric = (loss(&up) - loss(&down)) / 2e-5;
            assert!((numeric - f64::from(dz[i])).abs() < 1e-6, "{i}: {numeric} {}", dz[i]);
        }
    }

    #[test]
    fn sparse_and_one_hot_targets_agree_to_the_bit() {
        let z = [5.0f32, -3.0, 80.0, 1.0, 1.0, 1.0];
        let (mut a, mut b) = (z, z);
        let sparse = softmax_cross_entropy(3, Target::Class(&[2, 0]), &mut a);
        let dense = softmax_cross_entropy(3, Target::Distribution(&[0., 0., 1., 1., 0., 0.]), &mut b);
        assert_eq!((sparse.to_bits(), a.map(f32::to_bits)), (dense.to_bits(), b.map(f32::to_bits)));
    }

    #[test]
    fn squared_error_and_its_gradient() {
        let mut y = [1.0, 2.0, 3.0, 4.0];
        let loss = mean_squared_error(2, &[0.0, 2.0, 3.0, 6.0], &mut y);
        assert_eq!((loss, y), (1.25, [0.5, 0.0, 0.0, -1.0]));
    }
}
