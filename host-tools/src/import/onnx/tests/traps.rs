//! What importers of ONNX get wrong, one test each.
//!
//! | trap | test |
//! |---|---|
//! | files of IR version 3 list initialisers as inputs, too | `layouts::old_files_list_initializers_as_inputs_too` |
//! | SAME_UPPER and SAME_LOWER | `layouts::padding_by_name_is_resolved` |
//! | a convolution's bias is an Add of shape `[C, 1, 1]` | [`a_convolutions_bias_may_be_an_add`] |
//! | a dense layer's weights are of rank 4, behind a Reshape | [`dense_weights_may_lie_behind_a_reshape`] |
//! | they are quantised at run time, behind that Reshape | [`weights_may_be_quantised_at_run_time`] |
//! | weights and biases are integers behind DequantizeLinear | [`integer_weights_and_biases_lie_behind_dequantizelinear`] |
//! | biases are added by QLinearAdd of `com.microsoft` | [`a_bias_may_be_added_by_onnxruntimes_own_operator`] |
//! | Gemm's transB, a Reshape by an int64 initialiser, operator set 9 | [`gemm_may_turn_its_weights`] |

use super::*;
use crate::graph::{DType, Graph};

/// Small whole numbers.
fn ramp(count: usize) -> Vec<f32> {
    (0..count).map(|i| (i % 7) as f32 - 3.0).collect()
}

/// How many nodes compute in floats.
fn float_layers(graph: &Graph) -> usize {
    let layer = |kind: &str| matches!(kind, "conv2d" | "dense" | "add" | "mul" | "div" | "prelu" | "matmul");
    graph.nodes.iter().filter(|n| layer(n.op.kind()) && graph.tensor(n.outputs[0]).dtype == DType::F32).count()
}

#[test]
fn a_convolutions_bias_may_be_an_add() {
    let file = File::new(8)
        .input("x", &["1", "1", "2", "2"])
        .floats("w", &[2, 1, 1, 1], &[2.0, -1.0])
        .floats("b", &[2, 1, 1], &[10.0, 20.0])
        .node("Conv", &["x", "w"], "conv", &[])
        .node("Add", &["conv", "b"], "y", &[])
        .output("y");
    let imported = import(&file);
    assert_eq!(kinds(&imported), ["conv2d"]);
    // Channels last.
    assert_eq!(run(&imported, &[1.0, 2.0, 3.0, 4.0]), [12.0, 19.0, 14.0, 18.0, 16.0, 17.0, 18.0, 16.0]);
}

/// An image of 2 channels, flattened, times `[2, 2, 2, 3]` weights: channels, rows, columns, outputs.
fn dense_of_rank_four(quantized: bool) -> File {
    let file = File::new(13)
        .input("x", &["1", "2", "2", "2"])
        .floats("w", &[2, 2, 2, 3], &ramp(24))
        .ints("flat", &[1, 8])
        .ints("matrix", &[8, 3])
        .floats("one", &[], &[1.0])
        .raw("zero", 3, &[], &[0])
        .node("Reshape", &["w", "matrix"], "wm", &[]);
    match quantized {
        false => file.node("Reshape", &["x", "flat"], "xf", &[]).node("MatMul", &["xf", "wm"], "y", &[]).output("y"),
        true => file
            .node("QuantizeLinear", &["x", "one", "zero"], "xq", &[])
            .node("DequantizeLinear", &["xq", "one", "zero"], "xd", &[])
            .node("Reshape", &["xd", "flat"], "xf", &[])
            .node("QuantizeLinear", &["wm", "one", "zero"], "wq", &[])
            .node("DequantizeLinear", &["wq", "one", "zero"], "wd", &[])
            .node("MatMul", &["xf", "wd"], "p", &[])
            .node("QuantizeLinear", &["p", "one", "zero"], "q", &[])
            .node("DequantizeLinear", &["q", "one", "zero"], "y", &[])
            .output("y"),
    }
}

/// What it computes. Nothing in the model needs channels last, so the image lies as in the file.
fn product(x: &[f32]) -> Vec<f32> {
    let w = ramp(24);
    (0..3).map(|output| (0..8).map(|flat| x[flat] * w[flat * 3 + output]).sum()).collect()
}

#[test]
fn dense_weights_may_lie_behind_a_reshape() {
    let imported = import(&dense_of_rank_four(false));
    assert_eq!(kinds(&imported), ["reshape", "dense"]);
    let x: Vec<f32> = (0..8).map(|i| i as f32).collect();
    assert_eq!(run(&imported, &x), product(&x));
}

#[test]
fn weights_may_be_quantised_at_run_time() {
    let imported = import(&dense_of_rank_four(true));
    assert_eq!(float_layers(&imported.graph), 0, "{:?}", kinds(&imported));
    let x: Vec<f32> = (0..8).map(|i| i as f32 - 4.0).collect();
    assert_eq!(run(&imported, &x), product(&x));
}

#[test]
fn integer_weights_and_biases_lie_behind_dequantizelinear() {
    // A scale for each channel; biases of int8, as onnxruntime's quantiser leaves the small ones.
    let file = File::new(13)
        .input("x", &["1", "1", "1", "2"])
        .floats("s", &[], &[0.5])
        .raw("z", 3, &[], &[0])
        .raw("w", 3, &[2, 1, 1, 1], &[2, 0xff])
        .floats("ws", &[2], &[1.0, 2.0])
        .raw("wz", 3, &[2], &[0, 0])
        .raw("b", 3, &[2], &[3, 0xfc])
        .floats("bs", &[2], &[0.5, 1.0])
        .node("QuantizeLinear", &["x", "s", "z"], "xq", &[])
        .node("DequantizeLinear", &["xq", "s", "z"], "xd", &[])
        .node("DequantizeLinear", &["w", "ws", "wz"], "wd", &[int("axis", 0)])
        .node("DequantizeLinear", &["b", "bs", "wz"], "bd", &[int("axis", 0)])
        .node("Conv", &["xd", "wd", "bd"], "c", &[])
        .node("QuantizeLinear", &["c", "s", "z"], "cq", &[])
        .node("DequantizeLinear", &["cq", "s", "z"], "y", &[])
        .output("y");
    let imported = import(&file);
    assert_eq!(float_layers(&imported.graph), 0, "{:?}", kinds(&imported));
    // 2 x + 1.5 and -2 x - 4.
    assert_eq!(run(&imported, &[1.0, 2.5]), [3.5, -6.0, 6.5, -9.0]);
}

#[test]
fn a_bias_may_be_added_by_onnxruntimes_own_operator() {
    let quantized = ["s", "z"];
    let file = File::new(11)
        .input("x", &["1", "1", "1", "2"])
        .floats("s", &[], &[0.5])
        .raw("z", 2, &[], &[128])
        .floats("bs", &[], &[0.25])
        .raw("b", 2, &[2, 1, 1], &[132, 120])
        .raw("w", 3, &[2, 1, 1, 1], &[1, 2])
        .raw("wz", 3, &[], &[0])
        .floats("ws", &[], &[1.0])
        .node("QuantizeLinear", &["x", "s", "z"], "xq", &[])
        .node("QLinearConv", &["xq", "s", "z", "w", "ws", "wz", "s", "z"], "c", &[])
        .node_in("com.microsoft", "QLinearAdd", &["c", "s", "z", "b", "bs", "z", "s", "z"], &["sum"], &[])
        .node("DequantizeLinear", &["sum", quantized[0], quantized[1]], "y", &[])
        .output("y");
    let imported = import(&file);
    assert_eq!(float_layers(&imported.graph), 0, "{:?}", kinds(&imported));
    // x + 1 and 2 x - 2.
    assert_eq!(run(&imported, &[3.0, -1.5]), [4.0, 4.0, -0.5, -5.0]);
}

#[test]
fn gemm_may_turn_its_weights() {
    let gemm = |turned: bool| {
        // [3, 2] as the file has them where they are turned.
        let (shape, values) = match turned {
            true => ([2, 3], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
            false => ([3, 2], [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]),
        };
        let attributes = [int("transB", i64::from(turned)), float("beta", 2.0)];
        let file = File::new(9)
            .input("x", &["1", "1", "3"])
            .ints("flat", &[1, 3])
            .floats("w", &shape, &values)
            .floats("b", &[2], &[0.5, -0.5])
            .node("Reshape", &["x", "flat"], "xf", &[])
            .node("Gemm", &["xf", "w", "b"], "y", &attributes)
            .output("y");
        run(&import(&file), &[1.0, 10.0, 100.0])
    };
    assert_eq!(gemm(true), [321.0 + 1.0, 654.0 - 1.0]);
    assert_eq!(gemm(false), gemm(true));
}

/// Quotients and parametric relus between DequantizeLinear and QuantizeLinear run in integers.
#[test]
fn quotients_and_slopes_stay_integers() {
    let file = |rest: fn(File) -> File| {
        let file = File::new(13)
            .input("x", &["1", "2", "1", "2"])
            .floats("s", &[], &[0.25])
            .raw("z", 3, &[], &[0xfb])
            .floats("slopes", &[], &[0.5])
            .raw("zero", 3, &[], &[0])
            .raw("slope", 3, &[2, 1, 1], &[1, 0xfe])
            .node("DequantizeLinear", &["slope", "slopes", "zero"], "sd", &[])
            .node("QuantizeLinear", &["x", "s", "z"], "xq", &[])
            .node("DequantizeLinear", &["xq", "s", "z"], "xd", &[]);
        rest(file)
            .node("QuantizeLinear", &["r", "s", "z"], "q", &[])
            .node("DequantizeLinear", &["q", "s", "z"], "y", &[])
            .output("y")
    };
    let check = |file: File, kind: &str, channels_last: bool, expected: &[f32]| {
        let imported = import(&file);
        assert!(kinds(&imported).contains(&kind), "{:?}", kinds(&imported));
        assert_eq!(float_layers(&imported.graph), 0, "{:?}", kinds(&imported));
        assert_eq!(imported.inputs[0].is_rearranged(), channels_last);
        assert_eq!(run(&imported, &[4.0, 4.0, -8.0, -3.0]), expected);
    };
    check(file(|f| f.node("PRelu", &["xd", "sd"], "r", &[])), "prelu", true, &[4.0, 4.0, -4.0, 3.0]);
    check(file(|f| f.node("PRelu", &["xd", "slopes"], "r", &[])), "leaky_relu", true, &[4.0, 4.0, -4.0, -1.5]);
    check(file(|f| f.node("Div", &["xd", "sd"], "r", &[])), "div", false, &[8.0, 8.0, 8.0, 3.0]);
}
