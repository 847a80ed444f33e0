//! Tests of losses against their definition in f64.

use super::*;
use crate::kernels::fixed::testing::*;
use crate::rng::Rng;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

proptest! {
    #[test]
    fn cross_entropy_is_that_of_reals(classes in 2usize..12, samples in 1usize..5, exponent in -16i32..-11, seed: u64) {
        let mut rng = Rng::new(seed);
        let z = blocks(&mut rng, samples, classes, 15, exponent);
        let real = values(&z, classes);
        let labels: Vec<u32> = (0..samples).map(|_| rng.below(classes as u32)).collect();
        let mut one_hot = vec![0.0; samples * classes];
        labels.iter().enumerate().for_each(|(sample, label)| one_hot[sample * classes + *label as usize] = 1.0);
        let (mut expected, mut loss) = (Vec::new(), 0.0);
        for (z, label) in real.chunks(classes).zip(&labels) {
            let sum: f64 = z.iter().map(|z| z.exp()).sum();
            loss += (sum.ln() - z[*label as usize]) / samples as f64;
            let p = |class: usize, z: &f64| (z.exp() / sum - f64::from(u8::from(class == *label as usize))) / samples as f64;
            expected.extend(z.iter().enumerate().map(|(class, z)| p(class, z)));
        }
        let mut sums = vec![0; classes];
        for target in [Target::Class(&labels), Target::Distribution(&one_hot)] {
            let mut dz = z.clone();
            let found = f64::from(softmax_cross_entropy([samples, 1, classes], target, &mut sums, &mut dz).0);
            prop_assert!((found - loss).abs() < 1e-4 + loss * 1e-4, "{found} {loss}");
            // Probabilities within 2^-14.
            for (found, expected) in values(&dz, classes).iter().zip(&expected) {
                prop_assert!((found - expected).abs() * samples as f64 <= classes as f64 / 8192.0, "{found} {expected}");
            }
        }
        // Small errors keep their size: the wanted class's is that of the others together.
        let mut dz = z.clone();
        softmax_cross_entropy([samples, 1, classes], Target::Class(&labels), &mut sums, &mut dz);
        for (found, expected) in values(&dz, classes).chunks(classes).zip(expected.chunks(classes)) {
            let greatest = expected.iter().fold(0.0, |greatest: f64, value| greatest.max(value.abs()));
            for (found, expected) in found.iter().zip(expected) {
                prop_assert!((found - expected).abs() <= greatest / 2000.0 + 1e-7, "{found} {expected}");
            }
        }
    }

    #[test]
    fn squared_error_is_that_of_reals(len in 1usize..30, samples in 1usize..4, exponent in -18i32..-10, seed: u64) {
        let mut rng = Rng::new(seed);
        let y = blocks(&mut rng, samples, len, 15, exponent);
        let real = values(&y, len);
        let target: Vec<f32> = (0..samples * len).map(|_| rng.uniform_f32(-2.0, 2.0)).collect();
        let count = (samples * len) as f64;
        let difference: Vec<f64> = real.iter().zip(&target).map(|(y, t)| y - f64::from(*t)).collect();
        let mut dy = y.clone();
        let mut sums = vec![0; len];
        let found = f64::from(mean_squared_error([samples, 1, len], &target, &mut sums, &mut dy));
        let loss = difference.iter().map(|d| d * d).sum::<f64>() / count;
        prop_assert!((found / loss - 1.0).abs() < 0.01, "{found} {loss}");
        let expected: Vec<f64> = difference.iter().map(|d| 2.0 * d / count).collect();
        assert_near(&values(&dy, len), &expected, len, 4.0);
    }
}

#[test]
fn logits_that_have_run_away_have_an_infinite_loss() {
    let mut z = block_of(&[1.0, -1.0]);
    let mut sums = [0; 2];
    for (exponent, is_finite) in [(RUNAWAY, true), (RUNAWAY + 1, false)] {
        crate::kernels::fixed::block::set_head(&mut z, exponent, 0);
        let loss = softmax_cross_entropy([1, 1, 2], Target::Class(&[1]), &mut sums, &mut z.clone()).0;
        assert_eq!(loss.is_finite(), is_finite, "{loss}");
    }
}
