//! Backward steps of windows.

use super::super::forward::Site;
use super::super::{BufferId, Emit, LowerError};
use super::Gradients;
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
        let x = self.value(node.inputs[0]);
        let shape = self.pool_shape(node)?;
        self.sequence.push(name, Some(site.id), move |p| max_pool::BackwardF32 {
            shape,
            x: p.at(x),
            dy: p.at(dy),
            dx: p.at(dx),
        });
        self.contribute(site, node.inputs[0], dx, gradients);
        Ok(())
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
