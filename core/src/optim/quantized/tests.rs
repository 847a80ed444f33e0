use super::*;
use crate::arch::Scalar;
use crate::optim::state::StateFormat;
use crate::optim::{GradSink, Optimizer, OptimizerRecord, Update};
use std::vec;
use std::vec::Vec;

/// Integers after updates with the same gradient, as `Update` makes them.
fn updated<T>(settings: OptimizerRecord, scales: Scales<'_>, values: &mut [T], gradient: &[f32], updates: u32)
where
    for<'a> Values<'a>: From<&'a mut [T]>,
{
    let layout = crate::optim::state::layout(&settings).unwrap();
    let mut state = vec![0.0; crate::optim::state::state_bytes(layout, values.len()) / 4];
    let mut tile = vec![0.0; 200];
    for update in 1..=updates {
        let optimizer = Optimizer::at_step(settings, update);
        let w = Quantized { values: (&mut *values).into(), scales, seed: 7, scaled: true };
        Update { isa: Scalar, optimizer: &optimizer, w, state: &mut state }
            .whole(&mut tile, |_, sink| sink.tile(0, gradient));
    }
}

#[test]
fn the_mean_is_that_of_the_float_model() {
    // A tenth of a step each, a hundred times: 10 steps, give or take three standard deviations of a binomial.
    let table = [0.5, 0.02];
    let scales = Scales { table: &table, factor: 1.0, run: 500 };
    let mut values = vec![0i8; 1000];
    let gradient: Vec<f32> = (0..1000).map(|i| -0.1 * table[i / 500]).collect();
    updated(OptimizerRecord::sgd(1.0), scales, &mut values, &gradient, 100);
    let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / 1000.0;
    assert!((mean - 10.0).abs() < 3.0 * (0.1 * 0.9 * 100.0 / 1000.0f64).sqrt(), "{mean}");
    assert!(values.iter().any(|v| *v != values[0]), "they are rounded at random");
}

#[test]
fn what_has_no_gradient_stays() {
    let table = [0.123_456_7, 3e-5, 7.7];
    for settings in [OptimizerRecord::sgd(0.1), OptimizerRecord::adam(0.1).with_state(StateFormat::Block8)] {
        let mut weights: Vec<i8> = (-127..=127).collect();
        let before = weights.clone();
        updated(settings, Scales { table: &table, factor: 0.3, run: 1 }, &mut weights, &[0.0; 255], 20);
        assert_eq!(weights, before);
        let mut biases: Vec<i32> = (0..255).map(|i| i * 8_000_001 - 1_000_000_000).collect();
        let before = biases.clone();
        updated(settings, Scales { table: &table, factor: 0.3, run: 1 }, &mut biases, &[0.0; 255], 20);
        assert_eq!(biases, before);
    }
}

#[test]
fn limits_hold() {
    let mut values = vec![126i8, -126];
    let scales = Scales { table: &[1.0], factor: 1.0, run: 1 };
    updated(OptimizerRecord::sgd(1.0), scales, &mut values, &[-1e9, 1e9], 1);
    assert_eq!(values, [127, -127]);
    updated(OptimizerRecord::sgd(1.0), scales, &mut values, &[f32::NAN, f32::NAN], 1);
    assert_eq!(values, [127, -127]);
}

#[test]
fn tiles_change_nothing() {
    let table: Vec<f32> = (1..=5).map(|i| 0.01 * i as f32).collect();
    let scales = Scales { table: &table, factor: 2.0, run: 60 };
    let gradient: Vec<f32> = (0..300).map(|i| (i as f32 - 150.0) * 1e-3).collect();
    for settings in
        [OptimizerRecord::momentum(0.1, 0.9, true), OptimizerRecord::adam(0.01).with_state(StateFormat::Bf16)]
    {
        let mut results = Vec::new();
        for cut in [300, 64, 7] {
            let mut values = vec![3i8; 300];
            let layout = crate::optim::state::layout(&settings).unwrap();
            let mut state = vec![0.0; crate::optim::state::state_bytes(layout, 300) / 4];
            for update in 1..10 {
                let w = Quantized { values: values.as_mut_slice().into(), scales, seed: 1, scaled: true };
                let optimizer = Optimizer::at_step(settings, update);
                Update { isa: Scalar, optimizer: &optimizer, w, state: &mut state }.whole(&mut [0.0; 64], |_, sink| {
                    for (number, part) in gradient.chunks(cut).enumerate() {
                        sink.tile(number * cut, part);
                    }
                });
            }
            results.push(values);
        }
        assert_eq!(results[0], results[1]);
        assert_eq!(results[0], results[2]);
    }
}

#[test]
fn scales_follow_their_parameters() {
    let scales = Scales { table: &[1.0, 2.0, 3.0], factor: 2.0, run: 2 };
    let all: Vec<f32> = scales.from(0).take(8).collect();
    assert_eq!(all, [2.0, 2.0, 4.0, 4.0, 6.0, 6.0, 2.0, 2.0]);
    for start in 0..8 {
        assert_eq!(scales.from(start).take(8 - start).collect::<Vec<_>>(), all[start..]);
    }
}
