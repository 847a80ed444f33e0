//! Loops over elements: bits, lengths, misalignment, memory around them.

use super::{Guarded, Suite, assert_same_bits, awkward, label, multiply_add, on_every_token};
use crate::arch::Isa;
use crate::math;
use crate::optim::{Optimizer, OptimizerRecord};
use crate::rng::Rng;
use std::vec::Vec;

/// One loop under test: `y` and two states change, `x` is read.
#[derive(Clone, Copy, Debug)]
enum Loop {
    Axpy(f32),
    Accumulate,
    Max,
    Clamp(f32, f32),
    Sgd(Optimizer),
    Momentum(Optimizer, bool),
    AdaGrad(Optimizer),
    Adam(Optimizer),
}

impl Loop {
    fn run<I: Isa>(self, isa: I, x: &[f32], y: &mut [f32], s: &mut [f32], t: &mut [f32]) {
        match self {
            Self::Axpy(a) => isa.axpy_f32(a, x, y),
            Self::Accumulate => isa.accumulate_f32(x, y),
            Self::Max => isa.max_f32(x, y),
            Self::Clamp(lo, hi) => isa.clamp_f32(lo, hi, y),
            Self::Sgd(o) => isa.sgd_f32(&o, x, y),
            Self::Momentum(o, nesterov) => isa.momentum_f32(&o, nesterov, x, y, s),
            Self::AdaGrad(o) => isa.adagrad_f32(&o, x, y, s),
            Self::Adam(o) => isa.adam_f32(&o, x, y, s, t),
        }
    }

    /// The definition for one element, in words of its own. `s` and `t` are the optimiser's state.
    fn define(self, exact: bool, x: f32, y: &mut f32, s: &mut f32, t: &mut f32) {
        match self {
            Self::Axpy(a) => *y = multiply_add(exact, a, x, *y),
            Self::Accumulate => *y += x,
            Self::Max => *y = math::max(*y, x),
            Self::Clamp(lo, hi) => *y = math::clamp(*y, lo, hi),
            Self::Sgd(o) => *y -= o.rate * decayed(o, x, *y),
            Self::Momentum(o, nesterov) => {
                let g = decayed(o, x, *y);
                *s = settle(o.settings.momentum * *s - o.rate * g, 110);
                *y += if nesterov { o.settings.momentum * *s - o.rate * g } else { *s };
            }
            Self::AdaGrad(o) => {
                let g = decayed(o, x, *y);
                *s += g * g;
                *y -= o.rate * g / math::sqrt(*s + o.settings.epsilon);
            }
            Self::Adam(o) => {
                let g = settle(decayed(o, x, *y), 55);
                *s = settle(*s + (g - *s) * (1.0 - o.settings.momentum), 55);
                *t = settle(*t + (g * g - *t) * (1.0 - o.settings.beta_2), 110);
                *y -= o.rate * *s / (math::sqrt(*t) + o.settings.epsilon);
            }
        }
    }
}

/// The penalty is no term of the sum where there is none: an infinite weight stays one.
fn decayed(o: Optimizer, g: f32, w: f32) -> f32 {
    match o.settings.weight_decay {
        0.0 => g,
        decay => g + decay * w,
    }
}

/// Zero below `2^-bits`.
fn settle(x: f32, bits: i32) -> f32 {
    if x.abs() < (-f64::from(bits)).exp2() as f32 { 0.0 } else { x }
}

fn loops() -> Vec<Loop> {
    let decaying = |mut record: OptimizerRecord| {
        record.weight_decay = 0.01;
        record
    };
    let at = |record, step| Optimizer::at_step(record, step);
    std::vec![
        Loop::Axpy(0.37),
        Loop::Accumulate,
        Loop::Max,
        Loop::Clamp(-0.5, 0.75),
        Loop::Clamp(0.0, f32::INFINITY),
        Loop::Sgd(at(OptimizerRecord::sgd(0.1), 1)),
        Loop::Sgd(at(decaying(OptimizerRecord::sgd(0.1)), 1)),
        Loop::Momentum(at(OptimizerRecord::momentum(0.1, 0.9, false), 1), false),
        Loop::Momentum(at(decaying(OptimizerRecord::momentum(0.1, 0.9, true)), 1), true),
        Loop::AdaGrad(at(OptimizerRecord::adagrad(0.1), 1)),
        Loop::Adam(at(OptimizerRecord::adam(0.01), 7)),
        Loop::Adam(at(decaying(OptimizerRecord::adam(0.01)), 1)),
    ]
}

/// Every token, loop, length and start; `value` makes the numbers.
#[derive(Clone, Copy)]
struct Elementwise {
    value: fn(usize, &mut Rng) -> f32,
}

impl Suite for Elementwise {
    fn check<I: Isa>(self, isa: I) {
        let mut rng = Rng::new(11);
        for each in loops() {
            for len in 0..=130 {
                let offset = len % 16;
                let mut make = |offset| Guarded::new(len, offset, |i| (self.value)(i, &mut rng));
                let (x, mut y, mut s, mut t) = (make(offset), make((offset + 5) % 16), make(3), make(0));
                // Squares are what these states hold.
                if matches!(each, Loop::AdaGrad(_)) {
                    s.get_mut().iter_mut().for_each(|s| *s = s.abs());
                }
                t.get_mut().iter_mut().for_each(|t| *t = t.abs());
                let mut expected = [y.get().to_vec(), s.get().to_vec(), t.get().to_vec()];
                let [ey, es, et] = &mut expected;
                for (i, x) in x.get().iter().enumerate() {
                    each.define(I::ID.is_exact(), *x, &mut ey[i], &mut es[i], &mut et[i]);
                }
                each.run(isa, x.get(), y.get_mut(), s.get_mut(), t.get_mut());
                let what = label::<I>(&std::format!("{each:?}"), len, offset);
                for (found, expected) in [&y, &s, &t].into_iter().zip(&expected) {
                    assert_same_bits(found.get(), expected, &what);
                    found.assert_guards(&what);
                }
            }
        }
    }
}

#[test]
fn every_length_and_start_gives_the_defined_bits() {
    on_every_token(Elementwise { value: |_, rng| rng.uniform_f32(-1.0, 1.0) });
}

#[test]
fn awkward_numbers_give_the_defined_bits() {
    on_every_token(Elementwise { value: awkward });
}

/// Slices of unequal length: the shortest counts.
#[derive(Clone, Copy)]
struct Unequal;

impl Suite for Unequal {
    fn check<I: Isa>(self, isa: I) {
        let o = Optimizer::at_step(OptimizerRecord::adam(0.1), 1);
        let (long, short) = (std::vec![1.0f32; 40], std::vec![1.0f32; 21]);
        let (mut y, mut m, mut v) = (long.clone(), long.clone(), long.clone());
        isa.axpy_f32(1.0, &short, &mut y);
        isa.accumulate_f32(&short, &mut y);
        assert!(y.iter().enumerate().all(|(i, y)| *y == if i < 21 { 3.0 } else { 1.0 }), "{}", I::ID.name());
        isa.adam_f32(&o, &short, &mut y, &mut m, &mut v[..30]);
        assert!(y[21..].iter().all(|y| *y == 1.0) && y[20] < 3.0, "{}", I::ID.name());
        assert_eq!(isa.dot_f32(0.0, &short, &long), 21.0);
        assert_eq!(isa.dot_i8(5, &[2; 70], &[3; 67]), 5 + 67 * 6);
        assert_eq!(isa.dot_i8(5, &[2; 15], &[3; 33]), 5 + 15 * 6);
    }
}

#[test]
fn the_shortest_slice_counts() {
    on_every_token(Unequal);
}
