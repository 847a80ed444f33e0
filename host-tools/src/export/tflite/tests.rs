//! Graphs to files and back.

use super::*;
use crate::graph::ops::{
    Activation, Add, AveragePool2d, Conv2d, Dense, DepthwiseConv2d, Flatten, GlobalMaxPool2d, MaxPool2d, Padding,
};
use crate::graph::{Op, Sequential};
use crate::image::{self, PackOptions, pack};
use crate::import::tflite::from_bytes;
use crate::import::tflite::schema::op;
use crate::quant::{Scheme, quantize};
use embernet_core::arch::IsaId;
use embernet_core::exec::PlanKind;
use embernet_core::rng::Rng;

/// The outputs of a graph for noise, as bytes; `quantised` says how its inputs are filled.
fn outputs(graph: &Graph, seed: u64) -> Vec<u8> {
    let packed = pack(graph, &PackOptions { isa: IsaId::Scalar, ..PackOptions::default() }, None).unwrap();
    let image = packed.image().unwrap();
    let mut arena = image::arena_for(&image);
    let mut session = image::open(&image, &mut arena, IsaId::Scalar).unwrap();
    let mut rng = Rng::new(seed);
    let mut all = Vec::new();
    for _ in 0..5 {
        for input in 0..graph.inputs.len() {
            let float = graph.tensor(graph.inputs[input]).quant.is_none();
            for word in session.input_mut(PlanKind::Infer, input).chunks_mut(4) {
                let bytes =
                    if float { (rng.unit_f32() * 2.0 - 1.0).to_le_bytes() } else { rng.next_u32().to_le_bytes() };
                word.copy_from_slice(&bytes[..word.len()]);
            }
        }
        session.infer(1).unwrap();
        for output in 0..graph.outputs.len() {
            all.extend_from_slice(session.output(output));
        }
    }
    all
}

/// Exports, imports and compares: the graph that came back.
fn comes_back(graph: &Graph) -> Graph {
    let back = from_bytes(&to_bytes(graph).unwrap()).unwrap().graph;
    assert_eq!(outputs(graph, 9), outputs(&back, 9));
    back
}

fn noise(seed: u64, count: usize) -> Vec<f32> {
    let mut rng = Rng::new(seed);
    (0..count).map(|_| rng.unit_f32() * 2.0 - 1.0).collect()
}

#[test]
fn sequential_networks_come_back_in_f32_and_int8() {
    let conv = Conv2d::new(4, [3, 2]).padding(Padding::Same).activation(Activation::Relu6);
    let networks = [
        Sequential::new([7, 6, 2])
            .add(conv)
            .add(DepthwiseConv2d::new([3, 3]).depth_multiplier(2).strides([2, 2]).activation(Activation::Relu))
            .add(AveragePool2d::new([2, 2]))
            .add(Flatten {})
            .add(Dense::new(5).activation(Activation::Tanh))
            .add(Dense::new(3).activation(Activation::Softmax)),
        Sequential::new([8, 8, 4])
            .add(conv.groups(2).dilation([2, 1]))
            .add(MaxPool2d::new([2, 2]).padding(Padding::Same))
            .add(GlobalMaxPool2d {})
            .add(Dense::new(2).use_bias(false).activation(Activation::Sigmoid)),
    ];
    for network in networks {
        let graph = network.build(3).unwrap();
        comes_back(&graph);
        let samples = noise(4, 20 * graph.tensor(graph.inputs[0]).elements());
        comes_back(&quantize(&graph, &samples, Scheme::Int8).unwrap().graph);
    }
}

/// Desktop TFLite insists on a bias.
#[test]
fn convolutions_always_have_a_bias() {
    let conv = Conv2d::new(4, [3, 3]).use_bias(false);
    let graph = Sequential::new([5, 5, 2]).add(conv).add(conv.groups(2)).build(1).unwrap();
    let int8 = quantize(&graph, &noise(1, 500), Scheme::Int8).unwrap().graph;
    for graph in [graph, int8] {
        comes_back(&graph);
        assert!(to_file(&graph).unwrap().operators.iter().all(|o| o.code != op::CONV_2D || o.inputs.len() == 3));
    }
}

#[test]
fn other_paddings_become_operators() {
    let graph = Sequential::new([5, 5, 1])
        .add(Conv2d::new(3, [3, 3]).padding(Padding::Explicit { top: 2, bottom: 0, left: 1, right: 2 }))
        .add(MaxPool2d::new([3, 3]).padding(Padding::Explicit { top: 1, bottom: 2, left: 0, right: 1 }))
        .build(3)
        .unwrap();
    let codes: Vec<i32> = to_file(&graph).unwrap().operators.iter().map(|o| o.code).collect();
    assert_eq!(codes, [op::PAD, op::CONV_2D, op::PADV2, op::MAX_POOL_2D]);
}

#[test]
fn explicit_padding_that_has_a_name_needs_no_operator() {
    let graph = Sequential::new([5, 5, 1])
        .add(Conv2d::new(3, [3, 3]).padding(Padding::Explicit { top: 1, bottom: 1, left: 1, right: 1 }))
        .build(1)
        .unwrap();
    assert_eq!(to_file(&graph).unwrap().operators.len(), 1);
}

#[test]
fn what_tflite_cannot_say_is_refused() {
    let graph = Sequential::new([5, 5, 1])
        .add(AveragePool2d::new([3, 3]).padding(Padding::Explicit { top: 2, bottom: 0, left: 0, right: 0 }))
        .build(1)
        .unwrap();
    let error = to_bytes(&graph).unwrap_err().to_string();
    assert_eq!(error, "layer `average_pool2d` (average_pool2d): TFLite has no mean pooling with such padding");
}

#[test]
fn shared_models_come_back_as_they_were() {
    for path in crate::import::tflite::tests::shared_models() {
        let bytes = std::fs::read(&path).unwrap();
        let graph = from_bytes(&bytes).unwrap().graph;
        let back = comes_back(&graph);
        let kinds = |graph: &Graph| graph.nodes.iter().map(|n| n.op.clone()).collect::<Vec<Op>>();
        assert_eq!(kinds(&graph), kinds(&back), "{}", path.display());
        for (a, b) in graph.parameter_tensors().into_iter().zip(back.parameter_tensors()) {
            assert_eq!(graph.tensor(a), back.tensor(b), "{}", path.display());
        }
        let again = to_bytes(&back).unwrap();
        assert_eq!(again, to_bytes(&graph).unwrap(), "{}", path.display());
    }
}

#[test]
fn several_inputs_and_outputs_keep_their_places() {
    let mut graph = Graph::new("two");
    let tensor = |name: &str| crate::graph::Tensor::activation(name, [3], crate::graph::DType::F32);
    let [a, b, sum, relu] = ["a", "b", "sum", "relu"].map(|name| graph.add_tensor(tensor(name)));
    graph.add_node("add", Add { activation: Activation::Linear }, &[b, a], &[sum]);
    graph.add_node("relu", Activation::Relu, &[sum], &[relu]);
    (graph.inputs, graph.outputs) = (vec![a, b], vec![relu, sum]);
    let back = comes_back(&graph);
    let names = |ids: &[crate::graph::TensorId]| ids.iter().map(|id| back.tensor(*id).name.clone()).collect::<Vec<_>>();
    assert_eq!(
        (names(&back.inputs), names(&back.outputs)),
        (vec!["a".into(), "b".into()], vec!["relu".into(), "sum".into()])
    );
}
