//! Losses and their gradients against their definitions in f64.

use super::*;
use crate::arch::{Isa, IsaId, Scalar, Task, run_on};
use crate::kernels::testing::*;
use crate::optim::{Optimizer, OptimizerRecord};
use crate::plan::Encode;
use crate::rng::Rng;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;
use zerocopy::IntoBytes;

/// Mean over samples of `-sum target * log softmax(z)`, for targets that sum to one.
fn cross_entropy(classes: usize, target: &[f32], z: &[f64]) -> f64 {
    let samples = z.len() / classes;
    let rows = z.chunks(classes).zip(target.chunks(classes));
    let total: f64 = rows
        .map(|(z, target)| {
            let greatest = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let log_total = z.iter().map(|z| (z - greatest).exp()).sum::<f64>().ln() + greatest;
            z.iter().zip(target).map(|(z, &t)| f64::from(t) * (log_total - z)).sum::<f64>()
        })
        .sum();
    total / samples as f64
}

fn squared_error(target: &[f32], y: &[f64]) -> f64 {
    let squares = y.iter().zip(target).map(|(y, &t)| (y - f64::from(t)).powi(2));
    squares.sum::<f64>() / y.len() as f64
}

fn logits(rng: &mut Rng, len: usize) -> Vec<f32> {
    noise(rng, len).iter().map(|z| 8.0 * z).collect()
}

/// Rows that sum to one (to within f32).
fn distributions(rng: &mut Rng, samples: usize, classes: usize) -> Vec<f32> {
    (0..samples)
        .flat_map(|_| {
            let row: Vec<f32> = (0..classes).map(|_| rng.uniform_f32(0.0, 1.0) + 0.01).collect();
            let total: f32 = row.iter().sum();
            row.into_iter().map(move |t| t / total).collect::<Vec<_>>()
        })
        .collect()
}

proptest! {
    #[test]
    fn cross_entropy_matches_finite_differences(samples in 1usize..4, classes in 1usize..12, seed: u64) {
        let mut rng = Rng::new(seed);
        let (z, target) = (logits(&mut rng, samples * classes), distributions(&mut rng, samples, classes));
        let mut dz = z.clone();
        let loss = softmax_cross_entropy(classes, 1, Target::Distribution(&target), &mut dz).0;
        let expected = cross_entropy(classes, &target, &wide(&z));
        // Terms are at most 16 + ln 12 in size: the spread of the logits and their log-sum.
        let roundings = (4 * classes * samples + 8) as f64;
        prop_assert!((f64::from(loss) - expected).abs() <= roundings * ROUNDING * 19.0, "{} {}", loss, expected);
        let numeric = numeric_gradient(&z, |z| cross_entropy(classes, &target, z));
        // As for softmax: 16 roundings of e^x for the spread, two for exp, the sum, three quotients and differences.
        // Targets that sum to one only within f32 shift the reference by one rounding per class.
        let magnitude = vec![1.0 / samples as f32; z.len()];
        assert_close(&dz, &numeric, 2 * (16 + 2) + 2 * classes + 3, &magnitude);
    }

    #[test]
    fn sparse_and_one_hot_targets_agree_to_the_bit(samples in 1usize..4, classes in 1u32..12, seed: u64) {
        let mut rng = Rng::new(seed);
        let labels: Vec<u32> = (0..samples).map(|_| rng.below(classes)).collect();
        let one_hot: Vec<f32> =
            labels.iter().flat_map(|&label| (0..classes).map(move |c| f32::from(u8::from(c == label)))).collect();
        let (mut sparse, classes) = (logits(&mut rng, one_hot.len()), classes as usize);
        let mut dense = sparse.clone();
        let sparse_loss = softmax_cross_entropy(classes, 1, Target::Class(&labels), &mut sparse).0;
        let dense_loss = softmax_cross_entropy(classes, 1, Target::Distribution(&one_hot), &mut dense).0;
        prop_assert_eq!(sparse_loss.to_bits(), dense_loss.to_bits());
        prop_assert_eq!(bits(&sparse), bits(&dense));
    }

    #[test]
    fn squared_error_matches_finite_differences(samples in 1usize..4, len in 1usize..12, seed: u64) {
        let mut rng = Rng::new(seed);
        let (y, target) = (noise(&mut rng, samples * len), noise(&mut rng, samples * len));
        let mut dy = y.clone();
        let loss = mean_squared_error(Scalar, len, 1, &target, &mut dy);
        let expected = squared_error(&target, &wide(&y));
        // Every square is at most 4.
        prop_assert!((f64::from(loss) - expected).abs() <= (y.len() + 4) as f64 * ROUNDING * 4.0);
        let numeric = numeric_gradient(&y, |y| squared_error(&target, y));
        assert_close(&dy, &numeric, 4, &vec![4.0 / y.len() as f32; y.len()]);
    }

    /// What a step leaves in the context and in its place is what its kernel computes.
    #[test]
    fn records_run_their_kernels(samples in 1usize..4, len in 1u32..12, seed: u64) {
        let mut rng = Rng::new(seed);
        let total = samples * len as usize;
        let (y, target) = (noise(&mut rng, total), noise(&mut rng, total));
        let labels: Vec<u32> = (0..samples).map(|_| rng.below(len)).collect();
        let place = Ref::arena(4 * total as u32);

        let (loss, found) = run_loss(&MeanSquaredError { len, y: Ref::arena(0), target: place }, &y, target.as_bytes());
        let mut expected = y.clone();
        prop_assert_eq!(loss, mean_squared_error(Scalar, len as usize, 1, &target, &mut expected));
        prop_assert_eq!(found, expected);

        let record = SoftmaxCrossEntropy { classes: len, sparse: 0, z: Ref::arena(0), target: place };
        let (loss, found) = run_loss(&record, &y, target.as_bytes());
        let mut expected = y.clone();
        prop_assert_eq!(loss, softmax_cross_entropy(len as usize, 1, Target::Distribution(&target), &mut expected).0);
        prop_assert_eq!(found, expected);

        let record = SoftmaxCrossEntropy { sparse: 1, ..record };
        let (loss, found) = run_loss(&record, &y, labels.as_bytes());
        let mut expected = y.clone();
        prop_assert_eq!(loss, softmax_cross_entropy(len as usize, 1, Target::Class(&labels), &mut expected).0);
        prop_assert_eq!(found, expected);
    }
}

/// Runs a loss record over predictions followed by their targets; gives the loss and what replaced the predictions.
fn run_loss<R: Encode>(record: &R, predictions: &[f32], target: &[u8]) -> (f32, Vec<f32>) {
    let samples = match record.operands(1).as_slice() {
        [_, predicted] => 4 * predictions.len() / predicted.bytes,
        other => panic!("{other:?}"),
    };
    let mut arena = predictions.to_vec();
    arena.extend(target.chunks(4).map(|word| f32::from_bits(u32::from_le_bytes(word.try_into().unwrap()))));
    let optimizer = Optimizer::at_step(OptimizerRecord::sgd(0.0), 1);
    let mut context =
        Context { samples, optimizer, training: true, loss: f32::NAN, right: 0, evaluation: false, adapts: None };
    assert!(record.shape_is_valid());
    run_record(Scalar, record, &[], arena.as_mut_bytes(), &mut context);
    arena.truncate(predictions.len());
    (context.loss, arena)
}

#[test]
fn squared_error_by_hand() {
    let mut y = [1.0, 2.0, 3.0, 4.0];
    let loss = mean_squared_error(Scalar, 2, 1, &[0.0, 2.0, 3.0, 6.0], &mut y);
    assert_eq!((loss, y), (1.25, [0.5, 0.0, 0.0, -1.0]));
}

#[test]
fn huge_logits_do_not_overflow() {
    let mut z = [1e30, -1e30, 0.0];
    let loss = softmax_cross_entropy(3, 1, Target::Class(&[0]), &mut z).0;
    assert_eq!((loss, z), (0.0, [0.0, 0.0, 0.0]));
}

/// The session refuses such labels; the kernel still must not fail.
#[test]
fn a_label_beyond_the_classes_counts_for_nothing() {
    let mut z = [1.0, 1.0];
    let loss = softmax_cross_entropy(2, 1, Target::Class(&[7]), &mut z).0;
    assert_eq!((loss, z), (0.0, [0.5, 0.5]));
}

/// Tokens that are not exact sum in an order of their own, the same for all of them.
#[test]
fn squares_of_fused_tokens_are_summed_in_lanes() {
    struct Both<'a>(usize, &'a [f32], &'a [f32]);
    impl Task for Both<'_> {
        type Output = (f32, Vec<f32>);
        fn run<I: Isa>(self, isa: I) -> Self::Output {
            let mut y = self.1.to_vec();
            (mean_squared_error(isa, self.0, 1, self.2, &mut y), y)
        }
    }
    for len in 1..131 {
        let mut rng = Rng::new(len as u64);
        let (y, target) = (noise(&mut rng, 3 * len), noise(&mut rng, 3 * len));
        let (plain, gradient) = Both(len, &y, &target).run(Scalar);
        let mut lanes = [0.0; 32];
        for (i, (y, target)) in y.iter().zip(&target).enumerate() {
            lanes[i % 32] += (y - target) * (y - target);
        }
        let fused = lanes.iter().sum::<f32>() / (3 * len) as f32;
        for id in IsaId::ALL {
            let Some((loss, dy)) = run_on(id, Both(len, &y, &target)) else { continue };
            assert_eq!(bits(&dy), bits(&gradient), "{}", id.name());
            assert_eq!(loss.to_bits(), if id.is_exact() { plain } else { fused }.to_bits(), "{}", id.name());
        }
    }
}

#[test]
fn a_sample_is_recognised_where_the_wanted_class_is_the_greatest() {
    let z = [1.0, 2.0, 3.0, 3.0, 3.0, -1.0, -5.0, 0.0, 0.0];
    let right = |target| softmax_cross_entropy(3, 1, target, &mut z.clone()).1;
    assert_eq!(right(Target::Class(&[2, 0, 1])), 3);
    assert_eq!(right(Target::Class(&[2, 1, 0])), 2, "of equal ones each is");
    assert_eq!(right(Target::Class(&[1, 2, 0])), 0);
    assert_eq!(right(Target::Distribution(&[0.0, 0.0, 1.0, 0.5, 0.5, 0.0, 0.0, 0.0, 1.0])), 3);
    assert_eq!(right(Target::Distribution(&[0.0, 0.5, 0.5, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0])), 0);
}
