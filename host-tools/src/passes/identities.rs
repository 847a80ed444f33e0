//! Nodes that change nothing are taken out, and renamings of axes that follow each other are merged.

use super::editor::Editor;
use super::evaluate::run_once;
use crate::graph::ops::{Reduction, Reshape, Transpose};
use crate::graph::{Activation, DType, Data, Graph, Node, NodeId, Op, Tensor, TensorId};

/// Gives the number of nodes that went, or read further up.
pub fn run(editor: &mut Editor) -> usize {
    let nodes = editor.nodes().into_iter();
    nodes.filter(|id| rename(editor, *id) || remove(editor, *id) || look_through(editor, *id)).count()
}

fn remove(editor: &mut Editor, id: NodeId) -> bool {
    let node = editor.node(id);
    let (Some(x), y) = (node.inputs.first().copied(), editor.output(id)) else { return false };
    same_meaning(editor, x, y) && is_identity(editor, node, x) && editor.bypass(id, 0)
}

/// Whether the two hold the same numbers if they hold the same bytes.
fn same_meaning(editor: &Editor, x: TensorId, y: TensorId) -> bool {
    let (x, y) = (editor.tensor(x), editor.tensor(y));
    x.shape == y.shape && x.dtype == y.dtype && x.quant == y.quant
}

/// Whether a node with equal types on both sides copies its input.
fn is_identity(editor: &Editor, node: &Node, x: TensorId) -> bool {
    match &node.op {
        // Equal shapes are enough.
        Op::Reshape(_) | Op::Flatten(_) | Op::Quantize(_) => true,
        Op::Activation(layer) => idle_clamp(editor, layer.function, x),
        Op::MaxPool2d(op) => one_by_one(op.size, op.activation),
        // A sum of reals starts from 0, which makes -0 to 0.
        Op::AveragePool2d(op) => one_by_one(op.size, op.activation) && editor.tensor(x).dtype != DType::F32,
        // Equal shapes: no border at all, and the whole of the only input.
        Op::Pad(_) => true,
        Op::Concat(_) => node.inputs.len() == 1,
        Op::Slice(op) => op.size.iter().zip(&op.stride).all(|(size, stride)| *size == 1 || *stride == 1),
        Op::ResizeNearest(op) => [&op.rows, &op.cols].iter().all(|t| t.iter().copied().eq(0..t.len() as u32)),
        _ => false,
    }
}

/// What moves no value becomes a reshape: axes of one element change places, or go.
fn rename(editor: &mut Editor, id: NodeId) -> bool {
    let (Some(x), y) = (editor.node(id).inputs.first().copied(), editor.output(id)) else { return false };
    let (from, to) = (editor.tensor(x), editor.tensor(y));
    let renames = match &editor.node(id).op {
        Op::Transpose(op) => {
            let kept = op.perm.iter().filter(|axis| from.shape.get(**axis).is_some_and(|size| *size > 1));
            kept.is_sorted()
        }
        // As for pools: a sum of one real loses the sign of -0.
        Op::Reduce(op) if op.reduction != Reduction::Max && from.dtype == DType::F32 => false,
        Op::Reduce(op) => op.axes.iter().all(|axis| from.shape.get(*axis) == Some(&1)),
        _ => false,
    };
    if !renames || from.dtype != to.dtype || from.quant != to.quant {
        return false;
    }
    let shape = to.shape.clone();
    editor.node_mut(id).op = Reshape::new(shape).into();
    true
}

/// Windows of one element at every place: the shapes are equal, so the strides are 1.
fn one_by_one(size: [usize; 2], activation: Activation) -> bool {
    size == [1, 1] && activation == Activation::Linear
}

/// A clamp that finds its work done: by the operation before it, or because it does none.
fn idle_clamp(editor: &Editor, function: Activation, x: TensorId) -> bool {
    let (Some((lo, hi)), DType::F32) = (function.clamp(), editor.tensor(x).dtype) else { return false };
    if function == Activation::Linear {
        return true;
    }
    let Some(before) = editor.producer(x) else { return false };
    let before = match &editor.node(before).op {
        Op::Activation(layer) => layer.function.clamp(),
        op => op.fused().clamp(),
    };
    before.is_some_and(|(least, most)| least >= lo && most <= hi)
}

/// Lets a node read what was there before another one renamed or converted it.
fn look_through(editor: &mut Editor, id: NodeId) -> bool {
    let (Some(between), y) = (editor.node(id).inputs.first().copied(), editor.output(id)) else { return false };
    let Some(before) = editor.producer(between) else { return false };
    let Some(&x) = editor.node(before).inputs.first() else { return false };
    match (&editor.node(before).op, &editor.node(id).op) {
        (Op::Reshape(_) | Op::Flatten(_), Op::Reshape(_) | Op::Flatten(_)) => {
            let (from, to) = (editor.tensor(x), editor.tensor(between));
            let renamed = from.dtype == to.dtype && from.quant == to.quant;
            if renamed {
                editor.set_input(id, 0, x);
            }
            renamed
        }
        (Op::Transpose(first), Op::Transpose(second)) => {
            let perm: Option<Vec<usize>> = second.perm.iter().map(|axis| first.perm.get(*axis).copied()).collect();
            let (from, to) = (editor.tensor(x), editor.tensor(between));
            let (Some(perm), true) = (perm, from.dtype == to.dtype && from.quant == to.quant) else { return false };
            editor.node_mut(id).op = Transpose { perm }.into();
            editor.set_input(id, 0, x);
            true
        }
        (Op::Dequantize(_), Op::Quantize(_)) => {
            if !same_meaning(editor, x, y) || !returns_unchanged(editor, before, id) {
                return false;
            }
            editor.set_input(id, 0, x);
            // Now it converts nothing; if it makes an output of the graph it may have to stay.
            editor.bypass(id, 0);
            true
        }
        _ => false,
    }
}

/// Whether every integer survives being made real and back: tried on all of them.
fn returns_unchanged(editor: &Editor, dequantize: NodeId, quantize: NodeId) -> bool {
    let x = editor.tensor(editor.node(dequantize).inputs[0]);
    let all = match x.dtype {
        DType::I8 => Data::I8((i8::MIN..=i8::MAX).collect()),
        DType::I16 => Data::I16((i16::MIN..=i16::MAX).collect()),
        _ => return false,
    };
    // The same two nodes on a vector of all values.
    let mut graph = Graph::new("all values");
    let tensors = [editor.node(dequantize).inputs[0], editor.output(dequantize), editor.output(quantize)];
    let [x, real, y] = tensors.map(|t| {
        let from = editor.tensor(t);
        let quant = from.quant.clone();
        graph.add_tensor(Tensor { quant, ..Tensor::activation(&from.name, [all.len()], from.dtype) })
    });
    graph.add_node("dequantize", editor.node(dequantize).op.clone(), &[x], &[real]);
    graph.add_node("quantize", editor.node(quantize).op.clone(), &[real], &[y]);
    (graph.inputs, graph.outputs) = (vec![x], vec![y]);
    run_once(&graph, std::slice::from_ref(&all)) == Some(all)
}
