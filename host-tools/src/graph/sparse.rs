//! Sparse updates: a graph in which exactly the selected parameters learn.
//!
//! Whole layers and biases are flags on their tensors. The rest are rewrites, so that no kernel knows of them:
//!
//! - A layer of which some output channels learn is cut into layers of neighbouring channels and joined again. Every
//!   output is the same sum as before. The weights of the other channels stay in flash.
//! - A low-rank adapter is two layers beside one that stays in flash: `y = W x + b + B (A x)`. `A` starts at random
//!   and `B` at 0, so that at first nothing changes.
//!
//! [`Piece`]s say how what such parameters learn comes back into the graph as it was.

use super::error::GraphError;
use super::ops::{Add, Concat, Conv2d, Dense, Padding};
use super::selection::{Channels, Choice, Layers, Selection, What};
use super::{Activation, DType, Data, Graph, Node, NodeId, Op, Tensor, TensorId};
use embernet_core::checksum::crc32;
use embernet_core::rng::Rng;
use serde::{Deserialize, Serialize};

/// A parameter that a rewrite has made: it stands for a part of one of the graph before, or changes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// Its name.
    pub name: String,
    /// Its elements.
    pub elements: u32,
    /// The name of the one in the graph before.
    pub of: String,
    /// What it is to that one.
    pub role: Role,
}

/// What a [`Piece`] is to the parameter that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// Its elements from this number on.
    From(u32),
    /// `A` of an adapter, `[rank][in]`.
    Down,
    /// `B` of an adapter, `[out][rank]`: `B A` is added.
    Up,
}

/// The stream of random numbers that adapters start from.
const STREAM: u64 = 6;

impl Graph {
    /// Lets what is selected learn, and nothing else. Gives the parameters that rewrites have made.
    ///
    /// # Errors
    /// If the graph has no such layer, a layer is named twice, or cannot learn in this way. The graph is of no use then.
    pub fn set_trainable(&mut self, selection: &Selection) -> Result<Vec<Piece>, GraphError> {
        let chosen = self.chosen(selection)?;
        for tensor in self.parameter_tensors() {
            self.tensor_mut(tensor).trainable = false;
        }
        let mut pieces = Vec::new();
        for (id, what) in chosen {
            let parameters = self.node(id).parameters().to_vec();
            match what {
                What::Whole => parameters.into_iter().for_each(|t| self.tensor_mut(t).trainable = true),
                What::Biases => self.tensor_mut(parameters[1]).trainable = true,
                What::Channels(channels) => self.cut(id, &channels, &mut pieces),
                What::Adapter { rank } => self.adapt(id, rank, &mut pieces),
            }
        }
        if !pieces.is_empty() {
            self.remove_unused_tensors();
        }
        Ok(pieces)
    }

    /// Each layer that learns, and what of it.
    fn chosen(&self, selection: &Selection) -> Result<Vec<(NodeId, What)>, GraphError> {
        let layers: Vec<NodeId> = self.iter().filter(|(_, n)| n.is_layer()).map(|(id, _)| id).collect();
        let mut chosen: Vec<(NodeId, What)> = Vec::new();
        for choice in selection.choices() {
            let able = || layers.iter().copied().filter(|id| self.obstacle(*id, &choice.what).is_none());
            let nodes: Vec<NodeId> = match &choice.layers {
                Layers::All => able().collect(),
                Layers::Last(count) => able().rev().take(*count).collect(),
                Layers::Name(name) => vec![self.layer(&layers, name, &choice.what)?],
            };
            if nodes.is_empty() && !layers.is_empty() {
                return Err(refused(&choice, "there is no layer for which that is possible"));
            }
            for id in nodes {
                if chosen.iter().any(|(other, _)| *other == id) {
                    return Err(refused(&choice, format!("`{}` was named before", self.node(id).name)));
                }
                chosen.push((id, choice.what.clone()));
            }
        }
        Ok(chosen)
    }

    fn layer(&self, layers: &[NodeId], name: &str, what: &What) -> Result<NodeId, GraphError> {
        let named = |id: &&NodeId| self.node(**id).name == name;
        let Some(id) = layers.iter().find(named) else {
            let known: Vec<&str> = layers.iter().map(|l| self.node(*l).name.as_str()).collect();
            return Err(GraphError::NoSuchName { name: name.to_owned(), known: known.join(", ") });
        };
        match self.obstacle(*id, what) {
            None => Ok(*id),
            Some(why) => Err(refused(&Choice { layers: Layers::Name(name.to_owned()), what: what.clone() }, why)),
        }
    }

    /// Whether there is such a way for weights of this type: integers have no adapters.
    fn has_way(&self, dtype: DType, what: &What) -> bool {
        match what {
            What::Whole => true,
            What::Biases | What::Channels(_) => matches!(dtype, DType::F32 | DType::I8),
            What::Adapter { .. } => dtype == DType::F32,
        }
    }

    /// Why this of a layer cannot learn.
    fn obstacle(&self, id: NodeId, what: &What) -> Option<String> {
        let node = self.node(id);
        let (kernel, outputs) = match (&node.op, node.parameters()) {
            (_, [kernel, ..]) if !self.has_way(self.tensor(*kernel).dtype, what) => {
                return Some(format!("its weights are {}", self.tensor(*kernel).dtype));
            }
            (_, [kernel, ..]) => (*kernel, self.tensor(*kernel).shape[0]),
            _ => return Some("it has no parameters".into()),
        };
        match (what, &node.op) {
            (What::Whole, _) => None,
            (What::Biases, Op::Dense(_) | Op::Conv2d(_) | Op::DepthwiseConv2d(_) | Op::TransposeConv2d(_)) => {
                (node.parameters().len() < 2).then(|| "it has no bias".into())
            }
            (What::Biases, op) => Some(format!("a {} has no bias", op.kind())),
            (What::Channels(_), Op::Conv2d(op)) if op.groups > 1 => Some("its channels come in groups".into()),
            (What::Channels(channels), Op::Dense(_) | Op::Conv2d(_)) => {
                (channels.end() > outputs).then(|| format!("it has {outputs} channels"))
            }
            (What::Channels(_), _) => Some("only channels of dense layers and convolutions learn alone".into()),
            (What::Adapter { rank }, op) => {
                let most = self.tensor(kernel).shape.last().map_or(0, |inputs| outputs.min(*inputs));
                match op {
                    Op::Dense(_) => {}
                    Op::Conv2d(op)
                        if op.kernel == [1, 1] && op.groups == 1 && !matches!(op.padding, Padding::Explicit { .. }) => {
                    }
                    _ => return Some("only dense layers and convolutions of 1x1 have adapters".into()),
                }
                (*rank > most).then(|| format!("the rank of its weights is {most} at most"))
            }
        }
    }

    /// Cuts a layer into pieces of channels that all learn, or none of which does, and joins them.
    fn cut(&mut self, id: NodeId, channels: &Channels, pieces: &mut Vec<Piece>) {
        let node = self.node(id).clone();
        let output = self.tensor(node.outputs[0]).clone();
        let outputs = self.tensor(node.parameters()[0]).shape[0];
        let mut joined = Vec::new();
        for (range, trainable) in channels.parts(outputs) {
            let name = format!("{}[{}..{}]", node.name, range.start, range.end);
            let mut op = node.op.clone();
            match &mut op {
                Op::Dense(op) => op.units = range.len(),
                Op::Conv2d(op) => op.filters = range.len(),
                _ => {}
            }
            let mut inputs = node.data_inputs().to_vec();
            for whole in node.parameters() {
                let whole = self.tensor(*whole).clone();
                let row: usize = whole.shape[1..].iter().product();
                let first = range.start * row;
                let part = Tensor {
                    name: format!("{}[{}..{}]", whole.name, range.start, range.end),
                    shape: [&[range.len()], &whole.shape[1..]].concat(),
                    data: whole.data.as_ref().and_then(|data| data.part(first, range.len() * row)),
                    quant: whole.quant.as_ref().map(|quant| quant.part(range.clone())),
                    trainable,
                    ..whole.clone()
                };
                if trainable {
                    let role = Role::From(word(first));
                    pieces.push(Piece {
                        elements: word(part.elements()),
                        name: part.name.clone(),
                        of: whole.name,
                        role,
                    });
                }
                inputs.push(self.add_tensor(part));
            }
            let mut shape = output.shape.clone();
            if let Some(last) = shape.last_mut() {
                *last = range.len();
            }
            let y = Tensor::activation(format!("{name}/output"), shape, output.dtype);
            let y = self.add_tensor(Tensor { quant: output.quant.clone(), ..y });
            self.add_node(name, op, &inputs, &[y]);
            joined.push(y);
        }
        let axis = output.shape.len().saturating_sub(1);
        *self.node_mut(id) = Node { op: Concat { axis }.into(), inputs: joined, ..node };
    }

    /// Adds an adapter to a layer.
    fn adapt(&mut self, id: NodeId, rank: usize, pieces: &mut Vec<Piece>) {
        let node = self.node(id).clone();
        let (x, output) = (node.inputs[0], self.tensor(node.outputs[0]).clone());
        let kernel = self.tensor(node.parameters()[0]).clone();
        let (down, up): (Op, Op) = match &node.op {
            Op::Conv2d(op) => (
                Conv2d { filters: rank, use_bias: false, activation: Activation::Linear, ..*op }.into(),
                Conv2d::new(op.filters, [1, 1]).use_bias(false).into(),
            ),
            _ => (Dense::new(rank).use_bias(false).into(), Dense::new(kernel.shape[0]).use_bias(false).into()),
        };
        // As PyTorch's LoRA layers begin: uniform within the inverse root of the inputs, and zeros.
        let inputs = kernel.shape.last().copied().unwrap_or(1);
        let limit = 1.0 / (inputs as f32).sqrt();
        let mut rng = Rng::with_stream(u64::from(crc32(node.name.as_bytes())), STREAM);
        let random = (0..rank * inputs).map(|_| rng.uniform_f32(-limit, limit)).collect();
        let with_last = |shape: &[usize]| [&shape[..shape.len() - 1], &[rank]].concat();
        let narrow = with_last(&output.shape);
        let shapes = [[&[rank], &kernel.shape[1..]].concat(), with_last(&kernel.shape)];
        let zeros = vec![0.0; kernel.shape[0] * rank];
        let parts = [("down", down, narrow, random, Role::Down), ("up", up, output.shape.clone(), zeros, Role::Up)];
        let mut last = x;
        for ((part, op, shape, values, role), kernel_shape) in parts.into_iter().zip(shapes) {
            let name = format!("{}/{part}", node.name);
            let parameter = Tensor::parameter(format!("{name}/kernel"), kernel_shape, Data::F32(values));
            let (name_of, of) = (parameter.name.clone(), kernel.name.clone());
            pieces.push(Piece { name: name_of, elements: word(parameter.elements()), of, role });
            let parameter = self.add_tensor(parameter);
            let y = self.add_tensor(Tensor::activation(format!("{name}/output"), shape, output.dtype));
            self.add_node(name, op, &[last, parameter], &[y]);
            last = y;
        }
        let name = format!("{}/base", node.name);
        let base = self.add_tensor(Tensor::activation(name, output.shape, output.dtype));
        let (activation, outputs) = (node.op.fused(), node.outputs.clone());
        let frozen = self.node_mut(id);
        frozen.op.set_fused(Activation::Linear);
        frozen.outputs = vec![base];
        self.add_node(format!("{}/add", node.name), Add { activation }, &[base, last], &outputs);
    }
}

/// A number of elements as metadata have it; nothing that large fits an image.
fn word(elements: usize) -> u32 {
    u32::try_from(elements).unwrap_or(u32::MAX)
}

fn refused(choice: &Choice, why: impl Into<String>) -> GraphError {
    GraphError::Selection { choice: choice.to_string(), why: why.into() }
}

/// Brings what the parameters of a rewritten graph have learned into the graph as it was. `values` finds those of a
/// piece by its name.
///
/// An adapter's product is computed in f64 and rounded once.
///
/// # Errors
/// The name of a piece that does not fit.
pub(crate) fn merge<'v>(
    graph: &mut Graph,
    pieces: &[Piece],
    values: impl Fn(&str) -> Option<&'v Data>,
) -> Result<(), String> {
    let mut merged: Vec<(TensorId, Data)> = Vec::new();
    for piece in pieces {
        let misfit = || piece.name.clone();
        let id = graph.find_tensor(&piece.of).ok_or_else(misfit)?;
        let at = match merged.iter().position(|(known, _)| *known == id) {
            Some(at) => at,
            None => {
                merged.push((id, graph.tensor(id).data.clone().ok_or_else(misfit)?));
                merged.len() - 1
            }
        };
        let (whole, part) = (&mut merged[at].1, values(&piece.name).ok_or_else(misfit)?);
        match piece.role {
            Role::From(first) => {
                *whole = whole.with_part(first as usize, part).ok_or_else(misfit)?;
            }
            Role::Down => {}
            Role::Up => {
                let is_down = |other: &&Piece| other.of == piece.of && other.role == Role::Down;
                let down = pieces.iter().find(is_down).and_then(|down| values(&down.name)).ok_or_else(misfit)?;
                let (Data::F32(whole), Some(part), Some(down)) = (whole, part.as_f32(), down.as_f32()) else {
                    return Err(misfit());
                };
                let outputs = graph.tensor(id).shape.first().copied().unwrap_or(0).max(1);
                let (inputs, rank) = (whole.len() / outputs, part.len() / outputs);
                if rank == 0 || part.len() != outputs * rank || down.len() != rank * inputs {
                    return Err(misfit());
                }
                for (row, up) in whole.chunks_exact_mut(inputs.max(1)).zip(part.chunks_exact(rank)) {
                    for (column, w) in row.iter_mut().enumerate() {
                        let products = up.iter().zip(down.iter().skip(column).step_by(inputs.max(1)));
                        let sum: f64 = products.map(|(b, a)| f64::from(*b) * f64::from(*a)).sum();
                        *w = (f64::from(*w) + sum) as f32;
                    }
                }
            }
        }
    }
    for (id, values) in merged {
        graph.tensor_mut(id).data = Some(values);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
