//! Through layers that work row by row: parametric relu and layer normalisation.

use super::{Gradients, State};
use crate::graph::TensorId;
use crate::graph::ops::LayerNorm;
use crate::lower::forward::Site;
use crate::lower::{BufferId, Emit, LowerError, word};
use embernet_core::kernels::{layer_norm, prelu};

impl Emit<'_, '_> {
    pub(super) fn prelu_backward(
        &mut self,
        site: Site<'_>,
        dy: BufferId,
        gradients: &mut Gradients,
        state: &State,
    ) -> Result<(), LowerError> {
        let node = site.node;
        let (input, slope_id) = (node.inputs[0], node.parameters()[0]);
        let (rows, channels) = self.rows_of(input, slope_id);
        let (dx, dslope) = (self.gradient(input, gradients), self.parameter_gradient(slope_id));
        let (x, slope) = (self.value(input), self.value(slope_id));
        self.sequence.push(&node.name, Some(site.id), move |p| prelu::BackwardF32 {
            rows,
            channels,
            x: p.at(x),
            slope: p.at(slope),
            dy: p.at(dy),
            dslope: p.opt(dslope),
            dx: p.opt(dx),
        });
        if let Some(dx) = dx {
            self.contribute(site, input, dx, gradients);
        }
        if let Some(dslope) = dslope {
            self.update_parameter(site, slope_id, dslope, state);
        }
        Ok(())
    }

    pub(super) fn layer_norm_backward(
        &mut self,
        site: Site<'_>,
        op: &LayerNorm,
        dy: BufferId,
        gradients: &mut Gradients,
        state: &State,
    ) -> Result<(), LowerError> {
        let node = site.node;
        let input = node.inputs[0];
        let (gamma_id, beta_id) = (node.parameters()[0], node.parameters().get(1).copied());
        let (rows, len) = self.rows_of(input, gamma_id);
        let dx = self.gradient(input, gradients);
        let dbeta = beta_id.and_then(|id| self.parameter_gradient(id));
        // The step makes both or neither.
        let name = format!("{}/gradient", self.tensor(gamma_id).name);
        let learns = dbeta.is_some() || self.tensor(gamma_id).trainable;
        let dgamma = learns.then(|| self.lowering.program.transient(name));
        let (x, gamma, epsilon) = (self.value(input), self.value(gamma_id), op.epsilon);
        self.sequence.push(&node.name, Some(site.id), move |p| layer_norm::BackwardF32 {
            rows,
            len,
            x: p.at(x),
            gamma: p.at(gamma),
            dy: p.at(dy),
            dgamma: p.opt(dgamma),
            dbeta: p.opt(dbeta),
            dx: p.opt(dx),
            epsilon,
        });
        if let Some(dx) = dx {
            self.contribute(site, input, dx, gradients);
        }
        for (id, gradient) in [(Some(gamma_id), dgamma), (beta_id, dbeta)] {
            if let (Some(id), Some(gradient)) = (id, gradient) {
                self.update_parameter(site, id, gradient, state);
            }
        }
        Ok(())
    }

    /// Rows of a tensor, and how long they are: as long as this parameter.
    fn rows_of(&self, input: TensorId, parameter: TensorId) -> (u32, u32) {
        let len = self.tensor(parameter).elements();
        (word(self.tensor(input).elements() / len.max(1)), word(len))
    }

    /// A buffer for the gradient of a parameter that learns.
    pub(super) fn parameter_gradient(&mut self, id: TensorId) -> Option<BufferId> {
        let tensor = self.tensor(id);
        let name = format!("{}/gradient", tensor.name);
        tensor.trainable.then(|| self.lowering.program.transient(name))
    }
}
