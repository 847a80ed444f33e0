//! State dicts onto graphs.

use super::*;
use crate::graph::Sequential;
use crate::graph::ops::{Activation, Conv2d, Dense, DepthwiseConv2d, Flatten};
use safetensors::tensor::TensorView;

/// A file of these tensors, filled with 0, 1, 2, ...
fn file(tensors: &[(&str, &[usize])]) -> Vec<u8> {
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(_, shape)| (0..shape.iter().product::<usize>()).flat_map(|i| (i as f32).to_le_bytes()).collect())
        .collect();
    let views = tensors
        .iter()
        .zip(&bytes)
        .map(|((name, shape), bytes)| (*name, TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap()));
    safetensors::serialize(views, None).unwrap()
}

fn mlp() -> Graph {
    let graph =
        Sequential::new([4]).add(Dense::new(3).activation(Activation::Relu)).add(Dense::new(3)).add(Dense::new(3));
    graph.build(1).unwrap()
}

fn values(graph: &Graph, name: &str) -> Vec<f32> {
    graph.tensor(graph.find_tensor(name).unwrap()).data.as_ref().unwrap().as_f32().unwrap().to_vec()
}

const LAYERS: [(&str, &[usize]); 6] = [
    ("net.10.weight", &[3, 3]),
    ("net.10.bias", &[3]),
    ("net.0.weight", &[3, 4]),
    ("net.0.bias", &[3]),
    ("net.2.weight", &[3, 3]),
    ("net.2.bias", &[3]),
];

fn modules(matched: &[Matched]) -> Vec<&str> {
    matched.iter().map(|m| m.module.as_str()).collect()
}

#[test]
fn modules_match_in_the_order_of_their_numbers() {
    let mut graph = mlp();
    let matched = apply(&mut graph, &file(&LAYERS), &[]).unwrap();
    assert_eq!(modules(&matched), ["net.0", "net.2", "net.10"]);
    assert_eq!(values(&graph, "dense/kernel"), (0..12).map(|i| i as f32).collect::<Vec<_>>());
    assert_eq!(matched[0].values, 15);
}

#[test]
fn equal_names_and_the_callers_word_come_first() {
    let mut graph = mlp();
    let map = [("dense_1".to_owned(), "net.10".to_owned())];
    assert_eq!(modules(&apply(&mut graph, &file(&LAYERS), &map).unwrap()), ["net.0", "net.10", "net.2"]);
    let mut named = LAYERS;
    (named[4].0, named[5].0) = ("dense_2.weight", "dense_2.bias");
    assert_eq!(modules(&apply(&mut graph, &file(&named), &[]).unwrap()), ["net.0", "net.10", "dense_2"]);
}

#[test]
fn names_out_of_order_match_where_only_one_fits() {
    let network = Sequential::new([4]).add(Dense::new(5)).add(Dense::new(3));
    let tensors: [(&str, &[usize]); 4] =
        [("a.weight", &[3, 5]), ("a.bias", &[3]), ("b.weight", &[5, 4]), ("b.bias", &[5])];
    let mut graph = network.build(1).unwrap();
    assert_eq!(modules(&apply(&mut graph, &file(&tensors), &[]).unwrap()), ["b", "a"]);
}

#[test]
fn kernels_change_their_layout_and_flattened_images_their_order() {
    let mut graph = Sequential::new([4, 3, 2])
        .add(Conv2d::new(2, [3, 2]))
        .add(DepthwiseConv2d::new([1, 2]).depth_multiplier(2).activation(Activation::Relu))
        .add(Flatten {})
        .add(Dense::new(1))
        .build(1)
        .unwrap();
    let tensors: [(&str, &[usize]); 6] = [
        ("c1.weight", &[2, 2, 3, 2]),
        ("c1.bias", &[2]),
        ("c2.weight", &[4, 1, 1, 2]),
        ("c2.bias", &[4]),
        ("fc.weight", &[1, 8]),
        ("fc.bias", &[1]),
    ];
    apply(&mut graph, &file(&tensors), &[]).unwrap();
    // OIHW 2x2x3x2: element (o, i, y, x) was 12 o + 6 i + 2 y + x.
    let conv: Vec<f32> = (0..2)
        .flat_map(|o| {
            (0..3).flat_map(move |y| (0..2).flat_map(move |x| (0..2).map(move |i| (12 * o + 6 * i + 2 * y + x) as f32)))
        })
        .collect();
    assert_eq!(values(&graph, "conv2d/kernel"), conv);
    assert_eq!(values(&graph, "depthwise_conv2d/kernel"), [0.0, 2.0, 4.0, 6.0, 1.0, 3.0, 5.0, 7.0]);
    // The image is 2x1x4; PyTorch counts 4x2x1.
    assert_eq!(values(&graph, "dense/kernel"), [0.0, 2.0, 4.0, 6.0, 1.0, 3.0, 5.0, 7.0]);
}

#[test]
fn what_does_not_fit_is_named() {
    let refusal = |tensors: &[(&str, &[usize])], map: &[(&str, &str)]| {
        let map: Vec<(String, String)> = map.iter().map(|(l, m)| ((*l).into(), (*m).into())).collect();
        let mut graph = mlp();
        let before = graph.clone();
        let error = apply(&mut graph, &file(tensors), &map).unwrap_err().to_string();
        assert_eq!(graph, before, "nothing changes on an error");
        error
    };
    assert_eq!(
        refusal(&LAYERS[..4], &[]),
        "the file has no weights for layer `dense_2` (dense), which wants bias 3, weight 3x3; \
         all its modules serve other layers"
    );
    let mut more = LAYERS.to_vec();
    more.push(("extra.weight", &[7]));
    assert!(
        refusal(&more, &[("dense_1", "net.2")]).starts_with("nothing in the graph wants `extra.weight` of the file")
    );
    assert!(refusal(&more, &[]).contains("net.2, net.10 all fit layer `dense_1`; say which one with --map dense_1="));
    assert_eq!(
        refusal(&LAYERS, &[("dense", "net.2")]),
        "module `net.2` has bias 3, weight 3x3; layer `dense` (dense) wants bias 3, weight 3x4"
    );
    assert!(
        refusal(&LAYERS, &[("x", "net.2")]).contains("--map names a layer `x`, which is not there; there are: dense,")
    );
    assert!(refusal(&LAYERS, &[("dense", "y")]).contains("--map names a module `y`"));
    let error = apply(&mut mlp(), b"PK", &[]).unwrap_err().to_string();
    assert_eq!(error, "not a safetensors file");
}
