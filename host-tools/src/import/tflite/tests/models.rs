//! What becomes of a whole model.

use super::*;
use crate::graph::ops::{Activation, Op, Padding};
use crate::graph::{Data, Quant};
use crate::testing::shared;
use std::path::PathBuf;

#[test]
fn a_small_network_keeps_shapes_layouts_and_scales() {
    let Imported { graph, activations } = import(&small_cnn());
    assert_eq!(graph.name, "small");
    let kinds: Vec<_> = graph.nodes.iter().map(|n| n.op.kind()).collect();
    assert_eq!(kinds, ["conv2d", "depthwise_conv2d", "average_pool2d", "reshape", "dense", "softmax"]);
    let shape = |name: &str| graph.tensor(graph.find_tensor(name).unwrap()).shape.clone();
    assert_eq!(shape("image"), [6, 6, 1]);
    assert_eq!(shape("conv"), [6, 6, 2]);
    assert_eq!(shape("dw"), [4, 4, 4]);
    assert_eq!(shape("pool"), [2, 2, 4]);
    assert_eq!(shape("flat"), [16]);
    assert_eq!(shape("probabilities"), [3]);
    let quant = |name: &str| graph.tensor(graph.find_tensor(name).unwrap()).quant.clone();
    assert_eq!(quant("image"), Some(Quant::per_tensor(0.5, -3)));
    assert_eq!(quant("conv/w"), Some(Quant::per_axis(vec![0.1, 0.2], 0)));
    assert_eq!(quant("dw/w"), Some(Quant::per_axis(vec![0.1, 0.2, 0.3, 0.4], 2)));
    assert_eq!(quant("fc/w"), Some(Quant::per_tensor(0.05, 0)));
    assert_eq!(shape("dw/w"), [3, 3, 4]);
    let Op::Conv2d(conv) = &graph.nodes[0].op else { panic!() };
    assert_eq!((conv.padding, conv.activation), (Padding::Same, Activation::Relu));
    let Op::DepthwiseConv2d(depthwise) = &graph.nodes[1].op else { panic!() };
    assert_eq!((depthwise.depth_multiplier, depthwise.activation), (2, Activation::Relu6));
    let bias = graph.tensor(graph.find_tensor("conv/b").unwrap());
    assert_eq!(bias.data, Some(Data::I32(vec![5, -5])));
    assert_eq!(activations[3], graph.find_tensor("conv"));
    assert_eq!(activations[1], None);
}

#[test]
fn biases_may_be_absent() {
    for inputs in [vec![0, 1], vec![0, 1, -1]] {
        let mut file = small_cnn();
        file.operators[0].inputs = inputs;
        let graph = import(&file).graph;
        assert_eq!(graph.nodes[0].parameters().len(), 1);
    }
}

#[test]
fn dense_flattens_images_and_a_kept_rank_comes_back() {
    let mut file = File {
        tensors: vec![
            activation("x", &[1, 1, 2, 3], F32),
            floats("w", &[2, 6], &[0.5; 12]),
            activation("y", &[1, 2], F32),
        ],
        operators: vec![operator(op::FULLY_CONNECTED, &[0, 1], 2, Some(Table::new()))],
        inputs: vec![0],
        outputs: vec![2],
        ..File::default()
    };
    let kinds = |file: &File| import(file).graph.nodes.iter().map(|n| n.op.kind()).collect::<Vec<_>>();
    assert_eq!(kinds(&file), ["reshape", "dense"]);
    file.tensors[0].shape = vec![1, 1, 1, 6];
    file.tensors[2].shape = vec![1, 1, 1, 2];
    file.operators[0].options = Some((8, Table::new().with(2, Value::U8(1))));
    assert_eq!(kinds(&file), ["dense"]);
    assert_eq!(import(&file).graph.tensor(import(&file).graph.outputs[0]).shape, [1, 1, 2]);
}

#[test]
fn names_are_made_unique() {
    let mut file = small_cnn();
    for tensor in &mut file.tensors {
        tensor.name = "x".into();
    }
    file.tensors[0].name = "x_1".into();
    file.tensors[3].name = "__metadata__".into();
    file.tensors[6].name.clear();
    let graph = import(&file).graph;
    assert!(graph.find_tensor("tensor_6").is_some());
    assert!(graph.find_tensor("__metadata__").is_none());
}

/// The shared model files; none (and said so) where there are none.
pub fn shared_models() -> Vec<PathBuf> {
    let Some(folder) = shared("models") else { return Vec::new() };
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let files = entries.flatten().map(|e| e.path().join("model.tflite")).filter(|p| p.exists());
    let mut models: Vec<PathBuf> = files.collect();
    models.sort();
    models
}

#[test]
fn shared_models_have_the_sizes_that_their_descriptions_say() {
    for path in shared_models() {
        let imported = crate::import::tflite::load(&path).unwrap_or_else(|e| panic!("{}", chain(&e)));
        let info = std::fs::read_to_string(path.with_file_name("info.json")).unwrap();
        let info: serde_json::Value = serde_json::from_str(&info).unwrap();
        if let Some(macs) = info["macs"].as_u64() {
            assert_eq!(imported.graph.macs(), macs, "{}", path.display());
        }
        for layer in info["layers"].as_array().unwrap() {
            let index = layer["outs"][0].as_u64().unwrap() as usize;
            let id = imported.activations[index].expect("every layer makes an activation");
            let full: Vec<usize> = serde_json::from_value(layer["out_shape"].clone()).unwrap();
            assert_eq!(imported.graph.tensor(id).elements(), full.iter().product::<usize>(), "{}", path.display());
        }
    }
}
