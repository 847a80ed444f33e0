//! Backward steps of functions of one element and of two, and of softmax.

use super::super::forward::{Site, activation_kind, bounds};
use super::super::{BufferId, Emit, LowerError, word};
use super::Gradients;
use crate::graph::Activation;
use embernet_core::kernels::{activation, softmax};

impl Emit<'_, '_> {
    /// The gradient in front of a fused clamp.
    pub(super) fn clamp_backward(&mut self, site: Site<'_>, dy: BufferId) -> Result<BufferId, LowerError> {
        let fused = site.node.op.fused();
        if fused == Activation::Linear {
            return Ok(dy);
        }
        let name = format!("{}/gradient before {}", site.node.name, fused.name());
        let dx = self.lowering.program.transient(name);
        self.activation_step(site, fused, dy, dx)?;
        Ok(dx)
    }

    pub(super) fn activation_backward(
        &mut self,
        site: Site<'_>,
        function: Activation,
        dy: BufferId,
        gradients: &mut Gradients,
    ) -> Result<(), LowerError> {
        let input = site.node.inputs[0];
        let Some(dx) = self.gradient(input, gradients) else { return Ok(()) };
        self.activation_step(site, function, dy, dx)?;
        self.contribute(site, input, dx, gradients);
        Ok(())
    }

    fn activation_step(
        &mut self,
        site: Site<'_>,
        function: Activation,
        dy: BufferId,
        dx: BufferId,
    ) -> Result<(), LowerError> {
        let Site { id, node, .. } = site;
        let y = self.value(node.outputs[0]);
        let len = self.output_len(node);
        let (lo, hi) = bounds(function);
        let kind = activation_kind(node, function)?;
        self.sequence.push_in_place(&node.name, Some(id), &[(dy, dx)], move |p| activation::BackwardF32 {
            kind,
            len,
            lo,
            hi,
            y: p.at(y),
            dy: p.at(dy),
            dx: p.at(dx),
        });
        Ok(())
    }

    pub(super) fn softmax_backward(
        &mut self,
        site: Site<'_>,
        dy: BufferId,
        gradients: &mut Gradients,
    ) -> Result<(), LowerError> {
        let node = site.node;
        let Some(dx) = self.gradient(node.inputs[0], gradients) else { return Ok(()) };
        let name = &node.name;
        let y = self.value(node.outputs[0]);
        let (rows, len) = self.softmax_rows(node);
        self.sequence.push_in_place(name, Some(site.id), &[(dy, dx)], move |p| softmax::BackwardF32 {
            rows,
            len,
            y: p.at(y),
            dy: p.at(dy),
            dx: p.at(dx),
        });
        self.contribute(site, node.inputs[0], dx, gradients);
        Ok(())
    }

    /// Each input has a gradient of its own, which others may add to.
    pub(super) fn add_backward(
        &mut self,
        site: Site<'_>,
        dy: BufferId,
        gradients: &mut Gradients,
    ) -> Result<(), LowerError> {
        for &input in site.node.data_inputs() {
            let Some(dx) = self.gradient(input, gradients) else { continue };
            let bytes = word(self.tensor(input).bytes());
            self.sequence.push_copy(&site.node.name, Some(site.id), bytes, dy, dx);
            self.contribute(site, input, dx, gradients);
        }
        Ok(())
    }
}
