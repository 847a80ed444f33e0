//! Computation that is done at import.

use super::*;
use crate::graph::Data;

/// `x -> RESHAPE(x, shape)` with shape = PACK(SHAPE(x)[0], -1).
#[test]
fn shape_arithmetic_disappears() {
    let file = File {
        tensors: vec![
            activation("x", &[1, 2, 3, 4], F32),
            activation("shape", &[4], I32),
            ints("begin", &[1], &[0]),
            ints("end", &[1], &[1]),
            ints("step", &[1], &[1]),
            activation("batch", &[], I32),
            ints("rest", &[], &[-1]),
            activation("target", &[2], I32),
            activation("y", &[1, 24], F32),
        ],
        operators: vec![
            operator(op::SHAPE, &[0], 1, None),
            operator(op::STRIDED_SLICE, &[1, 2, 3, 4], 5, Some(Table::new().with(4, Value::I32(1)))),
            operator(op::PACK, &[5, 6], 7, None),
            operator(op::RESHAPE, &[0, 7], 8, None),
        ],
        inputs: vec![0],
        outputs: vec![8],
        ..File::default()
    };
    let graph = import(&file).graph;
    assert_eq!(graph.nodes.len(), 1);
    assert_eq!(graph.tensor(graph.outputs[0]).shape, [24]);
}

#[test]
fn integer_arithmetic_follows_the_reference() {
    // shape(x) = [1, 2, 3, 4]; everything below makes the list [1, 24] out of it.
    let slice = |begin: i32, end: i32, step: i32, masks: [i32; 2]| {
        let options = Table::new().with(0, Value::I32(masks[0])).with(1, Value::I32(masks[1]));
        ([begin, end, step], options)
    };
    for ((range, options), product) in [
        (slice(1, 4, 1, [0, 0]), 24),
        (slice(-3, 0, 1, [0, 1]), 24),
        (slice(-1, 0, -1, [0, 0]), 24),
        (slice(9, 0, -2, [1, 1]), 8),
        (slice(0, 2, 1, [1, 0]), 2),
    ] {
        let file = File {
            tensors: vec![
                activation("x", &[1, 2, 3, 4], F32),
                activation("shape", &[4], I32),
                ints("begin", &[1], &range[..1]),
                ints("end", &[1], &range[1..2]),
                ints("step", &[1], &range[2..]),
                activation("part", &[], I32),
                ints("axis", &[1], &[0]),
                activation("product", &[1], I32),
                ints("one", &[1], &[1]),
                activation("target", &[2], I32),
                activation("y", &[], F32),
                ints("rest", &[1], &[-1]),
                activation("target3", &[3], I32),
            ],
            operators: vec![
                operator(op::SHAPE, &[0], 1, None),
                operator(op::STRIDED_SLICE, &[1, 2, 3, 4], 5, Some(options)),
                operator(op::REDUCE_PROD, &[5, 6], 7, Some(Table::new().with(0, Value::U8(1)))),
                operator(op::CONCATENATION, &[8, 7, 11], 12, None),
                operator(op::RESHAPE, &[0, 12], 10, None),
            ],
            inputs: vec![0],
            outputs: vec![10],
            ..File::default()
        };
        let graph = import(&file).graph;
        assert_eq!(graph.tensor(graph.outputs[0]).shape, [product, 24 / product], "{range:?}");
    }
}

#[test]
fn stored_kernels_are_unpacked_and_turned() {
    // f16 [in][out] behind DEQUANTIZE and TRANSPOSE becomes f32 [out][in].
    let halves = [0x3c00u16, 0x4000, 0x4200, 0x4400, 0x4500, 0x4600];
    let file = File {
        tensors: vec![
            activation("x", &[1, 2], F32),
            constant("half", &[2, 3], F16, halves.iter().flat_map(|h| h.to_le_bytes()).collect()),
            activation("wide", &[2, 3], F32),
            ints("order", &[2], &[1, 0]),
            activation("w", &[3, 2], F32),
            activation("y", &[1, 3], F32),
        ],
        operators: vec![
            operator(op::DEQUANTIZE, &[1], 2, None),
            operator(op::TRANSPOSE, &[2, 3], 4, None),
            operator(op::FULLY_CONNECTED, &[0, 4], 5, Some(Table::new())),
        ],
        inputs: vec![0],
        outputs: vec![5],
        ..File::default()
    };
    let graph = import(&file).graph;
    let w = graph.tensor(graph.find_tensor("w").unwrap());
    assert_eq!(w.data, Some(Data::F32(vec![1.0, 4.0, 2.0, 5.0, 3.0, 6.0])));
}

#[test]
fn stored_integers_become_reals_channel_by_channel() {
    let mut stored = kernel("stored", &[2, 3], &[0.5, 2.0], 0);
    stored.zero_points = vec![1, 0];
    let file = File {
        tensors: vec![
            activation("x", &[1, 3], F32),
            stored,
            activation("w", &[2, 3], F32),
            activation("y", &[1, 2], F32),
        ],
        operators: vec![
            operator(op::DEQUANTIZE, &[1], 2, None),
            operator(op::FULLY_CONNECTED, &[0, 2], 3, Some(Table::new())),
        ],
        inputs: vec![0],
        outputs: vec![3],
        ..File::default()
    };
    let graph = import(&file).graph;
    let w = graph.tensor(graph.find_tensor("w").unwrap());
    assert_eq!(w.data, Some(Data::F32(vec![-0.5, 0.0, 0.5, 6.0, 8.0, 10.0])));
}
