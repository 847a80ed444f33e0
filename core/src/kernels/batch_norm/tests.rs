//! Batch normalisation against its definition in f64, and every token against the scalar one.

use super::*;
use crate::arch::{IsaId, Normalised, Processor, Scalar, Task, Threads, run_on};
use crate::kernels::activation;
use crate::kernels::testing::*;
use crate::optim::OptimizerRecord;
use crate::plan::{Ref, StepRecord};
use crate::rng::Rng;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

/// A batch with its parameters.
#[derive(Clone, Debug)]
struct Batch {
    channels: usize,
    epsilon: f32,
    x: Vec<f32>,
    gamma: Vec<f32>,
    beta: Vec<f32>,
    limits: (f32, f32),
}

const UNLIMITED: (f32, f32) = (f32::NEG_INFINITY, f32::INFINITY);

impl Batch {
    fn new(rng: &mut Rng, rows: usize, channels: usize, epsilon: f32) -> Self {
        let [gamma, beta] = [(); 2].map(|()| noise(rng, channels));
        Self { channels, epsilon, x: noise(rng, rows * channels), gamma, beta, limits: UNLIMITED }
    }

    fn rows(&self) -> usize {
        self.x.len() / self.channels
    }

    /// Mean and inverse deviation of each channel of `x`.
    fn moments(&self, x: &[f64]) -> Vec<(f64, f64)> {
        let rows = self.rows() as f64;
        let moments = |channel: usize| {
            let column = || x.iter().skip(channel).step_by(self.channels);
            let mean = column().sum::<f64>() / rows;
            let variance = column().map(|x| (x - mean).powi(2)).sum::<f64>() / rows;
            (mean, 1.0 / (variance + f64::from(self.epsilon)).sqrt())
        };
        (0..self.channels).map(moments).collect()
    }

    /// The layer in f64.
    fn output(&self, x: &[f64], gamma: &[f64], beta: &[f64]) -> Vec<f64> {
        let moments = self.moments(x);
        let one = |(i, x): (usize, &f64)| {
            let channel = i % self.channels;
            let (mean, inverse) = moments[channel];
            gamma[channel] * (x - mean) * inverse + beta[channel]
        };
        x.iter().enumerate().map(one).collect()
    }
}

/// What training computes, with a token's kernels.
#[derive(Debug, PartialEq)]
struct Trained {
    moments: Vec<f32>,
    kept: Vec<f32>,
    y: Vec<f32>,
    dgamma: Vec<f32>,
    dbeta: Vec<f32>,
    dx: Vec<f32>,
}

impl Batch {
    fn train<I: Isa>(&self, isa: I, dy: &[f32]) -> Trained {
        let channels = self.channels;
        let mut moments = vec![0.0; 2 * channels];
        let (mean, variance) = moments.split_at_mut(channels);
        moments_f32(isa, channels, &self.x, mean, variance);
        let mut kept = vec![0.5; channels];
        move_towards(0.75, variance, &mut kept);
        inverse_deviation(self.epsilon, variance);
        let mut pairs = vec![0.0; 2 * channels];
        factors(&self.gamma, &self.beta, mean, variance.iter().copied(), &mut pairs);
        let mut y = vec![0.0; self.x.len()];
        let (lo, hi) = self.limits;
        scale_shift_f32(isa, Some(&self.x), &pairs, lo, hi, &mut y);
        let mut again = self.x.clone();
        scale_shift_f32(isa, None, &pairs, lo, hi, &mut again);
        assert_eq!(bits(&again), bits(&y));
        let (mut dgamma, mut dbeta, mut dx) = (vec![0.0; channels], vec![0.0; channels], dy.to_vec());
        let (mean, inverse) = moments.split_at(channels);
        let seen = Normalised { x: &self.x, mean, inverse, gamma: &self.gamma, beta: &self.beta, lo, hi };
        gradients_f32(isa, &seen, dy, &mut dgamma, &mut dbeta);
        backward_input_f32(isa, &seen, &dgamma, &dbeta, &mut dx);
        Trained { moments, kept, y, dgamma, dbeta, dx }
    }
}

proptest! {
    /// Values and parameters are at most 1 and the deviation is at least `sqrt(epsilon)`, so that a normalised value
    /// is at most `h = 2 / sqrt(epsilon)`, and no intermediate result is larger than the magnitudes below. A chain
    /// over n rows rounds n times; mean, variance, root and quotient are a handful of roundings more, and the
    /// variance's own error enters multiplied by `h^2`.
    #[test]
    fn it_matches_its_definition_and_finite_differences(
        rows in 1usize..12, channels in 1usize..7, epsilon in 0.25f32..1.0, seed: u64,
    ) {
        let mut rng = Rng::new(seed);
        let batch = Batch::new(&mut rng, rows, channels, epsilon);
        let dy = noise(&mut rng, batch.x.len());
        let trained = batch.train(Scalar, &dy);
        let (x, gamma, beta) = (wide(&batch.x), wide(&batch.gamma), wide(&batch.beta));
        let h = 2.0 / epsilon.sqrt();
        let (roundings, size) = (4 * (rows + 8), 1.0 + h * h * h);
        let all = |len: usize, size: f32| vec![size; len];

        assert_close(&trained.y, &batch.output(&x, &gamma, &beta), roundings, &all(x.len(), size));
        let moments = batch.moments(&x);
        let mean: Vec<f64> = moments.iter().map(|m| m.0).collect();
        assert_close(&trained.moments[..channels], &mean, rows + 1, &all(channels, 1.0));
        let kept: Vec<f64> = moments.iter().map(|m| 0.375 + 0.25 * (m.1.powi(-2) - f64::from(epsilon))).collect();
        assert_close(&trained.kept, &kept, roundings, &all(channels, 4.0));

        let of_beta = numeric_gradient(&batch.beta, |beta| weighted(&batch.output(&x, &gamma, beta), &dy));
        assert_close(&trained.dbeta, &of_beta, rows, &all(channels, rows as f32));
        let of_gamma = numeric_gradient(&batch.gamma, |gamma| weighted(&batch.output(&x, gamma, &beta), &dy));
        assert_close(&trained.dgamma, &of_gamma, roundings, &all(channels, rows as f32 * size));
        let of_x = numeric_gradient(&batch.x, |x| weighted(&batch.output(x, &gamma, &beta), &dy));
        assert_close(&trained.dx, &of_x, roundings, &all(x.len(), h * size * (1.0 + h)));
    }

    /// As a step of its own, in front of a layer without limits.
    #[test]
    fn limits_are_the_activation(rows in 1usize..12, channels in 1usize..7, lo in -1.0f32..0.0, hi in 0.0f32..1.0, seed: u64) {
        let mut rng = Rng::new(seed);
        let batch = Batch::new(&mut rng, rows, channels, 1e-3);
        let mut dy = noise(&mut rng, batch.x.len());
        let limited = Batch { limits: (lo, hi), ..batch.clone() }.train(Scalar, &dy);
        let mut y = batch.train(Scalar, &dy).y;
        y.iter_mut().for_each(|y| *y = math::clamp(*y, lo, hi));
        activation::backward_f32(activation::Kind::Clamp, lo, hi, &y, &mut dy);
        prop_assert_eq!(limited, Trained { y, ..batch.train(Scalar, &dy) });
    }

    #[test]
    fn every_token_gives_the_scalar_bits_on_few_rows(rows in 1usize..9, channels in 1usize..150, seed: u64) {
        let mut rng = Rng::new(seed);
        let batch = Batch { limits: (0.0, 6.0), ..Batch::new(&mut rng, rows, channels, 1e-3) };
        let dy = noise(&mut rng, batch.x.len());
        let scalar = batch.train(Scalar, &dy);
        for id in IsaId::ALL {
            if let Some(found) = run_on(id, Train(&batch, &dy)) {
                prop_assert_eq!(&found, &scalar, "{}", id.name());
            }
        }
    }
}

struct Train<'a>(&'a Batch, &'a [f32]);

impl Task for Train<'_> {
    type Output = Trained;
    fn run<I: Isa>(self, isa: I) -> Trained {
        self.0.train(isa, self.1)
    }
}

#[test]
fn threads_change_no_bit_and_parts_little() {
    let mut rng = Rng::new(5);
    // Enough rows for several parts and threads, and a last block of channels that is not whole.
    for (rows, channels) in [(700, 70), (3000, 16), (129, 3)] {
        let batch = Batch { limits: (0.0, f32::INFINITY), ..Batch::new(&mut rng, rows, channels, 1e-3) };
        let dy = noise(&mut rng, batch.x.len());
        let scalar = batch.train(Scalar, &dy);
        for isa in IsaId::ALL {
            let on = |threads| run_on(Processor { isa, threads: Threads::new(threads) }, Train(&batch, &dy));
            let Some(one) = on(1) else { continue };
            for threads in 2..=4 {
                assert!(on(threads).as_ref() == Some(&one), "{} on {threads} threads", isa.name());
            }
            if isa.is_exact() {
                assert!(one == scalar, "{}", isa.name());
                continue;
            }
            // Sums of n numbers of size 1 in another order: n roundings of at most n / 2^24 each, and far fewer as a rule.
            let near = |found: &[f32], expected: &[f32], size: f32| {
                found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() <= size)
            };
            let roundings = rows as f32 * f32::EPSILON;
            assert!(near(&one.moments, &scalar.moments, 4.0 * roundings), "{}", isa.name());
            assert!(near(&one.dgamma, &scalar.dgamma, 4.0 * rows as f32 * roundings), "{}", isa.name());
            assert!(near(&one.dbeta, &scalar.dbeta, rows as f32 * roundings), "{}", isa.name());
        }
    }
}

#[test]
fn a_channel_that_never_changes_becomes_beta() {
    let batch =
        Batch { channels: 1, epsilon: 1e-3, x: vec![3.5; 4], gamma: vec![2.0], beta: vec![-0.25], limits: UNLIMITED };
    let trained = batch.train(Scalar, &[1.0, 2.0, 3.0, 4.0]);
    assert_eq!((trained.y, trained.dgamma), (vec![-0.25; 4], vec![0.0]));
}

#[test]
fn the_steps_are_the_kernels() {
    let mut rng = Rng::new(3);
    let batch = Batch::new(&mut rng, 6, 5, 1e-3);
    let dy = noise(&mut rng, 30);
    let trained = batch.train(Scalar, &dy);
    let at = |element: u32| Ref::arena(4 * element);
    // x, dy, y, gamma, beta, kept mean, kept variance, moments, factors, dgamma, dbeta
    let mut arena =
        [&batch.x[..], &dy, &[0.0; 30], &batch.gamma, &batch.beta, &[0.5; 5], &[0.5; 5], &[0.0; 30]].concat();
    let shape = Channels { positions: 3, channels: 5 };
    let (x, gamma, beta, moments, factors) = (at(0), at(90), at(95), at(110), at(120));
    let (dgamma, dbeta) = (at(130), at(135));
    let sgd = OptimizerRecord::sgd(0.0);
    let statistics = MomentsF32 {
        shape,
        epsilon: 1e-3,
        momentum: 0.75,
        x,
        gamma,
        beta,
        mean: at(100),
        variance: at(105),
        moments,
        factors,
    };
    run(&statistics, &mut arena, 2, sgd);
    let (lo, hi) = UNLIMITED;
    run(&ScaleShiftF32 { shape, x, factors, y: at(60), lo, hi }, &mut arena, 2, sgd);
    let dy = at(30);
    run(&GradientsF32 { shape, x, moments, gamma, beta, lo, hi, dy, dgamma, dbeta }, &mut arena, 2, sgd);
    let input = BackwardInputF32 { shape, x, moments, gamma, beta, lo, hi, dgamma, dbeta, dy, dx: dy };
    run(&input, &mut arena, 2, sgd);
    assert_eq!(arena[60..90], trained.y);
    assert_eq!(arena[105..110], trained.kept);
    assert_eq!(arena[110..120], trained.moments);
    assert_eq!((&arena[130..135], &arena[135..140]), (&trained.dgamma[..], &trained.dbeta[..]));
    assert_eq!(arena[30..60], trained.dx);

    // With the batch's own statistics kept, inference is what training computed.
    let inverse: Vec<f32> = arena[115..120].to_vec();
    arena[100..105].copy_from_slice(&trained.moments[..5]);
    let variance: Vec<f32> = inverse.iter().map(|inverse| 1.0 / (inverse * inverse) - 1e-3).collect();
    arena[105..110].copy_from_slice(&variance);
    let before = arena[120..130].to_vec();
    let fold = FactorsF32 { channels: 5, epsilon: 1e-3, gamma, beta, mean: at(100), variance: at(105), factors };
    run(&fold, &mut arena, 2, sgd);
    for (found, expected) in arena[120..130].iter().zip(before) {
        // The detour through the variance costs a few roundings.
        assert!((found - expected).abs() <= 1e-5 * (1.0 + expected.abs()), "{found} {expected}");
    }
    assert!(!FactorsF32 { epsilon: 0.0, ..fold }.shape_is_valid());
    assert!(!FactorsF32 { channels: 0, ..fold }.shape_is_valid());
    assert!(!MomentsF32 { momentum: f32::NAN, ..statistics }.shape_is_valid());
}
