//! What becomes of axes, weights and names.

use super::*;
use crate::graph::{Data, Graph};

fn values(graph: &Graph, name: &str) -> Vec<f32> {
    let id = graph.find_tensor(name).unwrap_or_else(|| panic!("no `{name}`"));
    graph.tensor(id).data.as_ref().and_then(Data::as_f32).expect("a float constant").to_vec()
}

fn shape(graph: &Graph, name: &str) -> Vec<usize> {
    graph.tensor(graph.find_tensor(name).unwrap_or_else(|| panic!("no `{name}`"))).shape.clone()
}

#[test]
fn an_image_network_has_its_channels_last() {
    let imported = import(&small_cnn());
    let graph = &imported.graph;
    assert_eq!(kinds(&imported), ["conv2d", "relu", "max_pool2d", "reshape", "dense", "softmax"]);
    assert_eq!(shape(graph, "image"), [6, 6, 2]);
    assert_eq!(imported.inputs[0].axes, [0, 2, 3, 1]);
    assert_eq!(imported.inputs[0].shape, [1, 2, 6, 6]);
    assert!(imported.inputs[0].is_rearranged() && !imported.outputs[0].is_rearranged());
    assert_eq!(shape(graph, "conv.w"), [3, 3, 3, 2]);
    assert_eq!(shape(graph, "pool"), [3, 3, 3]);
    assert_eq!((imported.transposes, imported.transposes_left), (0, 0));
}

#[test]
fn batch_norm_becomes_part_of_the_convolution() {
    let graph = import(&small_cnn()).graph;
    // Channel 1: 2 / sqrt(4) = 1 and 0.2 - 1 * 1; channel 2: 0.5 / sqrt(0.25) = 1 and 0.3 + 1.
    assert_eq!(values(&graph, "norm/bias"), [0.1, 0.2 - 1.0, 1.3]);
    // Filter 0 has factor 1: [0][c][y][x] of the file is [0][y][x][c] here.
    let weights = values(&graph, "conv.w");
    assert_eq!(&weights[..4], [-0.5, 9.0 / 16.0 - 0.5, 1.0 / 16.0 - 0.5, 10.0 / 16.0 - 0.5]);
}

#[test]
fn dense_weights_follow_the_flattened_image() {
    let graph = import(&small_cnn()).graph;
    let weights = values(&graph, "fc.w");
    // The file counts (channel, row, column) of 3x3x3; memory has the channel last.
    let ramp = |i: usize| (i % 17) as f32 / 16.0 - 0.5;
    assert_eq!(&weights[..4], [ramp(0), ramp(9), ramp(18), ramp(1)]);
    assert_eq!(weights[27], ramp(27));
}

#[test]
fn transposes_of_a_channels_last_model_vanish() {
    let file = File::new(13)
        .input("image", &["1", "4", "4", "3"])
        .floats("w", &[2, 3, 1, 1], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
        .node("Transpose", &["image"], "nchw", &[ints("perm", &[0, 3, 1, 2])])
        .node("Conv", &["nchw", "w"], "conv", &[])
        .node("Transpose", &["conv"], "nhwc", &[ints("perm", &[0, 2, 3, 1])])
        .output("nhwc");
    let imported = import(&file);
    assert_eq!(kinds(&imported), ["conv2d"]);
    assert_eq!((imported.transposes, imported.transposes_left), (2, 0));
    assert_eq!(imported.inputs[0].axes, [0, 1, 2, 3]);
    assert_eq!(
        (imported.outputs[0].shape.as_slice(), imported.outputs[0].axes.as_slice()),
        (&[1, 4, 4, 2][..], &[0, 1, 2, 3][..])
    );
}

#[test]
fn old_files_list_initializers_as_inputs_too() {
    let mut file = small_cnn().input("conv.w", &["3", "2", "3", "3"]);
    file.ir = 3;
    assert_eq!(import(&file).inputs.len(), 1);
}

#[test]
fn a_bias_that_stands_alone_joins_the_layer() {
    let file = File::new(8)
        .input("x", &["1", "4"])
        .floats("w", &[4, 2], &[1.0; 8])
        .floats("b", &[1, 2], &[3.0, 4.0])
        .node("MatMul", &["x", "w"], "product", &[])
        .node("Add", &["b", "product"], "sum", &[])
        .output("sum");
    let imported = import(&file);
    assert_eq!(kinds(&imported), ["dense"]);
    assert_eq!(values(&imported.graph, "sum/bias"), [3.0, 4.0]);
}

#[test]
fn shape_arithmetic_is_computed() {
    // x.view(x.size(0), -1), as exporters write it.
    let file = File::new(11)
        .input("x", &["N", "2", "3"])
        .ints("first", &[0])
        .ints("rest", &[-1])
        .floats("w", &[6, 2], &[1.0; 12])
        .node("Shape", &["x"], "shape", &[])
        .node("Gather", &["shape", "first"], "size", &[int("axis", 0)])
        .node("Concat", &["size", "rest"], "target", &[int("axis", 0)])
        .node("Reshape", &["x", "target"], "flat", &[])
        .node("MatMul", &["flat", "w"], "y", &[])
        .output("y");
    assert_eq!(kinds(&import(&file)), ["reshape", "dense"]);
}

#[test]
fn padding_by_name_is_resolved() {
    let conv = |name: &str| {
        let file = File::new(13)
            .input("x", &["1", "1", "5", "5"])
            .floats("w", &[1, 1, 2, 2], &[1.0; 4])
            .node("Conv", &["x", "w"], "y", &[text("auto_pad", name)])
            .output("y");
        let graph = import(&file).graph;
        (graph.nodes[0].op.clone(), shape(&graph, "y"))
    };
    let (upper, lower, valid) = (conv("SAME_UPPER"), conv("SAME_LOWER"), conv("VALID"));
    assert_eq!(
        (upper.1.as_slice(), lower.1.as_slice(), valid.1.as_slice()),
        (&[5, 5, 1][..], &[5, 5, 1][..], &[4, 4, 1][..])
    );
    let crate::graph::Op::Conv2d(conv) = lower.0 else { panic!() };
    assert_eq!(conv.padding, crate::graph::ops::Padding::Explicit { top: 1, bottom: 0, left: 1, right: 0 });
}

#[test]
fn a_batch_norm_without_a_layer_stays_one() {
    let file = File::new(13)
        .input("image", &["1", "2", "3", "2"])
        .floats("gamma", &[2], &[2.0, 0.5])
        .floats("beta", &[2], &[0.25, -1.0])
        .floats("mean", &[2], &[1.0, -1.0])
        .floats("variance", &[2], &[4.0, 0.25])
        .node("BatchNormalization", &["image", "gamma", "beta", "mean", "variance"], "norm", &[float("epsilon", 0.0)])
        .output("norm");
    let imported = import(&file);
    // Trainable from a checkpoint; packed, it is a scale and a shift; quantised, a depthwise convolution.
    assert!(kinds(&imported).contains(&"batch_norm"), "{:?}", kinds(&imported));
    let x: Vec<f32> = (0..12).map(|i| i as f32).collect();
    let expected: Vec<f32> =
        x.iter().enumerate().map(|(i, x)| if i % 2 == 0 { x - 1.0 + 0.25 } else { x + 1.0 - 1.0 }).collect();
    assert_eq!(run(&imported, &x), expected);
}

#[test]
fn weights_of_four_bits_stay_so() {
    let bytes = [0x21, 0xf3, 0x8e, 0x70];
    let file = File::new(21)
        .input("x", &["1", "2"])
        .floats("s", &[], &[0.5])
        .raw("z", 3, &[], &[0])
        .raw("w", 22, &[2, 4], &bytes)
        .floats("ws", &[], &[0.25])
        .node("QuantizeLinear", &["x", "s", "z"], "q", &[])
        .node("DequantizeLinear", &["q", "s", "z"], "xd", &[])
        .node("DequantizeLinear", &["w", "ws"], "wd", &[])
        .node("MatMul", &["xd", "wd"], "y", &[])
        .node("QuantizeLinear", &["y", "s", "z"], "yq", &[])
        .node("DequantizeLinear", &["yq", "s", "z"], "yd", &[])
        .output("yd");
    let imported = import(&file);
    let four = imported.graph.tensors.iter().find_map(|t| t.data.as_ref().filter(|d| matches!(d, Data::I4(_))));
    // [2, 4] of the file, low nibbles first, turned.
    assert_eq!(four, Some(&Data::I4(vec![1, -2, 2, -8, 3, 0, -1, 7])));
    // 2 * 0.25 * [1, 2, 3, -1] + 4 * 0.25 * [-2, -8, 0, 7]
    assert_eq!(run(&imported, &[2.0, 4.0]), [-1.5, -7.0, 1.5, 6.5]);
}

#[test]
fn max_pools_may_have_gaps() {
    let file = File::new(13)
        .input("image", &["1", "1", "4", "4"])
        .node("MaxPool", &["image"], "pool", &[ints("kernel_shape", &[2, 2]), ints("dilations", &[2, 2])])
        .output("pool");
    let x: Vec<f32> = (0..16).map(|i| ((i * 7) % 16) as f32).collect();
    let at = |r: usize, c: usize| x[r * 4 + c];
    let of = |r, c| at(r, c).max(at(r, c + 2)).max(at(r + 2, c)).max(at(r + 2, c + 2));
    assert_eq!(run(&import(&file), &x), [of(0, 0), of(0, 1), of(1, 0), of(1, 1)]);
}
