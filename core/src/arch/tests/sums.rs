//! Dot products.

use super::{Guarded, Suite, assert_same_bits, awkward, label, on_every_token};
use crate::arch::Isa;
use crate::rng::Rng;
use std::vec::Vec;

/// Fused tokens split the sum over 32 partial ones, whatever the width of their registers.
fn defined_dot(exact: bool, init: f32, a: &[f32], b: &[f32]) -> f32 {
    if exact {
        return a.iter().zip(b).fold(init, |sum, (a, b)| sum + a * b);
    }
    let mut sums = [0.0f32; 32];
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        sums[i % 32] = a.mul_add(*b, sums[i % 32]);
    }
    for half in [16, 8, 4, 2, 1] {
        for i in 0..half {
            sums[i] += sums[i + half];
        }
    }
    init + sums[0]
}

#[derive(Clone, Copy)]
struct Dot {
    value: fn(usize, &mut Rng) -> f32,
}

impl Suite for Dot {
    fn check<I: Isa>(self, isa: I) {
        let mut rng = Rng::new(5);
        for len in (0..=130).chain([255, 256, 784, 1000]) {
            for offset in [0, 1, 7, len % 16] {
                let mut make = |offset| Guarded::new(len, offset, |i| (self.value)(i, &mut rng));
                let (a, b) = (make(offset), make(15 - offset));
                let found = isa.dot_f32(0.25, a.get(), b.get());
                let expected = defined_dot(I::ID.is_exact(), 0.25, a.get(), b.get());
                assert_same_bits(&[found], &[expected], &label::<I>("dot_f32", len, offset));
            }
        }
    }
}

#[test]
fn dot_gives_the_defined_bits() {
    on_every_token(Dot { value: |_, rng| rng.uniform_f32(-1.0, 1.0) });
    on_every_token(Dot { value: awkward });
}

/// Random bytes, with many of the extreme that overflows first.
fn bytes(len: usize, rng: &mut Rng) -> Vec<i8> {
    (0..len).map(|_| if rng.below(3) == 0 { -128 } else { rng.next_u32() as i8 }).collect()
}

#[derive(Clone, Copy)]
struct Integers;

impl Suite for Integers {
    fn check<I: Isa>(self, isa: I) {
        let mut rng = Rng::new(9);
        for len in (0..=130).chain([1000, 4096]) {
            for start in [0, 1, 3] {
                let (x, w) = (bytes(len + start, &mut rng), bytes(len + start, &mut rng));
                let (x, w) = (&x[start..], &w[start..]);
                let init = i32::MAX - 40;
                let sum: i64 = x.iter().zip(w).map(|(x, w)| i64::from(*x) * i64::from(*w)).sum();
                let expected = (i64::from(init) + sum) as i32;
                assert_eq!(isa.dot_i8(init, x, w), expected, "{} dot_i8, length {len}", I::ID.name());
            }
        }
    }
}

#[test]
fn integer_dots_are_exact_and_wrap() {
    on_every_token(Integers);
}

#[derive(Clone, Copy)]
struct Filters;

impl Suite for Filters {
    fn check<I: Isa>(self, isa: I) {
        let mut rng = Rng::new(10);
        for len in (0..=70).chain([255, 784]) {
            for outputs in 0..=9 {
                let row = len + rng.below(4) as usize;
                let (x, w) = (bytes(len, &mut rng), bytes(row * outputs, &mut rng));
                let init: Vec<i32> = (0..outputs).map(|_| rng.next_u32() as i32).collect();
                let mut acc = init.clone();
                isa.matvec_i8(&x, &w, row, &mut acc);
                for (output, (acc, init)) in acc.iter().zip(&init).enumerate() {
                    let products = x.iter().zip(&w[output * row..]).map(|(x, w)| i64::from(*x) * i64::from(*w));
                    let expected = (i64::from(*init) + products.sum::<i64>()) as i32;
                    assert_eq!(*acc, expected, "{} matvec_i8, length {len}, {outputs} outputs", I::ID.name());
                }
            }
        }
        // Filters that end too early add nothing.
        let mut acc = [7; 6];
        isa.matvec_i8(&[1; 20], &[1; 100], 20, &mut acc);
        assert_eq!(acc, [27, 27, 27, 27, 27, 7]);
    }
}

#[test]
fn filters_share_their_input() {
    on_every_token(Filters);
}
