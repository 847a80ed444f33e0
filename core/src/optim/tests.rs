//! Every optimiser against its textbook update in f64, step for step.

use super::*;
use crate::arch::Scalar;
use crate::kernels::testing::{ROUNDING, bits, noise};
use crate::rng::Rng;
use std::vec;
use std::vec::Vec;

const STEPS: u32 = 50;
const PARAMS: usize = 23;

/// The update in f64, written from the papers' formulas (with Keras's choice of where epsilon stands).
#[derive(Clone)]
struct Textbook {
    settings: OptimizerRecord,
    w: Vec<f64>,
    m: Vec<f64>,
    v: Vec<f64>,
}

impl Textbook {
    fn new(settings: OptimizerRecord, w: &[f32]) -> Self {
        let start = vec![f64::from(settings.state_init); w.len()];
        Self { settings, w: w.iter().map(|&w| f64::from(w)).collect(), m: start.clone(), v: start }
    }

    fn update(&mut self, step: u32, gradient: &[f64]) {
        let s = &self.settings;
        let [lr, momentum, beta_2, epsilon, decay] =
            [s.lr, s.momentum, s.beta_2, s.epsilon, s.weight_decay].map(f64::from);
        for (i, g) in gradient.iter().enumerate() {
            let g = g + decay * self.w[i];
            let (w, m, v) = (&mut self.w[i], &mut self.m[i], &mut self.v[i]);
            match s.rule().unwrap() {
                Rule::Sgd => *w -= lr * g,
                Rule::Momentum { nesterov } => {
                    *m = momentum * *m - lr * g;
                    *w += if nesterov { momentum * *m - lr * g } else { *m };
                }
                Rule::AdaGrad => {
                    *v += g * g;
                    *w -= lr * g / (*v + epsilon).sqrt();
                }
                Rule::Adam => {
                    *m = momentum * *m + (1.0 - momentum) * g;
                    *v = beta_2 * *v + (1.0 - beta_2) * g * g;
                    // Kingma and Ba, end of section 2: both corrections folded into the rate.
                    let rate = lr * (1.0 - beta_2.powi(step as i32)).sqrt() / (1.0 - momentum.powi(step as i32));
                    *w -= rate * *m / (v.sqrt() + epsilon);
                }
            }
        }
    }
}

fn all() -> Vec<OptimizerRecord> {
    let plain = [
        OptimizerRecord::sgd(0.1),
        OptimizerRecord::momentum(0.05, 0.9, false),
        OptimizerRecord::momentum(0.05, 0.9, true),
        OptimizerRecord::adam(0.01),
        OptimizerRecord::adagrad(0.1),
    ];
    let decayed = plain.map(|settings| OptimizerRecord { weight_decay: 0.01, ..settings });
    plain.into_iter().chain(decayed).collect()
}

fn apply(settings: OptimizerRecord, step: u32, gradient: &[f32], tile: usize, w: &mut [f32], state: &mut [f32]) {
    let optimizer = &Optimizer::at_step(settings, step);
    let mut sink = Update { isa: Scalar, optimizer, w, state };
    for (index, piece) in gradient.chunks(tile).enumerate() {
        sink.tile(index * tile, piece);
    }
}

fn start(settings: OptimizerRecord, rng: &mut Rng) -> (Vec<f32>, Vec<f32>) {
    let slots = settings.rule().unwrap().slots();
    (noise(rng, PARAMS), vec![settings.state_init; PARAMS * slots])
}

/// Gradients do not depend on the weights here, so that errors of one step do not feed on themselves: after t steps
/// weights of size at most W err by no more than t times what one step's roundings can do.
#[test]
fn every_rule_follows_its_textbook() {
    for settings in all() {
        let mut rng = Rng::new(1);
        let (mut w, mut state) = start(settings, &mut rng);
        let mut textbook = Textbook::new(settings, &w);
        let mut greatest = 1.0f64;
        for step in 1..=STEPS {
            let gradient = noise(&mut rng, PARAMS);
            apply(settings, step, &gradient, PARAMS, &mut w, &mut state);
            textbook.update(step, &gradient.iter().map(|&g| f64::from(g)).collect::<Vec<_>>());
            greatest = textbook.w.iter().fold(greatest, |greatest, w| greatest.max(w.abs()));
            // One rounding of w a step, and eight of an update that is smaller than w. Adam's bias correction
            // subtracts beta_2^t, which repeated squaring gives to within ten roundings, from 1: what is left is
            // 0.002 or more from step 2 on, so these count for up to 10 / 0.002, halved by the root, in an update
            // of about lr.
            let correction = if settings.rule() == Some(Rule::Adam) { 2500.0 * f64::from(settings.lr) } else { 0.0 };
            let roundings = f64::from(step) * (9.0 + correction);
            for (i, (&w, expected)) in w.iter().zip(&textbook.w).enumerate() {
                let (error, bound) = ((f64::from(w) - expected).abs(), roundings * ROUNDING * greatest);
                assert!(error <= bound, "{settings:?}, step {step}, weight {i}: {error:e} > {bound:e}");
            }
        }
    }
}

#[test]
fn tiles_do_not_change_bits() {
    for settings in all() {
        let run = |tile: usize| {
            let mut rng = Rng::new(2);
            let (mut w, mut state) = start(settings, &mut rng);
            for step in 1..=3 {
                apply(settings, step, &noise(&mut rng, PARAMS), tile, &mut w, &mut state);
            }
            (bits(&w), bits(&state))
        };
        let whole = run(PARAMS);
        for tile in 1..PARAMS {
            assert_eq!(run(tile), whole, "{settings:?}, tile {tile}");
        }
    }
}

/// A bowl: every rule must find its bottom.
#[test]
fn every_rule_goes_downhill() {
    for settings in all() {
        let mut rng = Rng::new(3);
        let (mut w, mut state) = start(settings, &mut rng);
        let before: f32 = w.iter().map(|w| w * w).sum();
        for step in 1..=200 {
            let gradient: Vec<f32> = w.iter().map(|w| 2.0 * w).collect();
            apply(settings, step, &gradient, 7, &mut w, &mut state);
        }
        let after: f32 = w.iter().map(|w| w * w).sum();
        assert!(after < before / 100.0, "{settings:?}: {before} to {after}");
    }
}

#[test]
fn tiles_beyond_the_parameters_are_ignored() {
    let mut w = [1.0, 2.0];
    for settings in all() {
        let mut state = vec![0.0; 2 * settings.rule().unwrap().slots()];
        let optimizer = &Optimizer::at_step(settings, 1);
        let mut sink = Update { isa: Scalar, optimizer, w: &mut w[..], state: &mut state };
        sink.tile(1, &[1.0, 1.0]);
        sink.tile(usize::MAX, &[1.0]);
    }
    assert_eq!(w, [1.0, 2.0]);
}

#[test]
fn records_keep_their_rule() {
    let rules = [
        (OptimizerRecord::sgd(0.1), Rule::Sgd, 0),
        (OptimizerRecord::momentum(0.1, 0.9, false), Rule::Momentum { nesterov: false }, 1),
        (OptimizerRecord::momentum(0.1, 0.9, true), Rule::Momentum { nesterov: true }, 1),
        (OptimizerRecord::adam(0.1), Rule::Adam, 2),
        (OptimizerRecord::adagrad(0.1), Rule::AdaGrad, 1),
    ];
    for (record, rule, slots) in rules {
        assert_eq!((record.rule(), rule.slots()), (Some(rule), slots));
    }
}
