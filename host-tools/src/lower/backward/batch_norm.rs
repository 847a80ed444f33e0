//! Through batch normalisation, and the updates of its parameters.

use super::{Gradients, State};
use crate::graph::ops::BatchNorm;
use crate::graph::{Activation, TensorId};
use crate::lower::forward::{Site, bounds};
use crate::lower::{BufferId, Emit, LowerError, unsupported, word};
use embernet_core::kernels::batch_norm::{BackwardInputF32, GradientsF32};
use embernet_core::kernels::update::UpdateF32;

impl Emit<'_, '_> {
    pub(super) fn batch_norm_backward(
        &mut self,
        site: Site<'_>,
        op: &BatchNorm,
        dy: BufferId,
        gradients: &mut Gradients,
        state: &State,
    ) -> Result<(), LowerError> {
        let Site { id, node, .. } = site;
        let input = node.inputs[0];
        if !self.batch_norm_learns(node) {
            // Kept statistics are constants: the gradient is multiplied by the scale.
            if let Some(dx) = self.gradient(input, gradients) {
                let slopes = self.constant_factors(node, op, false)?;
                self.scale_shift(site, Activation::Linear, slopes, (dy, dx));
                self.contribute(site, input, dx, gradients);
            }
            return Ok(());
        }
        let moments = self.moments.get(&id).copied();
        let moments = moments.ok_or_else(|| unsupported(node, "training before the forward step"))?;
        let shape = self.channels(node);
        let (lo, hi) = bounds(op.activation);
        let x = self.value(input);
        let [gamma, beta] = [node.parameters()[0], node.parameters()[1]];
        let (factor, term) = (self.value(gamma), self.value(beta));
        let [dgamma, dbeta] =
            ["gamma", "beta"].map(|role| self.lowering.program.transient(format!("{}/{role}/gradient", node.name)));
        self.sequence.push(&node.name, Some(id), move |p| GradientsF32 {
            shape,
            x: p.at(x),
            moments: p.at(moments),
            gamma: p.at(factor),
            beta: p.at(term),
            lo,
            hi,
            dy: p.at(dy),
            dgamma: p.at(dgamma),
            dbeta: p.at(dbeta),
        });
        if let Some(dx) = self.gradient(input, gradients) {
            self.sequence.push_in_place(&node.name, Some(id), &[(dy, dx)], move |p| BackwardInputF32 {
                shape,
                x: p.at(x),
                moments: p.at(moments),
                gamma: p.at(factor),
                beta: p.at(term),
                lo,
                hi,
                dgamma: p.at(dgamma),
                dbeta: p.at(dbeta),
                dy: p.at(dy),
                dx: p.at(dx),
            });
            self.contribute(site, input, dx, gradients);
        }
        for (parameter, gradient) in [(gamma, dgamma), (beta, dbeta)] {
            self.update_parameter(site, parameter, gradient, state);
        }
        Ok(())
    }

    /// The update of a parameter whose gradient lies in memory; none if it is frozen.
    pub(super) fn update_parameter(&mut self, site: Site<'_>, parameter: TensorId, gradient: BufferId, state: &State) {
        let tensor = self.tensor(parameter);
        if !tensor.trainable {
            return;
        }
        let (len, slots) = (word(tensor.elements()), state.layout);
        let (w, of) = (self.value(parameter), state.of[parameter.index()]);
        self.sequence.push(&site.node.name, Some(site.id), move |p| UpdateF32 {
            len,
            slots,
            gradient: p.at(gradient),
            w: p.at(w),
            state: p.opt(of),
        });
    }
}
