//! Tests of reductions against their definition.

use super::*;
use crate::arch::Scalar;
use crate::kernels::testing::*;
use crate::kernels::testing_int8::{between, bytes};
use crate::optim::Optimizer;
use crate::quant::defined::requantize_as_defined;
use crate::rng::Rng;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;
use zerocopy::IntoBytes;

/// A shape whose axes lie in the given order (outermost first); the first half of them stays.
fn shape(extents: [u32; 6], order: [usize; 6]) -> Shape {
    let (mut axes, mut stride) = ([Axis::NONE; 6], 1);
    for axis in order.into_iter().rev() {
        axes[axis] = Axis { extent: extents[axis], stride };
        stride *= extents[axis];
    }
    let [a, b, c, d, e, f] = axes;
    Shape { kept: [a, b, c], folded: [d, e, f] }
}

/// The inputs of each output, in order.
fn sources(shape: &Shape, samples: usize) -> Vec<Vec<usize>> {
    let mut all = Vec::new();
    for sample in 0..samples {
        for kept in walk(shape.kept) {
            all.push(walk(shape.folded).map(|folded| sample * shape.in_elements() + kept + folded).collect());
        }
    }
    all
}

proptest! {
    #[test]
    fn float_and_integers_reduce_as_defined(
        extents in proptest::array::uniform6(1u32..4),
        order in Just([0usize, 1, 2, 3, 4, 5]).prop_shuffle(),
        kind in 0u32..3,
        samples in 1usize..3,
        seed: u64,
    ) {
        let shape = shape(extents, order);
        let kind = Kind::from_u32(kind).unwrap();
        let mut rng = Rng::new(seed);
        let (ins, outs) = (samples * shape.in_elements(), samples * shape.out_elements());
        let sources = sources(&shape, samples);

        let x = noise(&mut rng, ins);
        let expected: Vec<f32> = sources.iter().map(|s| {
            let values = s.iter().map(|i| x[*i]);
            match kind {
                Kind::Max => values.fold(f32::NEG_INFINITY, f32::max),
                Kind::Sum => values.fold(0.0, |sum, x| sum + x),
                Kind::Mean => values.fold(0.0, |sum, x| sum + x) / s.len() as f32,
            }
        }).collect();
        let mut arena = [&x[..], &vec![f32::NAN; outs]].concat();
        let step = ForwardF32 { kind: kind as u32, shape, x: Ref::arena(0), y: Ref::arena(4 * ins as u32) };
        run(&step, &mut arena, samples, REVEAL);
        prop_assert_eq!(bits(&arena[ins..]), bits(&expected));

        let bits = shape.count().ilog2() as i32;
        let scaling = Scaling {
            in_zero_point: between(&mut rng, -128, 127),
            multiplier: between(&mut rng, 1 << 29, i32::MAX),
            shift: between(&mut rng, -2, 1) - bits,
            zero_point: between(&mut rng, -128, 127),
            lo: between(&mut rng, -128, 0),
            hi: between(&mut rng, 0, 127),
        };
        let x = bytes(&mut rng, ins);
        let expected: Vec<i8> = sources.iter().map(|s| {
            let values = s.iter().map(|i| i64::from(x[*i]));
            let Scaling { in_zero_point, multiplier, shift, zero_point, lo, hi } = scaling;
            match kind {
                Kind::Max => values.max().unwrap().clamp(lo.into(), hi.into()) as i8,
                _ => {
                    let sum = values.map(|x| x - i64::from(in_zero_point)).sum();
                    requantize_as_defined(sum, multiplier, shift, zero_point, lo, hi)
                }
            }
        }).collect();
        let context = || Context { samples, optimizer: Optimizer::at_step(REVEAL, 1), training: false, loss: 0.0, right: 0, evaluation: false, adapts: None };
        let mut arena: Vec<i8> = [&x[..], &vec![99; outs]].concat();
        let step = ForwardInteger { kind: kind as u32, size: 1, shape, x: Ref::arena(0), y: Ref::arena(ins as u32), scaling };
        prop_assert!(step.shape_is_valid());
        run_record(Scalar, &step, &[], arena.as_mut_bytes(), &mut context());
        prop_assert_eq!(&arena[ins..], &expected[..]);

        let mut arena: Vec<i16> = [&x[..], &vec![99; outs]].concat().into_iter().map(i16::from).collect();
        let step = ForwardInteger { kind: kind as u32, size: 2, shape, x: Ref::arena(0), y: Ref::arena(2 * ins as u32), scaling };
        prop_assert!(step.shape_is_valid());
        run_record(Scalar, &step, &[], arena.as_mut_bytes(), &mut context());
        let found: Vec<i8> = arena[ins..].iter().map(|y| *y as i8).collect();
        prop_assert_eq!(&found, &expected);
    }
}

#[test]
fn impossible_shapes_are_refused() {
    let good = shape([2, 1, 3, 4, 1, 1], [0, 1, 2, 3, 4, 5]);
    assert!(good.is_valid());
    let with = |change: &dyn Fn(&mut Shape)| {
        let mut shape = good;
        change(&mut shape);
        shape.is_valid()
    };
    assert!(!with(&|s| s.kept[0].extent = 0));
    assert!(!with(&|s| s.folded[0].stride = 100));
    assert!(!with(&|s| s.folded[2] = Axis { extent: u32::MAX, stride: u32::MAX }));
    let step = ForwardF32 { kind: 3, shape: good, x: Ref::arena(0), y: Ref::arena(96) };
    assert!(!step.shape_is_valid());
}
