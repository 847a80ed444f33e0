//! Backward steps of windows.

use super::super::forward::Site;
use super::super::{BufferId, Emit, LowerError};
use super::Gradients;
use crate::graph::{Activation, NodeId, Op};
use embernet_core::kernels::{average_pool, max_pool};

impl Emit<'_, '_> {
    pub(super) fn max_pool_backward(
        &mut self,
        site: Site<'_>,
        dy: BufferId,
        gradients: &mut Gradients,
    ) -> Result<(), LowerError> {
        let node = site.node;
        let Some(dx) = self.gradient(node.inputs[0], gradients) else { return Ok(()) };
        let name = &node.name;
        let producer = self.graph().producers()[node.inputs[0].index()];
        let before = producer.filter(|of| self.is_limited_behind_pool(*of)).map(|of| self.graph().node(of).op.fused());
        let dy = self.clamp_backward(site, before.unwrap_or_default(), dy)?;
        let x = self.value(node.inputs[0]);
        let shape = self.pool_shape(node)?;
        // Windows that share nothing leave their gradients in place of what they saw.
        let in_place: &[_] = if shape.tiles() { &[(x, dx)] } else { &[] };
        self.sequence.push_in_place(name, Some(site.id), in_place, move |p| max_pool::BackwardF32 {
            shape,
            x: p.at(x),
            dy: p.at(dy),
            dx: p.at(dx),
        });
        self.contribute(site, node.inputs[0], dx, gradients);
        Ok(())
    }

    /// Whether the gradient of this node's output needs no limits any more, because a max pool alone reads that output:
    /// an output of the pool is one of the node's, with the same limits, and there are fewer of them.
    pub(super) fn is_limited_behind_pool(&self, id: NodeId) -> bool {
        let (graph, node) = (self.graph(), self.graph().node(id));
        let [reader] = self.consumers[node.outputs[0].index()][..] else { return false };
        let pool = &graph.node(reader).op;
        let learns = matches!(node.op, Op::BatchNorm(_)) && self.batch_norm_learns(node);
        matches!(pool, Op::MaxPool2d(_) | Op::GlobalMaxPool2d(_)) && pool.fused() == Activation::Linear && !learns
    }

    pub(super) fn average_pool_backward(
        &mut self,
        site: Site<'_>,
        dy: BufferId,
        gradients: &mut Gradients,
    ) -> Result<(), LowerError> {
        let node = site.node;
        let Some(dx) = self.gradient(node.inputs[0], gradients) else { return Ok(()) };
        let name = &node.name;
        let shape = self.pool_shape(node)?;
        self.sequence.push(name, Some(site.id), move |p| average_pool::BackwardF32 {
            shape,
            dy: p.at(dy),
            dx: p.at(dx),
        });
        self.contribute(site, node.inputs[0], dx, gradients);
        Ok(())
    }
}
