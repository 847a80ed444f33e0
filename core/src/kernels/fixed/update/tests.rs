//! Tests of optimisers: against f64 over many updates, and that rounding has no bias.

use super::*;
use crate::kernels::fixed::block::stride;
use crate::kernels::fixed::testing::values;
use crate::optim::OptimizerRecord;
use crate::rng::Rng;
use std::vec;
use std::vec::Vec;

const LEN: usize = 300;

/// A parameter with its state, and the same in f64.
struct Both {
    block: Vec<i16>,
    first: Vec<i16>,
    second: Vec<i16>,
    w: Vec<f64>,
    m: Vec<f64>,
    v: Vec<f64>,
}

impl Both {
    fn new(rule: Rule) -> Self {
        let mut block = vec![0; stride(LEN)];
        set_head(&mut block, -14, 0);
        for (i, w) in mantissas_mut(&mut block, LEN).iter_mut().enumerate() {
            *w = (i as i32 * 97 % 16000 - 8000) as i16;
        }
        let state = |slot: usize| if slot < rule.slots() { vec![0; stride(LEN)] } else { Vec::new() };
        let w = values(&block, LEN);
        let v = if rule == Rule::AdaGrad { 0.1 } else { 0.0 };
        Self { block, first: state(0), second: state(1), w, m: vec![0.0; LEN], v: vec![v; LEN] }
    }

    /// One update on both sides; gradients are sums in units of `2^unit`.
    fn step(&mut self, settings: OptimizerRecord, step: u32, gradient: &[i32], unit: i32) {
        let o = Optimizer::at_step(settings, step);
        let (block, first, second) = (&mut self.block[..], &mut self.first[..], &mut self.second[..]);
        let mut update = Update::new(&o, Parameter { len: LEN, block, first, second, ..Parameter::default() }, unit);
        for (tile, sums) in gradient.chunks(TILE).enumerate() {
            update.tile(crate::arch::Scalar, tile * TILE, &mut sums.to_vec());
        }
        update.finish();
        let (rate, keep) = (f64::from(o.rate), f64::from(settings.momentum));
        for (i, g) in gradient.iter().enumerate() {
            let g = f64::from(*g) * f64::from(unit).exp2() + f64::from(settings.weight_decay) * self.w[i];
            match o.rule {
                Rule::Sgd => self.w[i] -= rate * g,
                Rule::Momentum { nesterov } => {
                    self.m[i] = keep * self.m[i] - rate * g;
                    self.w[i] += if nesterov { keep * self.m[i] - rate * g } else { self.m[i] };
                }
                Rule::AdaGrad => {
                    self.v[i] += g * g;
                    self.w[i] -= rate * g / self.v[i].sqrt().max(f64::from(settings.epsilon));
                }
                Rule::Adam => {
                    self.m[i] += (g - self.m[i]) * (1.0 - keep);
                    self.v[i] += (g * g - self.v[i]) * (1.0 - f64::from(settings.beta_2));
                    self.w[i] -= rate * self.m[i] / self.v[i].sqrt().max(f64::from(settings.epsilon));
                }
            }
        }
    }

    /// The greatest and the mean difference of the weights.
    fn difference(&self) -> (f64, f64) {
        let all: Vec<f64> = values(&self.block, LEN).iter().zip(&self.w).map(|(a, b)| a - b).collect();
        (all.iter().fold(0.0, |most: f64, d| most.max(d.abs())), all.iter().sum::<f64>() / LEN as f64)
    }
}

/// 400 updates with gradients of this size that shrink by one half in every 100, and differ by as much as 2^8.
fn follow(settings: OptimizerRecord, size: f64) -> (f64, f64) {
    let rule = settings.rule().unwrap();
    let (mut both, mut rng) = (Both::new(rule), Rng::new(5));
    for step in 1..=400 {
        let scale = size * 0.5f64.powf(f64::from(step) / 100.0);
        let real = |i: usize, rng: &mut Rng| {
            let own = 0.5f64.powi((i % 9) as i32);
            scale * own * (0.5 + f64::from(rng.uniform_f32(-1.0, 1.0)))
        };
        let gradient: Vec<f64> = (0..LEN).map(|i| real(i, &mut rng)).collect();
        let unit = (2.0 * scale).log2().ceil() as i32 - 30;
        let sums: Vec<i32> = gradient.iter().map(|g| (g / f64::from(unit).exp2()) as i32).collect();
        both.step(settings, step, &sums, unit);
    }
    both.difference()
}

#[test]
fn weights_follow_those_of_reals() {
    let mut decaying = OptimizerRecord::sgd(0.01);
    decaying.weight_decay = 0.05;
    let unit = 1.0 / 16384.0;
    for (name, settings, size, most, mean) in [
        // A random walk of 400 roundings, each below a unit: 20 units and more are far out.
        ("sgd", OptimizerRecord::sgd(0.01), 0.05, 80.0 * unit, 6.0 * unit),
        ("sgd with decay", decaying, 0.05, 80.0 * unit, 6.0 * unit),
        ("large steps", OptimizerRecord::sgd(0.3), 0.05, 400.0 * unit, 30.0 * unit),
        ("momentum", OptimizerRecord::momentum(0.001, 0.9, false), 0.05, 80.0 * unit, 6.0 * unit),
        ("nesterov", OptimizerRecord::momentum(0.001, 0.9, true), 0.05, 80.0 * unit, 6.0 * unit),
        // Second moments have 8 bits: a part of the way of each weight, which is up to 0.4.
        ("adam", OptimizerRecord::adam(0.001), 0.05, 0.02, 0.004),
        ("adam, small gradients", OptimizerRecord::adam(0.001), 1e-6, 0.02, 0.004),
        ("adagrad", OptimizerRecord::adagrad(0.005), 0.05, 80.0 * unit, 6.0 * unit),
        ("adagrad, large gradients", OptimizerRecord::adagrad(0.002), 20.0, 80.0 * unit, 6.0 * unit),
    ] {
        let (found_most, found_mean) = follow(settings, size);
        std::println!("{name}: at most {found_most:e}, mean {found_mean:e}, unit {unit:e}");
        assert!(found_most < most && found_mean.abs() < mean, "{name}: {found_most} {found_mean}");
    }
}

#[test]
fn updates_far_below_a_unit_are_not_lost() {
    // Each is a 2^-8 of a unit.
    let mut both = Both::new(Rule::Sgd);
    let before = values(&both.block, LEN).iter().sum::<f64>();
    for step in 1..=256 {
        both.step(OptimizerRecord::sgd(1.0), step, &[1 << 20; LEN], -14 - 8 - 20);
    }
    let moved = (before - values(&both.block, LEN).iter().sum::<f64>()) / LEN as f64 * 16384.0;
    assert!((moved - 1.0).abs() < 0.2, "{moved} units where 1 is right");
}

#[test]
fn weights_outgrow_their_exponent() {
    let mut both = Both::new(Rule::Sgd);
    for step in 1..=60 {
        both.step(OptimizerRecord::sgd(1.0), step, &[-(1 << 28); LEN], -30);
    }
    // They come to 15.5.
    assert_eq!(exponent(&both.block), -14 + 4);
    assert!(both.difference().0 < 0.05, "{:?}", both.difference());
}

/// Passes add up, whichever of them has the greatest unit; nothing changes before the last one.
#[test]
fn passes_make_one_update() {
    let mut rng = Rng::new(9);
    for units in [[-30, -30, -30], [-33, -29, -31], [-28, -31, -34]] {
        let settings = OptimizerRecord::momentum(0.5, 0.9, false).with_passes(3);
        let (mut block, mut first, mut sum) = (vec![0; stride(LEN)], vec![0; stride(LEN)], vec![7; LEN]);
        set_head(&mut block, -12, 0);
        let mut expected = vec![0.0; LEN];
        for (pass, unit) in units.into_iter().enumerate() {
            let mut o = Optimizer::at_step(settings, 1);
            (o.first, o.last) = (pass == 0, pass == 2);
            let gradient: Vec<i32> = (0..LEN).map(|_| (rng.uniform_f32(-1.0, 1.0) * 1e9) as i32).collect();
            let before = values(&block, LEN);
            let parameter =
                Parameter { len: LEN, block: &mut block, first: &mut first, second: &mut [], sum: &mut sum };
            let mut sink = Sink::new(&o, parameter, unit);
            for (tile, sums) in gradient.chunks(TILE).enumerate() {
                sink.tile(crate::arch::Scalar, tile * TILE, &mut sums.to_vec());
            }
            sink.finish();
            for (expected, g) in expected.iter_mut().zip(&gradient) {
                *expected -= 0.5 * f64::from(*g) * f64::from(unit).exp2();
            }
            if pass < 2 {
                assert_eq!((values(&block, LEN), first.iter().all(|m| *m == 0)), (before, true), "pass {pass}");
            }
        }
        assert_eq!(crate::kernels::fixed::block::mark(&block), 0);
        for (found, expected) in values(&block, LEN).iter().zip(&expected) {
            // Momentum's fine units, weights of up to 16 bits.
            assert!((found - expected).abs() < 1e-3, "{found} {expected}");
        }
    }
}
