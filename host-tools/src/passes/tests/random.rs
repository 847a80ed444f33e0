//! Random image networks with much to simplify.

mod layers;

use crate::graph::ops::*;
use crate::graph::{Activation, DType, Data, Graph, Op, Quant, Tensor, TensorId};
use embernet_core::rng::Rng;

struct Builder<'r> {
    rng: &'r mut Rng,
    graph: Graph,
    dtype: DType,
}

/// A network of up to a dozen layers on a small image.
pub fn graph(rng: &mut Rng, dtype: DType) -> Graph {
    let mut b = Builder { rng, graph: Graph::new("random"), dtype };
    let shape = [3 + b.below(4), 3 + b.below(4), 1 + b.below(4)];
    let quant = b.quant();
    let mut at = b.tensor("x", &shape, quant);
    b.graph.inputs.push(at);
    let mut seen = Vec::new();
    for number in 0..2 + b.below(10) {
        seen.push(at);
        at = b.layer(number, at, &seen);
    }
    b.graph.outputs.push(at);
    if b.below(3) == 0
        && let Some(node) = b.graph.nodes.iter().find(|n| matches!(n.op, Op::Conv2d(_)) && n.outputs[0] != at)
    {
        let other = node.outputs[0];
        b.graph.outputs.push(other);
    }
    b.graph.validate().unwrap();
    b.graph
}

/// Values for so many samples of every input.
pub fn inputs(rng: &mut Rng, graph: &Graph, samples: usize) -> Vec<Vec<u8>> {
    let one = |id: &TensorId| {
        let (tensor, count) = (graph.tensor(*id), graph.tensor(*id).elements() * samples);
        match tensor.dtype {
            DType::F32 => (0..count).flat_map(|_| rng.uniform_f32(-2.0, 2.0).to_le_bytes()).collect(),
            _ => (0..count).map(|_| rng.below(256) as u8).collect(),
        }
    };
    graph.inputs.iter().map(one).collect()
}

impl Builder<'_> {
    fn below(&mut self, n: u32) -> usize {
        self.rng.below(n) as usize
    }

    fn quant(&mut self) -> Option<Quant> {
        let quant = Quant::per_tensor(self.rng.uniform_f32(0.01, 0.05), self.rng.below(256) as i32 - 128);
        (self.dtype == DType::I8).then_some(quant)
    }

    fn tensor(&mut self, name: &str, shape: &[usize], quant: Option<Quant>) -> TensorId {
        self.graph.add_tensor(Tensor { quant, ..Tensor::activation(name, shape, self.dtype) })
    }

    /// The image's sides and channels.
    fn shape(&self, id: TensorId) -> [usize; 3] {
        <[usize; 3]>::try_from(self.graph.tensor(id).shape.as_slice()).unwrap()
    }

    /// Adds a node on activations, whose output has the input's quantisation or a new one.
    fn node(&mut self, number: usize, op: impl Into<Op>, x: &[TensorId], keep: bool) -> TensorId {
        let quant = if keep { self.graph.tensor(x[0]).quant.clone() } else { self.quant() };
        self.node_of(number, op.into(), x, quant)
    }

    /// Adds a node whose output has this quantisation.
    fn node_of(&mut self, number: usize, op: Op, x: &[TensorId], quant: Option<Quant>) -> TensorId {
        let shapes: Vec<Vec<usize>> = x.iter().map(|t| self.graph.tensor(*t).shape.clone()).collect();
        let ports: Vec<Port<'_>> = shapes.iter().map(|shape| Port { name: "x", shape }).collect();
        let shape = op.output(&ports).unwrap();
        let mut operands = x.to_vec();
        for parameter in op.parameters(&shapes[0]) {
            operands.push(self.parameter(number, &op, &parameter));
        }
        let y = self.tensor(&format!("y{number}"), &shape, quant);
        self.graph.add_node(format!("node{number}"), op, &operands, &[y]);
        y
    }

    /// A kernel with a silent output channel now and then, or a bias.
    fn parameter(&mut self, number: usize, op: &Op, parameter: &Parameter) -> TensorId {
        let name = format!("node{number}/{}", parameter.role);
        let count: usize = parameter.shape.iter().product();
        if parameter.role == "bias" {
            let values = (0..count).map(|_| if self.below(2) == 0 { self.rng.uniform_f32(-1.0, 1.0) } else { -0.5 });
            let values: Vec<f32> = values.collect();
            let data = match self.dtype {
                DType::F32 => Data::F32(values),
                _ => Data::I32(values.iter().map(|v| (v * 2000.0) as i32).collect()),
            };
            return self.graph.add_tensor(Tensor::constant(name, parameter.shape.clone(), data));
        }
        let last = matches!(op, Op::DepthwiseConv2d(_) | Op::TransposeConv2d(_));
        let axis = if last { parameter.shape.len() - 1 } else { 0 };
        let inner: usize = parameter.shape[axis + 1..].iter().product();
        let silent: Vec<bool> = (0..parameter.shape[axis]).map(|_| self.below(3) == 0).collect();
        let mut values: Vec<f32> = (0..count).map(|_| self.rng.uniform_f32(-1.0, 1.0)).collect();
        for (i, value) in values.iter_mut().enumerate() {
            if silent[i / inner % silent.len()] {
                *value = 0.0;
            }
        }
        let tensor = match self.dtype {
            DType::F32 => Tensor::constant(name, parameter.shape.clone(), Data::F32(values)),
            _ => {
                let data = Data::I8(values.iter().map(|v| (v * 127.0) as i8).collect());
                if parameter.role == "slope" {
                    let quant = Quant::per_tensor(1.0 / 127.0, 3);
                    let slopes = Tensor::constant(name, parameter.shape.clone(), data);
                    return self.graph.add_tensor(slopes.with_quant(quant));
                }
                let scales = (0..silent.len()).map(|_| self.rng.uniform_f32(0.005, 0.01)).collect();
                Tensor::constant(name, parameter.shape.clone(), data).with_quant(Quant::per_axis(scales, axis))
            }
        };
        self.graph.add_tensor(tensor)
    }

    fn activation(&mut self) -> Activation {
        [Activation::Linear, Activation::Relu, Activation::Relu6][self.below(3)]
    }

    fn padding(&mut self) -> Padding {
        [Padding::Same, Padding::Valid][self.below(2)]
    }
}
