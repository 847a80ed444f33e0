//! What the kernels' tests share: random data and shapes, finite differences, and running one record.

use super::window::{Axis, Window2d};
use crate::arch::{Isa, Run, Scalar};
use crate::memory::Memory;
use crate::optim::{Optimizer, OptimizerRecord};
use crate::plan::{Bounds, Context, Encode, NewTable, Plan, StepHeader};
use crate::rng::Rng;
use proptest::prelude::*;
use std::vec::Vec;
use zerocopy::IntoBytes;

/// Half a unit in the last place of 1.0: the relative error of one f32 rounding.
pub const ROUNDING: f64 = 1.0 / 16_777_216.0;

/// `len` numbers in `[-1, 1)`.
pub fn noise(rng: &mut Rng, len: usize) -> Vec<f32> {
    (0..len).map(|_| rng.uniform_f32(-1.0, 1.0)).collect()
}

/// The same numbers in f64.
pub fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

/// Absolute values.
pub fn absolute(values: &[f32]) -> Vec<f32> {
    values.iter().map(|value| value.abs()).collect()
}

/// As bits, for exact comparisons.
pub fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Sum of products: the loss whose gradient with respect to `y` is `dy`.
pub fn weighted(y: &[f64], dy: &[f32]) -> f64 {
    assert_eq!(y.len(), dy.len());
    y.iter().zip(dy).map(|(y, &dy)| y * f64::from(dy)).sum()
}

/// Central finite differences of `loss` at `at`. With steps of 1e-5 they err by about 1e-10 for the truncation and
/// 1e-16 of the loss over 1e-5 for the rounding: below [`DIFFERENCE`] for losses up to a few hundred.
pub fn numeric_gradient(at: &[f32], loss: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let mut at = wide(at);
    let step = 1e-5;
    (0..at.len())
        .map(|i| {
            let middle = at[i];
            at[i] = middle + step;
            let up = loss(&at);
            at[i] = middle - step;
            let down = loss(&at);
            at[i] = middle;
            (up - down) / (2.0 * step)
        })
        .collect()
}

/// See [`numeric_gradient`].
pub const DIFFERENCE: f64 = 1e-8;

/// Every element within its own bound: `roundings` roundings of at most `magnitude[i]` each, plus [`DIFFERENCE`].
///
/// A sum of n products computed in f32 errs by at most about n roundings of the sum of the absolute products
/// (Higham, "Accuracy and Stability of Numerical Algorithms", 3.1). Kernels are monotone in absolute values, so the
/// tests get that sum by running the kernel on absolute values.
pub fn assert_close(found: &[f32], expected: &[f64], roundings: usize, magnitude: &[f32]) {
    assert_eq!((found.len(), magnitude.len()), (expected.len(), expected.len()));
    for (i, ((&found, &expected), &magnitude)) in found.iter().zip(expected).zip(magnitude).enumerate() {
        let bound = 1.01 * roundings as f64 * ROUNDING * f64::from(magnitude) + DIFFERENCE;
        let error = (f64::from(found) - expected).abs();
        assert!(error <= bound, "element {i}: found {found}, expected {expected}, off by {error:e} > {bound:e}");
    }
}

/// A random axis: padding as Keras's `valid` or `same`, or explicit.
pub fn axes(dilations: core::ops::Range<u32>) -> impl Strategy<Value = Axis> {
    (1u32..7, 1u32..4, 1u32..4, dilations, 0u32..3, 0u32..3, 1u32..7)
        .prop_map(|(input, kernel, stride, dilation, mode, pad, output)| {
            let reach = (kernel - 1) * dilation;
            let (output, pad) = match mode {
                0 => (input.saturating_sub(reach).div_ceil(stride), 0),
                1 => {
                    let output = input.div_ceil(stride);
                    (output, ((output - 1) * stride + reach + 1).saturating_sub(input) / 2)
                }
                _ => (output, pad),
            };
            Axis { input, output, kernel, stride, dilation, pad }
        })
        .prop_filter("windows begin inside", Axis::is_valid)
}

/// Random windows over images of up to 7 rows and columns, valid or not.
pub fn windows(kernels: u32, strides: u32, dilations: u32, pads: u32) -> impl Strategy<Value = Window2d> {
    let axis = move || {
        (1u32..8, 1u32..8, 1..kernels, 1..strides, 1..dilations, 0..pads).prop_map(
            |(input, output, kernel, stride, dilation, pad)| Axis { input, output, kernel, stride, dilation, pad },
        )
    };
    (axis(), axis()).prop_map(|(height, width)| Window2d { height, width })
}

/// The taps of one window inside the input, by definition: `(tap, input position)`.
pub fn taps_of(axis: &Axis, output: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
    let axis = *axis;
    (0..axis.kernel as usize).filter_map(move |k| {
        let at = (output * axis.stride as usize + k * axis.dilation as usize).checked_sub(axis.pad as usize)?;
        (at < axis.input as usize).then_some((k, at))
    })
}

/// For every output pixel in order its taps inside the input, by definition: `(tap, input pixel)`, both counted over
/// the two axes.
pub fn taps_of_pixels(window: &Window2d) -> Vec<Vec<(usize, usize)>> {
    let Window2d { height, width } = *window;
    let outputs = (0..height.output as usize).flat_map(|y| (0..width.output as usize).map(move |x| (y, x)));
    let taps = |(out_y, out_x)| {
        taps_of(&height, out_y)
            .flat_map(|(k_y, in_y)| {
                taps_of(&width, out_x)
                    .map(move |(k_x, in_x)| (k_y * width.kernel as usize + k_x, in_y * width.input as usize + in_x))
            })
            .collect()
    };
    outputs.map(taps).collect()
}

/// Runs one record over `arena` (whose first byte is arena offset 0), scalar, after checking it as a plan would.
pub fn run<R: Encode>(record: &R, arena: &mut [f32], samples: usize, optimizer: OptimizerRecord) {
    run_with(Scalar, record, arena, samples, optimizer);
}

/// [`run`] with another token.
pub fn run_with<I: Isa, R: Encode>(isa: I, record: &R, arena: &mut [f32], samples: usize, optimizer: OptimizerRecord) {
    assert!(record.shape_is_valid());
    let mut context = Context {
        samples,
        optimizer: Optimizer::at_step(optimizer, 1),
        training: true,
        loss: 0.0,
        right: 0,
        evaluation: false,
        adapts: None,
    };
    run_record(isa, record, &[], arena.as_mut_bytes(), &mut context);
}

/// Runs one record as a session does, as a plan of one step.
pub fn run_record<I: Isa, R: Encode>(isa: I, record: &R, data: &[u8], arena: &mut [u8], context: &mut Context) {
    let (slots, samples) = (record.optimizer_slots().unwrap_or(0), context.samples);
    let bounds = Bounds { data_bytes: data.len(), arena_bytes: arena.len(), samples, slots };
    let table = NewTable::of(&record.places(1), &record.places(samples), samples).expect("small operands");
    let header = StepHeader { kind: R::KIND, words: (size_of::<R>() / 4) as u8, operands: table.operands() };
    let bytes = [header.as_bytes(), record.as_bytes(), table.as_bytes()].concat();
    let words: Vec<u32> = bytes.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect();
    let plan = Plan::check(words.as_bytes(), 1, &bounds).expect("a sound step");
    let mut run = Run::over(plan.steps(), Memory { data, arena }, samples).expect("memory as the bounds say");
    let (_, mut at) = run.advance().expect("one step");
    record.run(isa, &mut at, context);
}

/// Optimiser settings that turn updated parameters into gradients: `w -= 1 * g` from zero leaves `-g`.
pub const REVEAL: OptimizerRecord = OptimizerRecord::sgd(1.0);
