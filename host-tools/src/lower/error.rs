//! Why a graph cannot be lowered.

use crate::graph::{DType, Graph, GraphError, Node};
use crate::quant::fixed_point::FixedPointError;

/// A graph that no plan can be made of.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the messages say what the fields are
pub enum LowerError {
    #[error("the graph does not hold together")]
    Graph(#[from] GraphError),
    #[error("layer `{node}` ({op}): {what} is not supported")]
    Unsupported { node: String, op: &'static str, what: String },
    #[error("layer `{node}`: tensor `{tensor}` is {found}, expected {expected}")]
    Type { node: String, tensor: String, found: DType, expected: DType },
    #[error("layer `{node}`: tensor `{tensor}` has no scale and zero point")]
    NotQuantised { node: String, tensor: String },
    #[error("layer `{node}`: tensor `{tensor}` has {found} scales, expected {expected}")]
    Scales { node: String, tensor: String, found: usize, expected: String },
    #[error("layer `{node}`: weights `{tensor}` have zero point {found}, expected 0")]
    WeightZeroPoint { node: String, tensor: String, found: i32 },
    #[error("layer `{node}`: {source}")]
    FixedPoint { node: String, source: FixedPointError },
    #[error("graph output `{tensor}` is a constant; nothing would be computed")]
    ConstantOutput { tensor: String },
    #[error("there is nothing to train: no parameter of the graph is trainable")]
    NothingToTrain,
    #[error("`{tensor}` is used by several layers; shared parameters cannot be trained")]
    SharedParameter { tensor: String },
    #[error("training needs one input and one output; the graph has {inputs} and {outputs}")]
    TrainPorts { inputs: usize, outputs: usize },
    #[error("loss {loss} cannot follow `{node}` ({op}): {hint}")]
    Loss { loss: &'static str, node: String, op: &'static str, hint: &'static str },
    #[error("training with {what} is not supported")]
    Optimizer { what: &'static str },
    #[error("a batch of {found} samples; expected at least 1")]
    Batch { found: usize },
    #[error("{what} takes {bytes} bytes; the format ends at {most}")]
    TooLarge { what: &'static str, bytes: usize, most: usize },
    #[error("layer `{node}`: the step {step} was refused: sizes beyond what a plan can hold")]
    Record { node: String, step: &'static str },
}

impl LowerError {
    /// The same error of the layer that `graph` has, where it names one that a rewrite made of that
    /// ([`Graph::set_trainable`]): those are called `layer[..]` and `layer/..`.
    pub(super) fn of_layers(mut self, graph: &Graph) -> Self {
        let (name, kind) = match &mut self {
            Self::Unsupported { node, op, .. } | Self::Loss { node, op, .. } => (node, Some(op)),
            Self::Type { node, .. }
            | Self::NotQuantised { node, .. }
            | Self::Scales { node, .. }
            | Self::WeightZeroPoint { node, .. }
            | Self::FixedPoint { node, .. }
            | Self::Record { node, .. } => (node, None),
            _ => return self,
        };
        let owns = |node: &&Node| {
            let rest = name.strip_prefix(&node.name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['[', '/']))
        };
        if let Some(owner) = graph.nodes.iter().filter(owns).max_by_key(|node| node.name.len()) {
            *name = owner.name.clone();
            if let Some(kind) = kind {
                *kind = owner.op.kind();
            }
        }
        self
    }
}
