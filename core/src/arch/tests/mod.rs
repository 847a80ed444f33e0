//! One suite for every token: what [`super::Isa`] promises, checked on all that this processor has.

use super::{Isa, IsaId, Processor, Task, Threads, run_on};
use crate::rng::Rng;
use std::string::String;
use std::vec::Vec;
use std::{eprintln, format};

mod bound;
mod dispatch;
mod elementwise;
mod gemm;
mod plain;
mod pool;
mod run;
mod sums;
mod window;

/// A test that is generic over the token.
trait Suite: Copy {
    fn check<I: Isa>(self, isa: I);
}

/// Runs a suite on every token, with one thread and with three; says which ones this processor lacks.
fn on_every_token(suite: impl Suite) {
    struct Run<S>(S);
    impl<S: Suite> Task for Run<S> {
        type Output = ();
        fn run<I: Isa>(self, isa: I) {
            self.0.check(isa);
        }
    }
    for id in IsaId::ALL {
        for threads in [Threads::ONE, Threads::new(3)] {
            if run_on(Processor { isa: id, threads }, Run(suite)).is_none() {
                eprintln!("skipped: this processor has no {}", id.name());
            }
        }
    }
}

/// `a * b + c` as a token of this kind rounds it.
fn multiply_add(exact: bool, a: f32, b: f32, c: f32) -> f32 {
    if exact { a * b + c } else { a.mul_add(b, c) }
}

/// Guards on both sides, so many floats.
const GUARD: usize = 24;
/// What guards hold: a NaN whose bits give it away where it does not belong.
const GUARD_BITS: u32 = 0x7fc0_dead;

/// Numbers at a chosen offset from a 64-byte boundary, with guards around them.
struct Guarded {
    memory: Vec<f32>,
    start: usize,
    len: usize,
}

impl Guarded {
    fn new(len: usize, offset: usize, mut value: impl FnMut(usize) -> f32) -> Self {
        let mut memory = std::vec![f32::from_bits(GUARD_BITS); len + 2 * GUARD + 32];
        let aligned = memory[GUARD..].as_ptr().align_offset(64);
        let start = GUARD + aligned + offset;
        for (i, to) in memory[start..start + len].iter_mut().enumerate() {
            *to = value(i);
        }
        Self { memory, start, len }
    }

    fn get(&self) -> &[f32] {
        &self.memory[self.start..self.start + self.len]
    }

    fn get_mut(&mut self) -> &mut [f32] {
        &mut self.memory[self.start..self.start + self.len]
    }

    fn assert_guards(&self, what: &str) {
        let inside = self.start..self.start + self.len;
        for (i, value) in self.memory.iter().enumerate() {
            assert!(
                inside.contains(&i) || value.to_bits() == GUARD_BITS,
                "{what}: wrote outside, at {i} of {inside:?}"
            );
        }
    }
}

/// Bit for bit, except that any NaN equals any other (Rust leaves their bits open).
fn assert_same_bits(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        let same = f.to_bits() == e.to_bits() || (f.is_nan() && e.is_nan());
        assert!(same, "{what}: element {i} is {f:e} ({:#x}), expected {e:e} ({:#x})", f.to_bits(), e.to_bits());
    }
}

/// Numbers that break loops: zeros of both signs, subnormals, extremes, infinities and NaN among ordinary ones.
fn awkward(i: usize, rng: &mut Rng) -> f32 {
    const SPECIAL: [f32; 10] =
        [0.0, -0.0, 1e-45, -1e-40, f32::MIN_POSITIVE, f32::MAX, f32::MIN, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
    if rng.below(4) == 0 { SPECIAL[(i + rng.below(10) as usize) % SPECIAL.len()] } else { rng.uniform_f32(-3.0, 3.0) }
}

fn label<I: Isa>(what: &str, len: usize, offset: usize) -> String {
    format!("{} {what}, length {len}, offset {offset}", I::ID.name())
}
