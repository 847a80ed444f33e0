//! Tests of broadcasting against its definition, and of every way to share places.

use super::*;
use crate::kernels::add::{Sum, Term};
use crate::kernels::testing::*;
use crate::kernels::testing_int8::{between, bytes};
use crate::optim::Optimizer;
use crate::plan::{Context, StepRecord};
use crate::quant::defined::{divide_as_defined, high_mul_as_defined};
use crate::rng::Rng;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;
use zerocopy::IntoBytes;

/// A side with natural strides that repeats along the axes of `mask`.
fn side(at: Ref, extents: &[u32; AXES], mask: u8, repeats: u32) -> Side {
    let (mut strides, mut elements) = ([0; AXES], 1);
    for axis in (0..AXES).rev() {
        if mask >> axis & 1 == 0 {
            strides[axis] = elements;
            elements *= extents[axis];
        }
    }
    // The last axis may only step by one; with an extent of one it does not step at all.
    Side { at, elements, repeats, strides }
}

/// The element of a side for each element of the output, in order.
fn sources(shape: &Broadcast, side: &Side, samples: usize) -> Vec<usize> {
    let total = shape.extents.iter().map(|e| *e as usize).product::<usize>();
    let source = |i: usize| {
        let (sample, mut number) = (i / total, i % total);
        let mut at = if side.repeats == 1 { 0 } else { sample * side.elements as usize };
        for axis in (0..AXES).rev() {
            at += number % shape.extents[axis] as usize * side.strides[axis] as usize;
            number /= shape.extents[axis] as usize;
        }
        at
    };
    (0..samples * total).map(source).collect()
}

fn function(kind: Kind, a: f32, b: f32) -> f32 {
    match kind {
        Kind::Add => a + b,
        Kind::Sub => a - b,
        Kind::Mul => a * b,
        Kind::Div => a / b,
        Kind::Min => {
            if b < a {
                b
            } else {
                a
            }
        }
        Kind::Max => {
            if b > a {
                b
            } else {
                a
            }
        }
        Kind::PRelu => {
            if a > 0.0 {
                a
            } else {
                a * b
            }
        }
    }
}

proptest! {
    #[test]
    fn float_broadcasts_as_defined(
        extents in proptest::array::uniform4(1u32..4),
        masks in any::<[u8; 2]>(),
        repeats in proptest::array::uniform2(0u32..2),
        kind in 0usize..7,
        samples in 1usize..3,
        seed: u64,
    ) {
        let kind = Kind::ALL[kind];
        let mut rng = Rng::new(seed);
        let mut shape = Broadcast {
            extents,
            a: side(Ref::arena(0), &extents, masks[0], repeats[0]),
            b: side(Ref::arena(0), &extents, masks[1], repeats[1]),
            y: Ref::arena(0),
        };
        let held = |side: &Side| side.elements as usize * if side.repeats == 1 { 1 } else { samples };
        let (a, b) = (noise(&mut rng, held(&shape.a)), noise(&mut rng, held(&shape.b)));
        shape.b.at = Ref::arena(4 * a.len() as u32);
        shape.y = Ref::arena(4 * (a.len() + b.len()) as u32);
        let total = samples * shape.extents.iter().map(|e| *e as usize).product::<usize>();
        let expected: Vec<f32> = sources(&shape, &shape.a, samples)
            .into_iter()
            .zip(sources(&shape, &shape.b, samples))
            .map(|(i, j)| function(kind, a[i], b[j]).clamp(-0.7, 0.7))
            .collect();
        let check = |shape: Broadcast| {
            let mut arena = [&a[..], &b, &vec![f32::NAN; total]].concat();
            run(&ForwardF32 { kind: kind as u32, shape, lo: -0.7, hi: 0.7 }, &mut arena, samples, REVEAL);
            bits(&arena[shape.y.offset() / 4..][..total])
        };
        prop_assert_eq!(check(shape), bits(&expected));
        if shape.a.is_whole(&extents) {
            prop_assert_eq!(check(Broadcast { y: shape.a.at, ..shape }), bits(&expected));
        }
        let over_b = Broadcast { y: shape.b.at, ..shape };
        let may = kind.commutes() && shape.b.is_whole(&extents);
        prop_assert_eq!(over_b.is_valid(Some(kind)), may);
        if may {
            prop_assert_eq!(check(over_b), bits(&expected));
        }
    }

    #[test]
    fn integers_equal_the_reference(kind in 0usize..7, share in 0u32..3, seed: u64) {
        let kind = Kind::ALL[kind];
        prop_assume!(kind != Kind::Div && (share < 2 || kind.commutes()));
        let mut rng = Rng::new(seed);
        let mut term = || Term {
            zero_point: between(&mut rng, -128, 127),
            multiplier: between(&mut rng, 1 << 30, i32::MAX),
            shift: -between(&mut rng, 0, 6),
        };
        let (a_is, b_is) = (term(), term());
        let numbers = Sum {
            a: a_is,
            b: b_is,
            left_shift: 20,
            multiplier: between(&mut rng, 1 << 30, i32::MAX),
            shift: if matches!(kind, Kind::Mul | Kind::PRelu) { -between(&mut rng, 4, 12) } else { -between(&mut rng, 14, 20) },
            zero_point: between(&mut rng, -128, 127),
            lo: between(&mut rng, -128, 0),
            hi: between(&mut rng, 0, 127),
        };
        let (a, b) = (bytes(&mut rng, 12), bytes(&mut rng, 12));
        let rescale = |x: i64, multiplier: i32, shift: i32| {
            let once = high_mul_as_defined(i32::try_from(x).unwrap(), multiplier);
            divide_as_defined(i128::from(once), 1 << -shift) as i64
        };
        let scaled = |x: i64, t: &Term| rescale((x - i64::from(t.zero_point)) << 20, t.multiplier, t.shift);
        let expected: Vec<i64> = a.iter().zip(&b).map(|(&a, &b)| {
            let (a, b) = (i64::from(a), i64::from(b));
            let of = |total| rescale(total, numbers.multiplier, numbers.shift) + i64::from(numbers.zero_point);
            let y = match kind {
                Kind::Add => of(scaled(a, &a_is) + scaled(b, &b_is)),
                Kind::Sub => of(scaled(a, &a_is) - scaled(b, &b_is)),
                Kind::Mul => of((a - i64::from(a_is.zero_point)) * (b - i64::from(b_is.zero_point))),
                Kind::PRelu if a >= i64::from(a_is.zero_point) => {
                    let x = a - i64::from(a_is.zero_point);
                    rescale(x, a_is.multiplier, a_is.shift) + i64::from(numbers.zero_point)
                }
                Kind::PRelu => of((a - i64::from(a_is.zero_point)) * (b - i64::from(b_is.zero_point))),
                Kind::Min => a.min(b),
                _ => a.max(b),
            };
            y.clamp(numbers.lo.into(), numbers.hi.into())
        }).collect();

        let extents = [1, 1, 2, 3];
        let places = [[0, 12, 24], [0, 12, 0], [0, 12, 12]][share as usize];
        let shape = |size: u32| {
            let [a, b, y] = places.map(|at| Ref::arena(at * size));
            Broadcast { extents, a: side(a, &extents, 0, 0), b: side(b, &extents, 0, 0), y }
        };
        let context = || Context {
            samples: 2, optimizer: Optimizer::at_step(REVEAL, 1), training: false, loss: 0.0, right: 0, evaluation: false, adapts: None,
        };
        let mut arena: Vec<i8> = [&a[..], &b, &[0; 12]].concat();
        let step = ForwardInteger { kind: kind as u32, size: 1, shape: shape(1), numbers };
        prop_assert!(step.shape_is_valid());
        run_record(crate::arch::Scalar, &step, &[], arena.as_mut_bytes(), &mut context());
        let found: Vec<i64> = arena[places[2] as usize..][..12].iter().map(|y| i64::from(*y)).collect();
        prop_assert_eq!(&found, &expected);

        let mut arena: Vec<i16> = [&a[..], &b, &[0; 12]].concat().iter().map(|x| i16::from(*x)).collect();
        let step = ForwardInteger { kind: kind as u32, size: 2, shape: shape(2), numbers };
        if kind == Kind::PRelu {
            prop_assert!(!step.shape_is_valid());
            return Ok(());
        }
        prop_assert!(step.shape_is_valid());
        run_record(crate::arch::Scalar, &step, &[], arena.as_mut_bytes(), &mut context());
        let found: Vec<i64> = arena[places[2] as usize..][..12].iter().map(|y| i64::from(*y)).collect();
        prop_assert_eq!(&found, &expected);
    }
}

#[test]
fn quotients_are_rounded_to_nearest() {
    let bytes: Vec<i8> = (i8::MIN..=i8::MAX).collect();
    let term = |zero_point| Term { zero_point, multiplier: 0, shift: 0 };
    for (zero_a, zero_b, multiplier, shift) in [(-3, 17, 1_777_777_777, 1), (90, -128, 1 << 30, 7), (0, 0, 1 << 30, -9)]
    {
        let numbers = Sum {
            a: term(zero_a),
            b: term(zero_b),
            left_shift: 0,
            multiplier,
            shift,
            zero_point: 5,
            lo: -128,
            hi: 127,
        };
        let [a, b, y] = [0, 256, 512].map(Ref::arena);
        let extents = [1, 1, 256, 256];
        let side = |at, strides| Side { at, elements: 256, repeats: 0, strides };
        let shape = Broadcast { extents, a: side(a, [0, 0, 1, 0]), b: side(b, [0, 0, 0, 1]), y };
        let step = ForwardInteger { kind: Kind::Div as u32, size: 1, shape, numbers };
        assert!(step.shape_is_valid() && !ForwardInteger { size: 2, ..step }.shape_is_valid());
        let mut arena: Vec<i8> = [&bytes[..], &bytes, &[0; 65536]].concat();
        let context = &mut Context {
            samples: 1,
            optimizer: Optimizer::at_step(REVEAL, 1),
            training: false,
            loss: 0.0,
            right: 0,
            evaluation: false,
            adapts: None,
        };
        run_record(crate::arch::Scalar, &step, &[], arena.as_mut_bytes(), context);
        for (i, y) in arena[512..].iter().enumerate() {
            let [a, b] = [(i / 256, zero_a), (i % 256, zero_b)].map(|(i, zero)| f64::from(bytes[i]) - f64::from(zero));
            let real = if b == 0.0 { a.signum() * if a == 0.0 { 0.0 } else { 1e6 } } else { a / b };
            let real = (real * f64::from(multiplier) * 2f64.powi(shift - 31) + 5.0).clamp(-128.0, 127.0);
            // The reciprocal is 30 bits long: a half may go either way.
            assert!((f64::from(*y) - real).abs() < 0.5 + 1e-5, "{a} / {b}: {y}, not {real}");
        }
    }
}

#[test]
fn impossible_shapes_are_refused() {
    let extents = [1, 1, 2, 3];
    let [a, b, y] = [0, 24, 48].map(Ref::arena);
    let shape = Broadcast { extents, a: side(a, &extents, 0, 0), b: side(b, &extents, 8, 0), y };
    let add = Some(Kind::Add);
    assert!(shape.is_valid(add) && !shape.is_valid(None));
    assert!(!Broadcast { extents: [1, 1, 0, 3], ..shape }.is_valid(add));
    assert!(!Broadcast { extents: [1, 2, 2, 3], ..shape }.is_valid(add) || shape.a.strides[1] == 0);
    assert!(!Broadcast { extents: [1, 1, 3, 3], ..shape }.is_valid(add));
    assert!(!Broadcast { y: b, ..shape }.is_valid(add), "b is smaller than the output");
    assert!(!Broadcast { a: Side { strides: [0, 0, 3, 2], ..shape.a }, ..shape }.is_valid(add));
    assert!(!Broadcast { a: Side { repeats: 2, ..shape.a }, ..shape }.is_valid(add));
    assert!(!Broadcast { a: Side { elements: 5, ..shape.a }, ..shape }.is_valid(add));
    let huge = Broadcast { extents: [u32::MAX; 4], ..shape };
    assert!(!huge.is_valid(add));
}
