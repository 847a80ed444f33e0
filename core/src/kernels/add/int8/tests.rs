use super::*;
use crate::arch::Scalar;
use crate::kernels::testing::run_record;
use crate::kernels::testing_int8::{between, bytes};
use crate::optim::{Optimizer, OptimizerRecord};
use crate::quant::defined::{divide_as_defined, high_mul_as_defined};
use crate::rng::Rng;
use proptest::prelude::*;
use std::vec::Vec;
use zerocopy::FromZeros;

/// Over big numbers, step by step.
fn reference(sum: &Sum, a: i8, b: i8) -> i8 {
    let rescale = |x: i64, multiplier: i32, shift: i32| {
        let once = high_mul_as_defined(i32::try_from(x).unwrap(), multiplier);
        divide_as_defined(i128::from(once), 1 << -shift) as i64
    };
    let scaled = |x: i8, term: &Term| {
        rescale((i64::from(x) - i64::from(term.zero_point)) << sum.left_shift, term.multiplier, term.shift)
    };
    let y = rescale(scaled(a, &sum.a) + scaled(b, &sum.b), sum.multiplier, sum.shift) + i64::from(sum.zero_point);
    y.clamp(i64::from(sum.lo), i64::from(sum.hi)) as i8
}

fn random(rng: &mut Rng) -> Sum {
    let mut term = || Term {
        zero_point: between(rng, -128, 127),
        multiplier: between(rng, 1 << 30, i32::MAX),
        // Scale over twice the greater scale is at most a half.
        shift: -between(rng, 0, 6),
    };
    let (a, b) = (term(), term());
    Sum {
        a: Term { multiplier: 1 << 30, shift: 0, ..a },
        b,
        left_shift: 20,
        multiplier: between(rng, 1 << 30, i32::MAX),
        shift: -between(rng, 14, 20),
        zero_point: between(rng, -128, 127),
        lo: between(rng, -128, 0),
        hi: between(rng, 0, 127),
    }
}

proptest! {
    #[test]
    fn int8_equals_the_reference(seed: u64) {
        let mut rng = Rng::new(seed);
        let sum = random(&mut rng);
        let (a, b) = (bytes(&mut rng, 500), bytes(&mut rng, 500));
        let mut y = std::vec![0; 500];
        sum.add(Some(&a), Some(&b), &mut y);
        let expected: Vec<i8> = a.iter().zip(&b).map(|(&a, &b)| reference(&sum, a, b)).collect();
        prop_assert_eq!(&y, &expected);
        let mut y = a.clone();
        sum.add(None, Some(&b), &mut y);
        prop_assert_eq!(&y, &expected);
        let mut y = b.clone();
        sum.add(Some(&a), None, &mut y);
        prop_assert_eq!(&y, &expected);
    }
}

#[test]
fn int8_steps_work_in_place_on_either_side() {
    let mut rng = Rng::new(3);
    let sum = random(&mut rng);
    let (a, b) = (bytes(&mut rng, 8), bytes(&mut rng, 8));
    let run = |places: [u32; 3]| {
        let [at_a, at_b, at_y] = places;
        let mut arena = [0u8; 24];
        for (at, x) in [(at_a, &a), (at_b, &b)] {
            arena[at as usize..at as usize + 8].copy_from_slice(x.as_bytes());
        }
        let step = ForwardI8 { len: 4, a: Ref::arena(at_a), b: Ref::arena(at_b), y: Ref::arena(at_y), sum };
        assert!(step.shape_is_valid());
        let settings = OptimizerRecord::new_zeroed();
        let optimizer = Optimizer::idle(settings);
        let mut context =
            Context { samples: 2, optimizer, training: false, loss: 0.0, right: 0, evaluation: false, adapts: None };
        run_record(Scalar, &step, &[], &mut arena, &mut context);
        arena[at_y as usize..at_y as usize + 8].to_vec()
    };
    let apart = run([0, 8, 16]);
    assert_eq!(run([0, 8, 0]), apart);
    assert_eq!(run([0, 8, 8]), apart);
    let doubled: Vec<u8> = b.iter().map(|&b| sum.of(b, b) as u8).collect();
    assert_eq!(run([0, 0, 0]), doubled, "b was written last");
}
