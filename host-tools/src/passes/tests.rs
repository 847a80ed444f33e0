//! Every pass on the least graph that needs it, and all of them on random graphs, bit for bit.

mod channels;
mod depthwise;
mod pads;
mod random;

use super::evaluate::run_once;
use super::*;
use crate::graph::ops::*;
use crate::graph::{Activation, DType, Data, Quant, Selection, Sequential, Tensor, TensorId};
use crate::image::{self, host_isa};
use embernet_core::arch::IsaId;
use embernet_core::exec::PlanKind;
use embernet_core::rng::Rng;
use proptest::prelude::*;

/// Kinds of the nodes that are left.
fn kinds(graph: &Graph) -> Vec<&'static str> {
    graph.nodes.iter().map(|n| n.op.kind()).collect()
}

/// An activation, and the graph's input or output if asked.
fn add(g: &mut Graph, name: &str, shape: &[usize]) -> TensorId {
    g.add_tensor(Tensor::activation(name, shape, DType::F32))
}

/// The graph `x -> nodes -> y`, each node reading the one before.
fn line(input: &[usize], nodes: Vec<Op>) -> Graph {
    let mut g = Graph::new("line");
    let mut at = add(&mut g, "x", input);
    g.inputs.push(at);
    for (number, op) in nodes.into_iter().enumerate() {
        let shape = g.tensor(at).shape.clone();
        let next = op.output(&[Port { name: "x", shape: &shape }]).unwrap();
        let y = add(&mut g, &format!("y{number}"), &next);
        g.add_node(format!("node{number}"), op, &[at], &[y]);
        at = y;
    }
    g.outputs.push(at);
    g.validate().unwrap();
    g
}

/// All samples of all inputs at once; the bytes of all outputs.
fn outputs(graph: &Graph, inputs: &[Vec<u8>], isa: IsaId, simplified: bool) -> Vec<Vec<u8>> {
    let samples = inputs[0].len() / graph.tensor(graph.inputs[0]).bytes();
    let options = Options { samples, isa, reuse: simplified, ..Options::default() };
    let packed = image::pack(graph, &options, None).unwrap();
    let image = packed.image().unwrap();
    let mut arena = image::arena_for(&image);
    let mut session = image::open(&image, &mut arena, isa).unwrap();
    for (number, bytes) in inputs.iter().enumerate() {
        session.input_mut(PlanKind::Infer, number)[..bytes.len()].copy_from_slice(bytes);
    }
    session.infer(samples).unwrap();
    (0..graph.outputs.len()).map(|o| session.output(o).to_vec()).collect()
}

#[test]
fn lone_clamps_are_fused_and_others_stay() {
    let mut g = Sequential::new([4])
        .add(Dense::new(4))
        .add(Activation::Relu)
        .add(Dense::new(4).activation(Activation::Relu))
        .add(Activation::ReluN1To1)
        .add(Dense::new(3))
        .add(Activation::Tanh)
        .build(3)
        .unwrap();
    let output = g.tensor(g.outputs[0]).name.clone();
    let report = simplify(&mut g).unwrap();
    assert_eq!(report.to_string(), "simplified: 1 clamp fused");
    let kinds: Vec<_> = g.nodes.iter().map(|n| (n.op.kind(), n.op.fused().name())).collect();
    let expected =
        [("dense", "relu"), ("dense", "relu"), ("relu_n1_to_1", "linear"), ("dense", "linear"), ("tanh", "linear")];
    assert_eq!(kinds, expected);
    assert_eq!(g.tensor(g.outputs[0]).name, output);
    assert!(g.find_tensor("dense/output").is_none());
}

#[test]
fn a_clamp_is_not_fused_where_the_plain_value_is_needed() {
    let mut g = Graph::new("two outputs");
    let [a, b, y, z] = ["a", "b", "y", "z"].map(|name| add(&mut g, name, &[4]));
    g.add_node("sum", Add::default(), &[a, b], &[y]);
    g.add_node("relu", Activation::Relu, &[y], &[z]);
    (g.inputs, g.outputs) = (vec![a, b], vec![y, z]);
    assert_eq!(simplify(&mut g).unwrap().to_string(), "nothing to simplify");
    g.outputs = vec![z];
    assert_eq!(simplify(&mut g).unwrap().count("clamps"), 1);
    assert_eq!(kinds(&g), ["add"]);
}

/// `add -> relu` in int8 with these scales and zero points.
fn int8_relu(before: (f32, i32), after: (f32, i32)) -> Graph {
    let mut g = Graph::new("int8");
    let quants = [(0.5, 3), (0.25, -7), before, after];
    let [a, b, y, z] = ["a", "b", "y", "z"].map(|name| {
        let (scale, zero_point) = quants[g.tensors.len()];
        let tensor = Tensor::activation(name, [4], DType::I8).with_quant(Quant::per_tensor(scale, zero_point));
        g.add_tensor(tensor)
    });
    g.add_node("sum", Add::default(), &[a, b], &[y]);
    g.add_node("relu", Activation::Relu6, &[y], &[z]);
    (g.inputs, g.outputs) = (vec![a, b], vec![z]);
    g
}

#[test]
fn an_integer_clamp_is_fused_if_it_does_not_rescale() {
    let mut g = int8_relu((0.1, 5), (0.1, 5));
    assert_eq!(simplify(&mut g).unwrap().count("clamps"), 1);
    let mut g = int8_relu((0.1, 5), (0.05, -128));
    assert!(simplify(&mut g).unwrap().is_empty());
}

#[test]
fn what_no_output_needs_is_dropped() {
    let mut g = line(&[4], vec![Activation::Tanh.into(), Activation::Sigmoid.into(), Activation::Tanh.into()]);
    g.outputs = vec![g.nodes[0].outputs[0]];
    assert_eq!(simplify(&mut g).unwrap().count("reach"), 2);
    assert_eq!(kinds(&g), ["tanh"]);
    assert_eq!(g.tensors.len(), 2);
}

#[test]
fn constants_are_computed_by_the_kernels() {
    let mut g = Graph::new("constants");
    let x = add(&mut g, "x", &[3]);
    let c = g.add_tensor(Tensor::constant("c", [3, 1], Data::F32(vec![1.0, -2.0, 0.5])));
    let [flat, t, y] = ["flat", "t", "y"].map(|name| add(&mut g, name, &[3]));
    g.add_node("flatten", Flatten {}, &[c], &[flat]);
    g.add_node("tanh", Activation::Tanh, &[flat], &[t]);
    g.add_node("sum", Add::default(), &[x, t], &[y]);
    (g.inputs, g.outputs) = (vec![x], vec![y]);
    let before = run_once(&g, &[Data::F32(vec![0.25; 3])]);
    assert_eq!(simplify(&mut g).unwrap().count("constants"), 2);
    assert_eq!(kinds(&g), ["add"]);
    assert_eq!(run_once(&g, &[Data::F32(vec![0.25; 3])]), before);
    assert!(before.is_some());
}

#[test]
fn a_constant_that_learns_or_leaves_the_graph_stays() {
    let mut g = Graph::new("stays");
    let x = add(&mut g, "x", &[3]);
    let c = g.add_tensor(Tensor::parameter("c", [3], Data::F32(vec![1.0; 3])));
    let d = g.add_tensor(Tensor::constant("d", [3], Data::F32(vec![1.0; 3])));
    let [t, u, y] = ["t", "u", "y"].map(|name| add(&mut g, name, &[3]));
    g.add_node("tanh", Activation::Tanh, &[c], &[t]);
    g.add_node("sum", Add::default(), &[x, t], &[y]);
    g.add_node("output", Activation::Tanh, &[d], &[u]);
    (g.inputs, g.outputs) = (vec![x], vec![y, u]);
    assert!(simplify(&mut g).unwrap().is_empty());
}

#[test]
fn renamings_and_idle_nodes_go() {
    let nodes = vec![
        Reshape::new([2, 6]).into(),
        Reshape::new([12]).into(),
        Reshape::new([2, 3, 2]).into(),
        Activation::Relu.into(),
        Activation::Relu.into(),
        MaxPool2d::new([1, 1]).into(),
    ];
    let mut g = line(&[2, 3, 2], nodes);
    simplify(&mut g).unwrap();
    assert_eq!(kinds(&g), ["relu"]);
    // The mean of -0 alone is 0.
    let mut g = line(&[2, 3, 2], vec![AveragePool2d::new([1, 1]).into(), Activation::Tanh.into()]);
    assert!(simplify(&mut g).unwrap().is_empty());
    // A relu behind a relu6 changes nothing; the other way round it does.
    let mut g = line(&[4], vec![Activation::Relu6.into(), Activation::Relu.into()]);
    simplify(&mut g).unwrap();
    assert_eq!(kinds(&g), ["relu6"]);
    let mut g = line(&[4], vec![Activation::Relu.into(), Activation::Relu6.into()]);
    assert!(simplify(&mut g).unwrap().is_empty());
}

#[test]
fn what_only_moves_axes_of_one_goes() {
    let nodes = vec![
        Transpose { perm: vec![2, 0, 1] }.into(),
        Transpose { perm: vec![1, 2, 0] }.into(),
        Transpose { perm: vec![0, 2, 1] }.into(),
        Slice { begin: vec![0, 0, 0], size: vec![2, 1, 3], stride: vec![1, -1, 1] }.into(),
        Pad { before: vec![0; 3], after: vec![0; 3], value: 1.0 }.into(),
        Reduce { reduction: Reduction::Max, axes: vec![1], keepdims: false }.into(),
        Concat { axis: 0 }.into(),
        Activation::Tanh.into(),
    ];
    let mut g = line(&[2, 3, 1], nodes);
    simplify(&mut g).unwrap();
    assert_eq!(kinds(&g), ["reshape", "tanh"]);
    let mut g = line(&[2, 3, 1], vec![Transpose { perm: vec![1, 0, 2] }.into(), Activation::Tanh.into()]);
    assert!(simplify(&mut g).unwrap().is_empty());
}

/// `int8 -> f32 -> int8 -> relu`.
fn there_and_back(scale: f32, back: f32) -> Graph {
    let mut g = Graph::new("pair");
    let int8 =
        |name: &str, scale: f32| Tensor::activation(name, [4], DType::I8).with_quant(Quant::per_tensor(scale, 11));
    let x = g.add_tensor(int8("x", scale));
    let r = add(&mut g, "r", &[4]);
    let [q, y] = ["q", "y"].map(|name| g.add_tensor(int8(name, back)));
    g.add_node("dequantize", Dequantize {}, &[x], &[r]);
    g.add_node("quantize", Quantize {}, &[r], &[q]);
    g.add_node("relu", Activation::Relu, &[q], &[y]);
    (g.inputs, g.outputs) = (vec![x], vec![y]);
    g
}

#[test]
fn there_and_back_is_nothing_only_if_it_is_exact() {
    let mut g = there_and_back(0.037, 0.037);
    assert_eq!(simplify(&mut g).unwrap().count("identities"), 1);
    assert_eq!(kinds(&g), ["relu"]);
    let mut g = there_and_back(0.037, 0.036);
    assert!(simplify(&mut g).unwrap().is_empty());
    // So large that the reals are infinite: every integer comes back as a limit.
    let mut g = there_and_back(3e38, 3e38);
    assert!(simplify(&mut g).unwrap().is_empty());
}

#[test]
fn a_graph_of_which_nothing_is_left_gives_its_input() {
    let mut small = line(&[2, 2, 1], vec![Flatten {}.into(), Reshape::new([2, 2, 1]).into()]);
    simplify(&mut small).unwrap();
    assert_eq!(kinds(&small), ["reshape"]);
    let inputs = [(0..16).collect()];
    for simplified in [false, true] {
        assert_eq!(outputs(&small, &inputs, IsaId::Scalar, simplified), inputs);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn random_graphs_compute_the_same_bits(seed: u64, int8: bool) {
        let mut rng = Rng::new(seed);
        let graph = random::graph(&mut rng, if int8 { DType::I8 } else { DType::F32 });
        let samples = 1 + rng.below(3) as usize;
        let inputs = random::inputs(&mut rng, &graph, samples);
        let mut small = graph.clone();
        simplify(&mut small).unwrap();
        small.validate().unwrap();
        prop_assert!(small.nodes.len() <= graph.nodes.len());
        for isa in [IsaId::Scalar, host_isa(false)] {
            prop_assert_eq!(outputs(&graph, &inputs, isa, false), outputs(&small, &inputs, isa, true));
        }
        prop_assert!(simplify(&mut small).unwrap().is_empty());
    }
}
