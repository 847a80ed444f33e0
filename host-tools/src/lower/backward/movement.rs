//! Backward steps of movements: the same boxes the other way.

use super::super::forward::{Move, Site, blocks};
use super::super::{BufferId, Emit, LowerError};
use super::Gradients;
use crate::graph::DType;
use embernet_core::kernels::strided::Outside;

impl Emit<'_, '_> {
    pub(in super::super) fn movement_backward(
        &mut self,
        site: Site<'_>,
        dy: BufferId,
        gradients: &mut Gradients,
    ) -> Result<(), LowerError> {
        let blocks = blocks(self.graph(), site.node);
        if let [block] = blocks.as_slice()
            && block.is_identity()
        {
            self.contribute(site, site.node.inputs[0], dy, gradients);
            return Ok(());
        }
        for (block, &input) in blocks.into_iter().zip(site.node.data_inputs()) {
            let Some(dx) = self.gradient(input, gradients) else { continue };
            let block = block.reversed();
            // What a slice leaves out has no gradient.
            let outside = if block.fills_output() { Outside::Later } else { Outside::Fill };
            let copy = Move { block, x: dy, repeats: false, y: dx, outside, fill: 0 };
            self.strided_copy(site, DType::F32, copy)?;
            self.contribute(site, input, dx, gradients);
        }
        Ok(())
    }
}
