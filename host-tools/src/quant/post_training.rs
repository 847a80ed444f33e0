//! Scales from ranges, constants to integers.

use super::{QuantError, Range};
use crate::graph::ops::{self, Reduction};
use crate::graph::{Activation, DType, Data, Graph, Node, NodeId, Op, Quant, Tensor, TensorId};

/// The int8 form of a float graph whose activations take the values in `ranges` (by tensor number).
pub fn to_int8(float: &Graph, ranges: &[Range]) -> Result<Graph, QuantError> {
    let mut graph = float.clone();
    for tensor in &float.tensors {
        if tensor.dtype != DType::F32 {
            return Err(QuantError::NotFloat { tensor: tensor.name.clone(), found: tensor.dtype });
        }
    }
    for &input in &float.inputs {
        set_activation(&mut graph, input, asymmetric(ranges[input.index()]));
    }
    for id in float.order()? {
        let node = float.node(id);
        quantize_constants(&mut graph, id);
        let quant = output_quant(&graph, node, ranges)?;
        if keeps_one_scale(&node.op) {
            bring_to(&mut graph, id, &quant);
        }
        for &output in &node.outputs {
            set_activation(&mut graph, output, quant.clone());
        }
        quantize_parameters(&mut graph, node)?;
    }
    Ok(graph)
}

fn set_activation(graph: &mut Graph, id: TensorId, quant: Quant) {
    let tensor = graph.tensor_mut(id);
    tensor.dtype = DType::I8;
    tensor.quant = Some(quant);
}

/// Scale and zero point of what a node computes.
///
/// Functions of known range get fixed ones; what only moves or picks values keeps its input's.
fn output_quant(graph: &Graph, node: &Node, ranges: &[Range]) -> Result<Quant, QuantError> {
    let range = ranges[node.outputs[0].index()];
    Ok(match &node.op {
        Op::Dense(_) | Op::Conv2d(_) | Op::DepthwiseConv2d(_) => asymmetric(range),
        Op::Add(_) | Op::Sub(_) | Op::Mul(_) | Op::PRelu(_) | Op::Minimum(_) | Op::Maximum(_) | Op::Concat(_) => {
            asymmetric(range)
        }
        Op::Reduce(op) if op.reduction != Reduction::Max => asymmetric(range),
        Op::TransposeConv2d(op) if op.groups == 1 => asymmetric(range),
        Op::MatMul(_) if node.inputs.iter().all(|t| graph.tensor(*t).data.is_none()) => asymmetric(range),
        Op::Softmax(_) => Quant::per_tensor(1.0 / 256.0, -128),
        Op::Activation(layer) => match layer.function {
            Activation::Sigmoid => Quant::per_tensor(1.0 / 256.0, -128),
            Activation::Tanh => Quant::per_tensor(1.0 / 128.0, 0),
            _ => asymmetric(range),
        },
        Op::MaxPool2d(_)
        | Op::AveragePool2d(_)
        | Op::GlobalAveragePool2d(_)
        | Op::GlobalMaxPool2d(_)
        | Op::Flatten(_)
        | Op::Reshape(_)
        | Op::Pad(_)
        | Op::Slice(_)
        | Op::Transpose(_)
        | Op::ResizeNearest(_)
        | Op::Reduce(_) => {
            let input = graph.tensor(node.inputs[0]);
            input.quant.clone().ok_or_else(|| unsupported(node))?
        }
        Op::Quantize(_) | Op::Dequantize(_) => return Err(unsupported(node)),
        // Operations that are added later say here how they quantise, or stay without an int8 form.
        #[allow(unreachable_patterns)]
        _ => return Err(unsupported(node)),
    })
}

/// Operations of several inputs that compare or gather integers as they are.
fn keeps_one_scale(op: &Op) -> bool {
    matches!(op, Op::Concat(_) | Op::Minimum(_) | Op::Maximum(_))
}

/// Constants among the data inputs: a grid over their own values.
fn quantize_constants(graph: &mut Graph, node: NodeId) {
    for id in graph.node(node).data_inputs().to_vec() {
        quantize_constant(graph, id);
    }
}

/// An f32 constant on a grid over its own values.
fn quantize_constant(graph: &mut Graph, id: TensorId) {
    let Some(values) = graph.tensor(id).data.as_ref().and_then(Data::as_f32) else { return };
    let range = Range {
        min: values.iter().copied().fold(f32::INFINITY, f32::min),
        max: values.iter().copied().fold(f32::NEG_INFINITY, f32::max),
    };
    set_constant(graph, id, asymmetric(range));
}

/// An f32 constant on this grid.
fn set_constant(graph: &mut Graph, id: TensorId, quant: Quant) {
    let Some(values) = graph.tensor(id).data.as_ref().and_then(Data::as_f32) else { return };
    let (scale, zero_point) = quant.single().unwrap_or((1.0, 0));
    let data = values.iter().map(|v| embernet_core::quant::quantize_i8(*v, scale, zero_point)).collect();
    let tensor = graph.tensor_mut(id);
    (tensor.data, tensor.trainable) = (Some(Data::I8(data)), false);
    set_activation(graph, id, quant);
}

/// Has every input of another scale rescaled first.
fn bring_to(graph: &mut Graph, node: NodeId, quant: &Quant) {
    for (i, id) in graph.node(node).data_inputs().to_vec().into_iter().enumerate() {
        let input = graph.tensor(id);
        if input.quant.as_ref() == Some(quant) {
            continue;
        }
        let name = |what: &str| format!("{}/{what} {i}", graph.node(node).name);
        let mut rescaled = Tensor::activation(name("rescaled"), input.shape.clone(), DType::I8);
        let step = name("rescale");
        rescaled.quant = Some(quant.clone());
        let rescaled = graph.add_tensor(rescaled);
        graph.add_node(step, ops::Quantize {}, &[id], &[rescaled]);
        graph.node_mut(node).inputs[i] = rescaled;
    }
}

fn unsupported(node: &Node) -> QuantError {
    QuantError::Unsupported { node: node.name.clone(), kind: node.op.kind() }
}

/// 255 steps over the range, which always includes zero; zero falls on a step exactly, as padding needs.
fn asymmetric(range: Range) -> Quant {
    let (min, max) = (f64::from(range.min.min(0.0)), f64::from(range.max.max(0.0)));
    if min == max {
        return Quant::per_tensor(1.0, 0);
    }
    let scale = ((max - min) / 255.0) as f32;
    let zero_point = (-128.0 - min / f64::from(scale)).round().clamp(-128.0, 127.0);
    Quant::per_tensor(scale, zero_point as i32)
}

/// The axis of a kernel that runs along output channels.
fn channel_axis(op: &Op) -> usize {
    match op {
        Op::DepthwiseConv2d(_) => 2,
        Op::TransposeConv2d(_) => 3,
        _ => 0,
    }
}

/// Kernel to int8 per output channel, bias to int32 at input scale times kernel scale.
fn quantize_parameters(graph: &mut Graph, node: &Node) -> Result<(), QuantError> {
    let parameters = node.parameters();
    if let (Op::PRelu(_), Some(&slope)) = (&node.op, parameters.first()) {
        quantize_constant(graph, slope);
        return Ok(());
    }
    let Some(&kernel) = parameters.first() else { return Ok(()) };
    let (input_scale, _) =
        graph.tensor(node.inputs[0]).quant.as_ref().and_then(|q| q.single()).ok_or_else(|| unsupported(node))?;
    let axis = channel_axis(&node.op);
    let shape = graph.tensor(kernel).shape.clone();
    let channels = shape[axis];
    let inner: usize = shape[axis + 1..].iter().product();
    let values = graph.tensor(kernel).data.as_ref().and_then(|d| d.as_f32()).ok_or_else(|| unsupported(node))?.to_vec();
    let channel_of = |index: usize| index / inner % channels;

    let mut largest = vec![0f32; channels];
    for (index, value) in values.iter().enumerate() {
        let largest = &mut largest[channel_of(index)];
        *largest = largest.max(value.abs());
    }
    let bias = parameters.get(1).copied();
    let biases = match bias {
        Some(id) => graph.tensor(id).data.as_ref().and_then(|d| d.as_f32()).ok_or_else(|| unsupported(node))?.to_vec(),
        None => Vec::new(),
    };
    let scales: Vec<f32> = weight_scales(&largest, &biases, input_scale);
    let weights = values.iter().enumerate().map(|(index, value)| {
        let steps = (value / scales[channel_of(index)]).round();
        steps.clamp(-127.0, 127.0) as i8
    });
    let weights = Data::I8(weights.collect());
    let tensor = graph.tensor_mut(kernel);
    tensor.dtype = DType::I8;
    tensor.data = Some(weights);
    tensor.trainable = false;
    tensor.quant = Some(Quant::per_axis(scales.clone(), axis));

    if let Some(id) = bias {
        let scales: Vec<f32> = scales.iter().map(|s| input_scale * s).collect();
        let sums = biases.iter().zip(&scales).map(|(b, s)| (f64::from(*b) / f64::from(*s)).round() as i32);
        let sums = Data::I32(sums.collect());
        let tensor = graph.tensor_mut(id);
        tensor.dtype = DType::I32;
        tensor.data = Some(sums);
        tensor.trainable = false;
        tensor.quant = Some(Quant::per_axis(scales, 0));
    }
    Ok(())
}

/// 127 steps to the largest weight of each channel.
///
/// A channel of zeros takes the tensor's largest weight, so that its bias keeps a sensible grid; and no scale is so
/// fine that the bias would leave half of an i32.
fn weight_scales(largest: &[f32], biases: &[f32], input_scale: f32) -> Vec<f32> {
    let overall = largest.iter().copied().fold(0f32, f32::max);
    let fallback = if overall > 0.0 { overall } else { 1.0 };
    let scale = |(channel, &largest): (usize, &f32)| {
        let scale = if largest > 0.0 { largest } else { fallback } / 127.0;
        let bias = biases.get(channel).copied().unwrap_or(0.0).abs();
        let least = bias / (input_scale * (1 << 30) as f32);
        scale.max(least).max(f32::MIN_POSITIVE)
    };
    largest.iter().enumerate().map(scale).collect()
}
