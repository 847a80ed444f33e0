//! The network as a graph of operations, before anything is decided about memory or targets.
//!
//! A [`Graph`] is a list of tensors and a list of nodes that refer to them by number. It may have
//! several inputs and outputs, and a tensor may feed several nodes. [`Sequential`] builds the plain
//! chains; importers build the rest with [`Graph::add_tensor`] and [`Graph::add_node`].
//! [`Graph::validate`] is the door: what it accepted, later stages index without asking.

mod edit;
mod error;
mod fold;
mod lanes;
mod normalise;
pub mod ops;
mod render;
mod selection;
mod sequential;
mod sparse;
mod tensor;
mod validate;

#[cfg(test)]
mod tests;

pub use error::{GraphError, OpError, TensorError};
pub use lanes::{is_chain, lanes};
pub use ops::{Activation, Op, Operation};
pub use render::{LayerRow, grouped, layer_rows, layer_table, text_table};
pub use selection::{Channels, Choice, Layers, Selection, SelectionError, What};
pub use sequential::{LayerSpec, Sequential};
pub(crate) use sparse::merge;
pub use sparse::{Piece, Role};
pub use tensor::{DType, Data, Quant, Tensor, elements, shape_text};

use crate::data::Preprocessing;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Number of a tensor in its graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TensorId(pub u32);

/// Number of a node in its graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub u32);

impl TensorId {
    /// As an index into [`Graph::tensors`].
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl NodeId {
    /// As an index into [`Graph::nodes`].
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// One operation with its operands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Unique in the graph.
    pub name: String,
    /// What it does.
    pub op: Op,
    /// Data inputs, then parameters (see [`ops::Operation::parameters`]).
    pub inputs: Vec<TensorId>,
    /// What it computes; as many tensors as [`ops::Operation::output_count`] says.
    pub outputs: Vec<TensorId>,
}

impl Node {
    /// The inputs that are data: activations, or constants in their place.
    pub fn data_inputs(&self) -> &[TensorId] {
        &self.inputs[..self.inputs.len().saturating_sub(self.op.parameter_count())]
    }

    /// The inputs that are parameters: kernel, then bias.
    pub fn parameters(&self) -> &[TensorId] {
        &self.inputs[self.inputs.len().saturating_sub(self.op.parameter_count())..]
    }

    /// Whether it has parameters that gradients move.
    pub fn is_layer(&self) -> bool {
        self.parameters().len() > self.op.statistics()
    }
}

/// What a model file says beside the computation.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meta {
    /// Names of the output classes in order; empty if unknown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class_names: Vec<String>,
    /// What is done to raw values before they become the (only) input.
    #[serde(default, skip_serializing_if = "Preprocessing::is_identity")]
    pub preprocessing: Preprocessing,
    /// How the input was in training, for [`Graph::normalise_inputs`]; `None` if nobody has measured it, or that is not
    /// for this model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<ops::Normalise>,
    /// Free facts: `loss`, `source`, ...
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, String>,
}

/// A directed acyclic graph of operations.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Graph {
    /// What people call it.
    pub name: String,
    /// In any order; [`Graph::order`] finds one to run them in.
    pub nodes: Vec<Node>,
    /// Activations and constants.
    pub tensors: Vec<Tensor>,
    /// Activations that the caller provides.
    pub inputs: Vec<TensorId>,
    /// What the caller gets.
    pub outputs: Vec<TensorId>,
    /// What a file says beside the computation.
    #[serde(default)]
    pub meta: Meta,
}

impl Graph {
    /// An empty graph.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// A tensor of this graph.
    ///
    /// # Panics
    /// If the number is not one of this graph's; [`Graph::validate`] rules that out for all that
    /// the graph itself refers to.
    pub fn tensor(&self, id: TensorId) -> &Tensor {
        &self.tensors[id.index()]
    }

    /// As [`Graph::tensor`].
    pub fn tensor_mut(&mut self, id: TensorId) -> &mut Tensor {
        &mut self.tensors[id.index()]
    }

    /// A node of this graph; panics as [`Graph::tensor`].
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// As [`Graph::node`].
    pub fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id.index()]
    }

    /// All nodes with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        (0u32..).map(NodeId).zip(&self.nodes)
    }

    /// Adds a tensor.
    pub fn add_tensor(&mut self, tensor: Tensor) -> TensorId {
        let id = TensorId(self.tensors.len() as u32);
        self.tensors.push(tensor);
        id
    }

    /// Adds a node; `inputs` are the data inputs, then the parameters.
    pub fn add_node(
        &mut self,
        name: impl Into<String>,
        op: impl Into<Op>,
        inputs: &[TensorId],
        outputs: &[TensorId],
    ) -> NodeId {
        let id = NodeId(self.nodes.len() as u32);
        self.nodes.push(Node { name: name.into(), op: op.into(), inputs: inputs.to_vec(), outputs: outputs.to_vec() });
        id
    }

    /// The tensor with this name.
    pub fn find_tensor(&self, name: &str) -> Option<TensorId> {
        self.tensors.iter().position(|t| t.name == name).map(|i| TensorId(i as u32))
    }

    /// The node with this name.
    pub fn find_node(&self, name: &str) -> Option<NodeId> {
        self.nodes.iter().position(|n| n.name == name).map(|i| NodeId(i as u32))
    }

    /// The node that makes each tensor, by tensor number.
    pub fn producers(&self) -> Vec<Option<NodeId>> {
        let mut producers = vec![None; self.tensors.len()];
        for (id, node) in self.iter() {
            for output in &node.outputs {
                producers[output.index()] = Some(id);
            }
        }
        producers
    }

    /// The nodes that read each tensor, by tensor number, once per use.
    pub fn consumers(&self) -> Vec<Vec<NodeId>> {
        let mut consumers = vec![Vec::new(); self.tensors.len()];
        for (id, node) in self.iter() {
            for input in &node.inputs {
                consumers[input.index()].push(id);
            }
        }
        consumers
    }

    /// Number of values in all constants that are parameters of a node.
    pub fn parameter_count(&self) -> usize {
        self.parameter_tensors().iter().map(|t| self.tensor(*t).elements()).sum()
    }

    /// Every parameter once, in the order of first use by the node list.
    pub fn parameter_tensors(&self) -> Vec<TensorId> {
        let mut seen = vec![false; self.tensors.len()];
        let all = self.nodes.iter().flat_map(|n| n.parameters().iter().copied());
        all.filter(|t| !std::mem::replace(&mut seen[t.index()], true)).collect()
    }

    /// The parameters that training moves without gradient ([`ops::Operation::statistics`]).
    pub fn statistics(&self) -> BTreeSet<TensorId> {
        let of = |node: &Node| {
            let parameters = node.parameters();
            parameters[parameters.len().saturating_sub(node.op.statistics())..].to_vec()
        };
        self.nodes.iter().flat_map(of).collect()
    }

    /// Multiply-accumulates of one node for one sample.
    pub fn node_macs(&self, node: &Node) -> u64 {
        let shape = |t: Option<&TensorId>| t.map_or(&[][..], |t| self.tensor(*t).shape.as_slice());
        node.op.macs(shape(node.inputs.first()), shape(node.outputs.first()))
    }

    /// Multiply-accumulates of the whole graph for one sample.
    pub fn macs(&self) -> u64 {
        self.nodes.iter().map(|n| self.node_macs(n)).sum()
    }
}
