//! Traps of integer arithmetic: what comes out of small imported layers, against sums written here.
//!
//! Scales are powers of two with a multiplier of 1, so that the expected numbers need no rounding
//! unless a test is about it.

use super::*;
use crate::image::{self, PackOptions, pack};
use embernet_core::arch::IsaId;
use embernet_core::exec::PlanKind;

/// Runs one sample.
fn run(file: &File, inputs: &[&[i8]]) -> Vec<i8> {
    let graph = import(file).graph;
    let packed = pack(&graph, &PackOptions { isa: IsaId::Scalar, ..PackOptions::default() }, None).unwrap();
    let image = packed.image().unwrap();
    let mut arena = image::arena_for(&image);
    let mut session = image::open(&image, &mut arena, IsaId::Scalar).unwrap();
    for (i, input) in inputs.iter().enumerate() {
        for (to, from) in session.input_mut(PlanKind::Infer, i).iter_mut().zip(*input) {
            *to = *from as u8;
        }
    }
    session.infer(1).unwrap();
    let len = graph.tensor(graph.outputs[0]).elements();
    session.output(0)[..len].iter().map(|b| *b as i8).collect()
}

fn quantized(name: &str, shape: &[i32], scale: f32, zero_point: i64) -> FileTensor {
    FileTensor { scales: vec![scale], zero_points: vec![zero_point], ..activation(name, shape, I8) }
}

fn weights(shape: &[i32], values: &[i8], axis: i32) -> FileTensor {
    FileTensor { data: Some(values.iter().map(|v| *v as u8).collect()), axis, ..kernel("w", shape, &[0.5], axis) }
}

/// One operator on one input.
fn one(input: FileTensor, constants: Vec<FileTensor>, output: FileTensor, code: i32, options: Table) -> File {
    let count = constants.len() as i32;
    let tensors = [vec![input], constants, vec![output]].concat();
    let inputs: Vec<i32> = (0..=count).collect();
    let operators = vec![operator(code, &inputs, count + 1, Some(options))];
    File { tensors, operators, inputs: vec![0], outputs: vec![count + 1], ..File::default() }
}

/// An odd total of SAME padding puts one more at the end, and what is there is the zero point. The
/// kernel is not square, the zero point not -128, and the fused RELU ends at the output's zero point.
#[test]
fn same_padding_pads_the_zero_point_and_more_at_the_end() {
    let (zero, out_zero) = (83i32, -7i32);
    let w: [i8; 6] = [1, -2, 3, 4, -5, -6];
    let x: Vec<i8> = (0..12).map(|i| (i * 7 - 40) as i8).collect();
    let file = one(
        quantized("x", &[1, 3, 4, 1], 0.5, zero.into()),
        vec![weights(&[1, 2, 3, 1], &w, 0)],
        quantized("y", &[1, 3, 4, 1], 16.0, out_zero.into()),
        op::CONV_2D,
        conv_options(0, 1, 1),
    );
    let mut expected = Vec::new();
    for row in 0..3i32 {
        for column in 0..4i32 {
            let mut sum = 0;
            for (tap, w) in w.iter().enumerate() {
                // Two rows: none above, one below. Three columns: one on each side.
                let (r, c) = (row + tap as i32 / 3, column + tap as i32 % 3 - 1);
                if (0..3).contains(&r) && (0..4).contains(&c) {
                    sum += (i32::from(x[(r * 4 + c) as usize]) - zero) * i32::from(*w);
                }
            }
            // 0.5 * 0.5 / 16 = 1 / 64, halves away from zero; negative ones are clamped anyway.
            expected.push(((f64::from(sum) / 64.0).round().max(0.0) as i32 + out_zero).clamp(-128, 127) as i8);
        }
    }
    assert_eq!(run(&file, &[&x]), expected);
    assert!(expected.contains(&(out_zero as i8)) && expected.iter().any(|y| *y > 0));
}

#[test]
fn a_depth_multiplier_gives_each_channel_a_run_of_outputs() {
    let w: Vec<i8> = (1..=16).collect();
    let file = one(
        quantized("x", &[1, 1, 1, 2], 0.5, 10),
        vec![weights(&[1, 1, 1, 16], &w, 3)],
        quantized("y", &[1, 1, 1, 16], 0.25, 0),
        op::DEPTHWISE_CONV_2D,
        depthwise_options(1, 1, 0),
    );
    let expected: Vec<i8> = (1..=16).map(|w| if w <= 8 { w } else { -2 * w }).collect();
    assert_eq!(run(&file, &[&[11, 8]]), expected);
}

/// sum / count, halves away from zero, and no other scale.
#[test]
fn average_pools_round_halves_away_from_zero() {
    let file = one(
        quantized("x", &[1, 1, 4, 1], 0.5, 9),
        vec![],
        quantized("y", &[1, 1, 2, 1], 0.5, 9),
        op::AVERAGE_POOL_2D,
        pool_options(1, 2, 2, 0).with(4, Value::I32(1)),
    );
    assert_eq!(run(&file, &[&[1, 2, -1, -2]]), [2, -2]);
}

/// MEAN may change the scale and zero point, which pools may not.
#[test]
fn means_rescale() {
    let file = one(
        quantized("x", &[1, 2, 2, 1], 0.5, 3),
        vec![ints("axes", &[2], &[1, 2])],
        quantized("y", &[1, 1], 0.25, -5),
        op::MEAN,
        Table::new(),
    );
    // (sum - 4 * 3) / 4 * 2 - 5
    assert_eq!(run(&file, &[&[10, 20, 30, 40]]), [39]);
    assert_eq!(run(&file, &[&[3, 3, 3, 1]]), [-6]);
}

#[test]
fn added_tensors_may_have_different_scales() {
    let file = File {
        tensors: vec![
            quantized("a", &[1, 3], 0.5, -2),
            quantized("b", &[1, 3], 0.25, -1),
            quantized("y", &[1, 3], 0.25, -3),
        ],
        operators: vec![operator(op::ADD, &[0, 1], 2, Some(Table::new()))],
        inputs: vec![0, 1],
        outputs: vec![2],
        ..File::default()
    };
    // 2 (a + 2) + (b + 1) - 3
    assert_eq!(run(&file, &[&[0, 10, -128], &[0, -20, 127]]), [2, 2, -127]);
}

/// A model of raw pixels: a scale of 1 and zero point -128.
#[test]
fn a_scale_of_one_is_a_scale() {
    let file = one(
        quantized("x", &[1, 2], 1.0, -128),
        vec![kernel("w", &[1, 2], &[1.0], 0)],
        quantized("y", &[1, 1], 4.0, -128),
        op::FULLY_CONNECTED,
        Table::new(),
    );
    // Weights 0 and 1: the second pixel, 200, over 4, less 128.
    assert_eq!(run(&file, &[&[0, 72]]), [-78]);
}
