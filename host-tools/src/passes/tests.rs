//! Every pass on the least graph that needs it, and all of them on random graphs, bit for bit.

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
        AveragePool2d::new([1, 1]).into(),
        Activation::Relu.into(),
        Activation::Relu.into(),
        MaxPool2d::new([1, 1]).into(),
    ];
    let mut g = line(&[2, 3, 2], nodes);
    simplify(&mut g).unwrap();
    assert_eq!(kinds(&g), ["relu"]);
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
        Reduce { reduction: Reduction::Mean, axes: vec![1], keepdims: false }.into(),
        Concat { axis: 0 }.into(),
        Activation::Tanh.into(),
    ];
    let mut g = line(&[2, 3, 1], nodes);
    simplify(&mut g).unwrap();
    assert_eq!(kinds(&g), ["reshape", "tanh"]);
    let mut g = line(&[2, 3, 1], vec![Transpose { perm: vec![1, 0, 2] }.into(), Activation::Tanh.into()]);
    assert!(simplify(&mut g).unwrap().is_empty());
}

/// A border of `value` on this side of an image, then a layer, in f32 or in int8 with zero point 3.
fn bordered(layer: impl Into<Op>, value: f32, int8: bool) -> Graph {
    let layer = layer.into();
    let pad = Pad { before: vec![1, 0, 0], after: vec![0, 1, 0], value };
    let mut g = Graph::new("bordered");
    let tensor = |name: &str, shape: &[usize]| {
        let dtype = if int8 { DType::I8 } else { DType::F32 };
        let quant = int8.then(|| Quant::per_tensor(0.5, 3));
        Tensor { quant, ..Tensor::activation(name, shape, dtype) }
    };
    let inner = layer.output(&[Port { name: "padded", shape: &[6, 5, 2] }]).unwrap();
    let [x, padded] = [("x", [5, 4, 2]), ("padded", [6, 5, 2])].map(|(name, shape)| g.add_tensor(tensor(name, &shape)));
    let y = g.add_tensor(tensor("y", &inner));
    let mut operands = vec![padded];
    for p in layer.parameters(&[6, 5, 2]) {
        let count: usize = p.shape.iter().product();
        let mut rng = Rng::new(count as u64);
        let values: Vec<f32> = (0..count).map(|_| rng.uniform_f32(-1.0, 1.0)).collect();
        let bytes = || values.iter().map(|v| (v * 100.0) as i32);
        let data = match (int8, p.role) {
            (false, _) => Data::F32(values),
            (true, "bias") => Data::I32(bytes().collect()),
            (true, _) => Data::I8(bytes().map(|v| v as i8).collect()),
        };
        let quant = int8.then(|| Quant::per_tensor(0.01, 0));
        operands.push(g.add_tensor(Tensor { quant, ..Tensor::constant(p.role, p.shape, data) }));
    }
    g.add_node("pad", pad, &[x], &[padded]);
    g.add_node("layer", layer, &operands, &[y]);
    (g.inputs, g.outputs) = (vec![x], vec![y]);
    g.validate().unwrap();
    g
}

#[test]
fn borders_become_padding_where_that_is_the_same() {
    let conv = |padding| Op::from(Conv2d::new(3, [3, 2]).padding(padding).strides([2, 1]));
    let depthwise =
        Op::from(DepthwiseConv2d::new([2, 3]).padding(Padding::Explicit { top: 1, bottom: 1, left: 1, right: 0 }));
    let max = Op::from(MaxPool2d::new([2, 3]));
    let mean = Op::from(AveragePool2d::new([2, 3]));
    let lowest = f32::NEG_INFINITY;
    for (layer, value, int8, fuses) in [
        (conv(Padding::Valid), 0.0, false, true),
        // The last window would see no pixel at all.
        (conv(Padding::Same), 0.0, false, false),
        (conv(Padding::Valid), 0.5, false, false),
        (conv(Padding::Valid), 0.0, true, true),
        // A quarter of a step is still the zero point; a whole one is not.
        (conv(Padding::Valid), 0.125, true, true),
        (conv(Padding::Valid), 0.5, true, false),
        (depthwise.clone(), 0.0, false, true),
        (depthwise, 0.0, true, true),
        (max.clone(), lowest, false, true),
        (max.clone(), 0.0, false, false),
        (max.clone(), -100.0, true, true),
        (max, 0.0, true, false),
        // A mean counts the border.
        (mean.clone(), 0.0, false, false),
        (mean, 0.0, true, false),
    ] {
        let what = format!("{} {value} {int8}", layer.kind());
        let g = bordered(layer, value, int8);
        let mut small = g.clone();
        let report = simplify(&mut small).unwrap();
        assert_eq!(report.count("pads"), usize::from(fuses), "{what}");
        small.validate().unwrap();
        assert_eq!(small.nodes.len(), 2 - usize::from(fuses), "{what}");
        if fuses {
            same_as_with_a_border(&g, &small, value);
        }
    }
}

/// Puts the border around random images by hand, and gives them to the layer alone.
fn same_as_with_a_border(g: &Graph, small: &Graph, value: f32) {
    let mut layer = g.clone();
    layer.nodes.remove(0);
    layer.inputs = layer.nodes[0].inputs[..1].to_vec();
    let (inside, padded) = (g.tensor(g.inputs[0]), g.tensor(layer.inputs[0]));
    let border = match padded.dtype {
        DType::F32 => value.to_le_bytes().to_vec(),
        _ => vec![embernet_core::quant::quantize_i8(value, 0.5, 3) as u8],
    };
    let mut rng = Rng::new(8);
    let samples = 3;
    let (mut x, mut around) = (Vec::new(), Vec::new());
    for at in 0..samples * padded.elements() {
        let (row, column) = (at / 10 % 6, at / 2 % 5);
        if row == 0 || column >= 4 {
            around.extend_from_slice(&border);
            continue;
        }
        let value = match padded.dtype {
            DType::F32 => rng.uniform_f32(-1.0, 1.0).to_le_bytes().to_vec(),
            _ => vec![rng.below(256) as u8],
        };
        x.extend_from_slice(&value);
        around.extend(value);
    }
    assert_eq!(x.len(), samples * inside.bytes());
    for isa in [IsaId::Scalar, host_isa(false)] {
        assert_eq!(outputs(&layer, &[around.clone()], isa, false), outputs(small, &[x.clone()], isa, true));
    }
}

#[test]
fn a_border_with_another_reader_stays() {
    let mut g = bordered(Conv2d::new(3, [3, 2]), 0.0, false);
    let (padded, z) = (g.find_tensor("padded").unwrap(), add(&mut g, "z", &[6, 5, 2]));
    g.add_node("other", Activation::Tanh, &[padded], &[z]);
    g.outputs.push(z);
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

/// Puts zeros where channel `channel` of a layer has its weights, and a value into its bias.
fn silence(g: &mut Graph, layer: &str, channel: usize, bias: f32) {
    let node = g.node(g.find_node(layer).unwrap()).clone();
    let depthwise = matches!(node.op, Op::DepthwiseConv2d(_));
    let kernel = g.tensor_mut(node.inputs[1]);
    let (rows, columns) = (kernel.shape[0], *kernel.shape.last().unwrap());
    let inner = kernel.elements() / rows;
    let Some(Data::F32(w)) = &mut kernel.data else { panic!() };
    for (i, w) in w.iter_mut().enumerate() {
        if (if depthwise { i % columns } else { i / inner }) == channel {
            *w = 0.0;
        }
    }
    let Some(Data::F32(b)) = &mut g.tensor_mut(node.inputs[2]).data else { panic!() };
    b[channel] = bias;
}

/// A separable block whose layers are called `a` (conv), `b` (depthwise) and `c` (conv).
fn block() -> Graph {
    let mut g = Sequential::new([6, 6, 2])
        .add(Conv2d::new(4, [3, 3]).padding(Padding::Same).activation(Activation::Relu))
        .add(DepthwiseConv2d::new([3, 3]).padding(Padding::Same).activation(Activation::Relu))
        .add(MaxPool2d::new([2, 2]))
        .add(Conv2d::new(3, [3, 3]).padding(Padding::Same))
        .build(5)
        .unwrap();
    for (node, name) in ["a", "b", "pool", "c"].into_iter().enumerate() {
        g.nodes[node].name = name.into();
    }
    g.set_trainable(&Selection::None).unwrap();
    g
}

fn channels(graph: &Graph, layer: &str) -> usize {
    *graph.tensor(graph.node(graph.find_node(layer).unwrap()).outputs[0]).shape.last().unwrap()
}

#[test]
fn channels_that_are_zero_everywhere_go_borders_included() {
    let mut rng = Rng::new(3);
    let x: Vec<u8> = (0..2 * 72).flat_map(|_| rng.uniform_f32(-1.0, 1.0).to_le_bytes()).collect();
    let check = |g: &Graph, removed: usize| {
        let mut small = g.clone();
        assert_eq!(simplify(&mut small).unwrap().count("channels"), removed);
        small.validate().unwrap();
        assert_eq!(channels(&small, "a"), 4 - removed);
        for isa in [IsaId::Scalar, host_isa(false)] {
            assert_eq!(
                outputs(g, std::slice::from_ref(&x), isa, false),
                outputs(&small, std::slice::from_ref(&x), isa, true)
            );
        }
    };
    // Zero behind the relu of `a`, and of `b`.
    let mut g = block();
    silence(&mut g, "a", 1, -0.5);
    silence(&mut g, "b", 1, 0.0);
    check(&g, 1);
    // `b` ignores a living channel.
    silence(&mut g, "b", 2, -0.25);
    check(&g, 2);
    // Not zero behind `b`: floats would round differently.
    let mut g = block();
    silence(&mut g, "b", 1, 0.5);
    check(&g, 0);
    // Not zero behind `a`: at the borders `b` sees zeros instead.
    let mut g = block();
    silence(&mut g, "a", 1, 0.5);
    check(&g, 0);
    // One channel stays.
    let mut g = block();
    (0..4).for_each(|c| silence(&mut g, "b", c, 0.0));
    check(&g, 3);
    // What learns may come alive.
    g.set_trainable(&"a".parse().unwrap()).unwrap();
    check(&g, 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

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
