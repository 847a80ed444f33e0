//! Tests of strided copies against their definition.

use super::*;
use crate::arch::Scalar;
use crate::kernels::testing::run_record;
use crate::optim::{Optimizer, OptimizerRecord};
use crate::plan::Access;
use proptest::prelude::*;
use std::vec::Vec;

fn run(step: &StridedCopy, arena: &mut [u8], samples: usize) {
    assert!(step.shape_is_valid());
    let optimizer = Optimizer::at_step(OptimizerRecord::sgd(1.0), 1);
    let mut context =
        Context { samples, optimizer, training: false, loss: 0.0, right: 0, evaluation: false, adapts: None };
    run_record(Scalar, step, &[], arena, &mut context);
}

/// All index tuples of the box, and where each lies on a side.
fn places(extents: &[u32; AXES], side: &Side) -> Vec<usize> {
    let total: u32 = extents.iter().product();
    let place = |mut number: u32| {
        let mut at = i64::from(side.start);
        for (extent, stride) in extents.iter().zip(side.strides).rev() {
            at += i64::from(number % extent) * i64::from(stride);
            number /= extent;
        }
        at as usize
    };
    (0..total).map(place).collect()
}

/// A side whose axes lie in the given order, with gaps in front of and behind the box, some of them backwards.
fn side(at: u32, extents: &[u32; AXES], order: &[usize], gaps: &[u32], back: u8) -> Side {
    let (mut strides, mut stride, mut start) = ([0; AXES], 1i32, 0i32);
    for (&axis, gap) in order.iter().zip(gaps) {
        strides[axis] = if back >> axis & 1 == 1 { -stride } else { stride };
        if strides[axis] < 0 {
            start += stride * (extents[axis] as i32 - 1);
        }
        stride *= (extents[axis] + gap) as i32;
    }
    Side { at: Ref::arena(at), elements: stride as u32, start: start as u32, strides }
}

proptest! {
    #[test]
    fn every_layout_is_copied_as_defined(
        extents in proptest::array::uniform6(1u32..4),
        x_order in Just([0usize, 1, 2, 3, 4, 5]).prop_shuffle(),
        y_order in Just([0usize, 1, 2, 3, 4, 5]).prop_shuffle(),
        gaps in proptest::array::uniform12(0u32..2),
        back in any::<[u8; 2]>(),
        size in prop_oneof![Just(1u32), Just(2), Just(4)],
        outside in 0u32..3,
        samples in 1usize..3,
        repeats in 0u32..2,
    ) {
        let x = side(0, &extents, &x_order, &gaps[..6], back[0]);
        let x_samples = if repeats == 1 { 1 } else { samples };
        let x_bytes = (x.elements * size) as usize * x_samples;
        let y = side(x_bytes.next_multiple_of(4) as u32, &extents, &y_order, &gaps[6..], back[1]);
        let step = StridedCopy { size, extents, x, repeats, y, outside, fill: 0x0102_0304 };
        let y_bytes = (y.elements * size) as usize * samples;
        let mut arena: Vec<u8> = (0..y.at.offset() + y_bytes).map(|i| (i * 37 % 251) as u8 | 1).collect();
        let before = arena.clone();
        run(&step, &mut arena, samples);

        let size = size as usize;
        let mut expected = before[y.at.offset()..].to_vec();
        if outside == Outside::Fill as u32 {
            expected.chunks_mut(size).for_each(|e| e.copy_from_slice(&step.fill.to_le_bytes()[..size]));
        }
        for sample in 0..samples {
            let from = places(&extents, &x).into_iter().zip(places(&extents, &y));
            for (from, to) in from {
                let x_sample = if repeats == 1 { 0 } else { sample };
                let from = (from + x_sample * x.elements as usize) * size;
                let to = (to + sample * y.elements as usize) * size;
                expected[to..to + size].copy_from_slice(&before[from..from + size]);
            }
        }
        prop_assert_eq!(&arena[y.at.offset()..], &expected[..]);
        let access = step.operands(samples).as_slice()[1].access;
        prop_assert_eq!(access, if outside == 1 { Access::ReadWrite } else { Access::Write });
    }
}

#[test]
fn impossible_boxes_are_refused() {
    let x = Side { at: Ref::arena(0), elements: 8, start: 0, strides: [0, 0, 0, 0, 4, 1] };
    let y = Side { at: Ref::arena(8), elements: 8, start: 7, strides: [0, 0, 0, 0, -1, -2] };
    let step = StridedCopy { size: 1, extents: [1, 1, 1, 1, 2, 4], x, repeats: 0, y, outside: 0, fill: 0 };
    assert!(step.shape_is_valid());
    let with = |change: &dyn Fn(&mut StridedCopy)| {
        let mut step = step;
        change(&mut step);
        step.shape_is_valid()
    };
    assert!(!with(&|s| s.size = 3));
    assert!(!with(&|s| s.outside = 3));
    assert!(!with(&|s| s.repeats = 2));
    assert!(!with(&|s| s.extents[0] = 0));
    assert!(!with(&|s| s.x.start = 1));
    assert!(!with(&|s| s.x.strides[4] = 5));
    assert!(!with(&|s| s.y.strides[5] = -3));
    assert!(!with(&|s| s.extents[0] = 2), "more elements than the destination has");
    assert!(!with(&|s| s.x.elements = u32::MAX));
    assert!(!with(&|s| (s.x.strides, s.extents) = ([i32::MAX; AXES], [64; AXES])));
    // A broken promise of the parser does no harm.
    StridedCopy { x: Side { start: 99, ..x }, ..step }.copy(&[0; 8], &mut [0; 8]);
}
