//! Tests of the max pool against its definition.

use super::*;
use crate::arch::Scalar;
use crate::kernels::testing::*;
use crate::kernels::window::Axis;
use crate::rng::Rng;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

pub(in crate::kernels) fn shape_of(vertical: Axis, horizontal: Axis, channels: u32) -> Pool2d {
    Pool2d {
        in_h: vertical.input,
        in_w: horizontal.input,
        channels,
        out_h: vertical.output,
        out_w: horizontal.output,
        window_h: vertical.kernel,
        window_w: horizontal.kernel,
        stride_h: vertical.stride,
        stride_w: horizontal.stride,
        pad_top: vertical.pad,
        pad_left: horizontal.pad,
    }
}

pub(in crate::kernels) fn shapes() -> impl Strategy<Value = Pool2d> {
    (axes(1..2), axes(1..2), 1u32..4)
        .prop_map(|(vertical, horizontal, channels)| shape_of(vertical, horizontal, channels))
        .prop_filter("no empty window", Pool2d::is_valid)
}

/// For every output the places of its window in the input, in order.
pub(in crate::kernels) fn windows(shape: &Pool2d, samples: usize) -> Vec<Vec<usize>> {
    let mut windows = Vec::new();
    for sample in 0..samples {
        for out_y in 0..shape.out_h as usize {
            for out_x in 0..shape.out_w as usize {
                for channel in 0..shape.channels as usize {
                    let mut window = Vec::new();
                    for (_, in_y) in taps_of(&shape.vertical(), out_y) {
                        for (_, in_x) in taps_of(&shape.horizontal(), out_x) {
                            let pixel = (sample * shape.in_h as usize + in_y) * shape.in_w as usize + in_x;
                            window.push(pixel * shape.channels as usize + channel);
                        }
                    }
                    windows.push(window);
                }
            }
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
        backward_f32(&shape, &x, &dy, &mut dx);
        backward_f32(&shape, &x, &absolute(&dy), &mut magnitude);
        assert_close(&dx, &numeric, (shape.window_h * shape.window_w) as usize, &magnitude);
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
        backward_f32(&shape, &x, &dy, &mut dx);
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
        backward_f32(&shape, x, dy, &mut dx);
        let mut arena = [&data[..], x].concat();
        let record = BackwardF32 { shape, x: place(0), dy: place(inputs), dx: place(inputs + outputs) };
        run(&record, &mut arena, samples, REVEAL);
        prop_assert_eq!(&arena[inputs + outputs..], dx);
    }
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
    assert!(!Pool2d { pad_top: 2, ..shape }.is_valid(), "the first window would lie in the padding");
    assert!(!Pool2d { out_w: 3, ..shape }.is_valid(), "the last window would begin behind the input");
    assert!(!Pool2d { channels: 0, ..shape }.is_valid());
}
