//! Activations that are computed again in the backward pass, in place of being kept.
//!
//! Once the loss is computed, what is dropped has no value any more. The first backward step that reads it brings its
//! layer's forward steps back, and those read what was kept, or bring back more.

use crate::graph::{Graph, GraphError, NodeId, Op, TensorId};
use crate::lower::{BufferId, Emit, LowerError, unsupported};
use std::collections::HashMap;

/// What is dropped.
#[derive(Debug, Default)]
pub(in super::super) struct Again {
    /// The layer that makes each dropped tensor.
    makers: HashMap<TensorId, NodeId>,
    /// Why a layer could not be lowered for the second time.
    failure: Option<LowerError>,
}

/// The node with this name.
pub(super) fn named(graph: &Graph, name: &str, order: &[NodeId]) -> Result<NodeId, LowerError> {
    let name_of = |id: &NodeId| graph.node(*id).name.as_str();
    order.iter().find(|id| name_of(id) == name).copied().ok_or_else(|| {
        let known = order.iter().map(name_of).collect::<Vec<_>>().join(", ");
        GraphError::NoSuchName { name: name.to_owned(), known }.into()
    })
}

impl Emit<'_, '_> {
    /// Drops the outputs of the layers with these names, and what lies in the same places.
    pub(super) fn drop_outputs(&mut self, layers: &[String], order: &[NodeId]) -> Result<(), LowerError> {
        let graph = self.graph();
        for name in layers {
            let id = named(graph, name, order)?;
            let node = graph.node(id);
            let moves_state = match &node.op {
                Op::BatchNorm(_) => self.batch_norm_learns(node),
                op => matches!(op, Op::Svdf(_) | Op::Normalise(_)),
            };
            if moves_state {
                return Err(unsupported(node, "computing it twice for one update"));
            }
            let Some(buffer) = node.outputs.first().and_then(|t| self.values[t.index()]) else { continue };
            // The caller fills inputs once.
            if self.sequence.inputs.iter().any(|input| input.buffer == buffer) {
                continue;
            }
            for maker in order {
                for tensor in &graph.node(*maker).outputs {
                    if self.values[tensor.index()] == Some(buffer) {
                        self.values[tensor.index()] = None;
                        self.again.makers.insert(*tensor, *maker);
                    }
                }
            }
        }
        Ok(())
    }

    /// Brings a dropped tensor back; `None` if it is no such tensor.
    pub(in super::super) fn compute_again(&mut self, id: TensorId) -> Option<BufferId> {
        let maker = *self.again.makers.get(&id)?;
        if let Err(error) = self.forward(maker) {
            self.again.failure.get_or_insert(error);
        }
        self.values[id.index()]
    }

    /// Whether all that was dropped came back.
    pub(super) fn check_again(&mut self) -> Result<(), LowerError> {
        self.again.failure.take().map_or(Ok(()), Err)
    }
}
