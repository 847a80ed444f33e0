//! Tests of the max pool against its definition.

use super::*;
use crate::arch::Scalar;
use crate::kernels::testing::*;
use crate::kernels::window::{Axis, Window2d};
use crate::rng::Rng;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

pub(in crate::kernels) fn shape_of(height: Axis, width: Axis, channels: u32) -> Pool2d {
    Pool2d { window: Window2d { height, width }, channels }
}

pub(in crate::kernels) fn shapes() -> impl Strategy<Value = Pool2d> {
    (axes(1..4), axes(1..4), 1u32..4)
        .prop_map(|(height, width, channels)| shape_of(height, width, channels))
        .prop_filter("no empty window", Pool2d::is_valid)
}

/// For every output the places of its window in the input, in order.
pub(in crate::kernels) fn windows(shape: &Pool2d, samples: usize) -> Vec<Vec<usize>> {
    let (channels, pixels) = (shape.channels as usize, taps_of_pixels(&shape.window));
    let of = |sample: usize, channel: usize, taps: &[(usize, usize)]| {
        taps.iter().map(|(_, at)| sample * shape.in_elements() + at * channels + channel).collect()
    };
    let mut windows = Vec::new();
    for sample in 0..samples {
        for taps in &pixels {
            windows.extend((0..channels).map(|channel| of(sample, channel, taps)));
        }
    }
    windows
}

/// Distinct numbers, far enough apart for finite differences.
fn distinct(rng: &mut Rng, len: usize) -> Vec<f32> {
    let mut values: Vec<f32> = (0..len).map(|i| i as f32 / len as f32 - 0.5).collect();
    rng.shuffle(&mut values);
    values
}

fn reference(shape: &Pool2d, samples: usize, x: &[f64]) -> Vec<f64> {
    windows(shape, samples)
        .into_iter()
        .map(|window| window.into_iter().map(|at| x[at]).fold(f64::NEG_INFINITY, f64::max))
        .collect()
}

proptest! {
    #[test]
    fn forward_matches_its_definition(shape in shapes(), samples in 1usize..4, seed: u64) {
        let x = noise(&mut Rng::new(seed), samples * shape.in_elements());
        let mut y = vec![f32::NAN; samples * shape.out_elements()];
        forward_f32(Scalar, &shape, &x, f32::NEG_INFINITY, f32::INFINITY, &mut y);
        prop_assert_eq!(wide(&y), reference(&shape, samples, &wide(&x)));
        let limited: Vec<f32> = y.iter().map(|y| y.clamp(-0.5, 0.5)).collect();
        forward_f32(Scalar, &shape, &x, -0.5, 0.5, &mut y);
        prop_assert_eq!(y, limited);
    }

    #[test]
    fn backward_matches_finite_differences(shape in shapes(), samples in 1usize..4, seed: u64) {
        let mut rng = Rng::new(seed);
        let x = distinct(&mut rng, samples * shape.in_elements());
        let dy = noise(&mut rng, samples * shape.out_elements());
        let numeric = numeric_gradient(&x, |x| weighted(&reference(&shape, samples, x), &dy));
        let (mut dx, mut magnitude) = (vec![f32::NAN; x.len()], vec![f32::NAN; x.len()]);
        backward_f32(Scalar, &shape, &x, &dy, &mut dx);
        backward_f32(Scalar, &shape, &x, &absolute(&dy), &mut magnitude);
        assert_close(&dx, &numeric, shape.window.taps(), &magnitude);
    }

    /// Few different values, so that most windows hold their greatest one several times.
    #[test]
    fn the_first_greatest_element_takes_the_gradient(shape in shapes(), samples in 1usize..4, seed: u64) {
        let mut rng = Rng::new(seed);
        let x: Vec<f32> = (0..samples * shape.in_elements()).map(|_| rng.below(3) as f32).collect();
        let dy = noise(&mut rng, samples * shape.out_elements());
        let mut expected = vec![0.0f32; x.len()];
        for (window, dy) in windows(&shape, samples).into_iter().zip(&dy) {
            let first = window.into_iter().reduce(|best, at| if x[at] > x[best] { at } else { best }).unwrap();
            expected[first] += dy;
        }
        let mut dx = vec![f32::NAN; x.len()];
        backward_f32(Scalar, &shape, &x, &dy, &mut dx);
        prop_assert_eq!(bits(&dx), bits(&expected));
    }

    #[test]
    fn records_run_their_kernels(shape in shapes(), samples in 1usize..4, seed: u64) {
        let mut rng = Rng::new(seed);
        let (inputs, outputs) = (samples * shape.in_elements(), samples * shape.out_elements());
        let (data, place) = (noise(&mut rng, inputs + outputs), |elements: usize| Ref::arena(4 * elements as u32));
        let (x, dy) = data.split_at(inputs);

        let mut y = vec![f32::NAN; outputs];
        forward_f32(Scalar, &shape, x, -0.5, 0.5, &mut y);
        let mut arena = data.clone();
        let record = ForwardF32 { shape, x: place(0), y: place(inputs), lo: -0.5, hi: 0.5 };
        run(&record, &mut arena, samples, REVEAL);
        prop_assert_eq!(&arena[inputs..], y);

        let mut dx = vec![f32::NAN; inputs];
        backward_f32(Scalar, &shape, x, dy, &mut dx);
        let mut arena = [&data[..], x].concat();
        let record = BackwardF32 { shape, x: place(0), dy: place(inputs), dx: place(inputs + outputs) };
        run(&record, &mut arena, samples, REVEAL);
        prop_assert_eq!(&arena[inputs + outputs..], dx);
    }

    /// Few different values, as above, and both zeros.
    #[test]
    fn windows_that_share_nothing_work_in_place(window in (1u32..4, 1u32..4), cuts in (1u32..4, 1u32..4), seed: u64) {
        let axis = |kernel, output| Axis { input: kernel * output, output, kernel, stride: kernel, dilation: 1, pad: 0 };
        let shape = shape_of(axis(window.0, cuts.0), axis(window.1, cuts.1), 1 + seed as u32 % 3);
        let (mut rng, samples) = (Rng::new(seed), 2);
        let (inputs, outputs) = (samples * shape.in_elements(), samples * shape.out_elements());
        let x: Vec<f32> = (0..inputs).map(|_| rng.below(3) as f32).collect();
        let dy: Vec<f32> = (0..outputs).map(|_| [-0.0, 0.0, 1.5, -2.0][rng.below(4) as usize]).collect();
        let mut dx = vec![f32::NAN; inputs];
        backward_f32(Scalar, &shape, &x, &dy, &mut dx);
        let mut arena = [&x[..], &dy].concat();
        let record = BackwardF32 { shape, x: Ref::arena(0), dy: Ref::arena(4 * inputs as u32), dx: Ref::arena(0) };
        prop_assert!(record.shape_is_valid());
        run(&record, &mut arena, samples, REVEAL);
        prop_assert_eq!(bits(&arena[..inputs]), bits(&dx));
        prop_assert_eq!(&arena[inputs..], dy);
    }
}

#[test]
fn windows_that_share_elements_or_leave_some_do_not_work_in_place() {
    let axis = Axis { input: 4, output: 2, kernel: 2, stride: 2, dilation: 1, pad: 0 };
    let in_place = |axis| {
        let shape = shape_of(axis, axis, 1);
        assert!(shape.is_valid());
        BackwardF32 { shape, x: Ref::arena(0), dy: Ref::arena(64), dx: Ref::arena(0) }.shape_is_valid()
    };
    assert!(in_place(axis));
    assert!(!in_place(Axis { stride: 1, output: 3, ..axis }));
    assert!(!in_place(Axis { input: 5, ..axis }));
    assert!(!in_place(Axis { kernel: 1, ..axis }));
    assert!(!in_place(Axis { pad: 1, ..axis }));
}

#[test]
fn a_global_pool_is_one_window() {
    let axis = Axis { input: 3, output: 1, kernel: 3, stride: 3, dilation: 1, pad: 0 };
    let shape = shape_of(axis, axis, 2);
    assert!(shape.is_valid());
    let x: Vec<f32> = (0..18).map(|i| i as f32).collect();
    let mut y = [0.0; 2];
    forward_f32(Scalar, &shape, &x, f32::NEG_INFINITY, f32::INFINITY, &mut y);
    assert_eq!(y, [16.0, 17.0]);
}

#[test]
fn windows_that_may_be_empty_are_refused() {
    let axis = Axis { input: 4, output: 2, kernel: 2, stride: 2, dilation: 1, pad: 0 };
    let shape = shape_of(axis, axis, 1);
    assert!(shape.is_valid());
    assert!(!shape_of(Axis { pad: 2, ..axis }, axis, 1).is_valid(), "the first window would lie in the padding");
    assert!(!shape_of(axis, Axis { output: 3, ..axis }, 1).is_valid(), "the last window would begin behind the input");
    let gaps = shape_of(Axis { dilation: 3, ..axis }, axis, 1);
    assert!(gaps.is_valid() && !gaps.is_dense());
    assert!(!shape_of(Axis { dilation: 5, pad: 3, ..axis }, axis, 1).is_valid(), "a window could step over the input");
    assert!(!Pool2d { channels: 0, ..shape }.is_valid());
}
