//! Layer normalisation.

use super::super::{Emit, LowerError, word};
use super::Site;
use crate::graph::{DType, ops};
use embernet_core::kernels::layer_norm::ForwardF32;

impl Emit<'_, '_> {
    pub(super) fn layer_norm(&mut self, site: Site<'_>, op: &ops::LayerNorm) -> Result<(), LowerError> {
        let Site { id, node, dtype } = site;
        if dtype != DType::F32 {
            return Err(self.no_kernel(site));
        }
        let (len, epsilon) = (self.tensor(node.inputs[1]).elements(), op.epsilon);
        let rows = word(self.tensor(node.inputs[0]).elements() / len.max(1));
        let x = self.value(node.inputs[0]);
        let (gamma, beta) = self.float_weights(node)?;
        let y = self.output(node);
        self.sequence.push_in_place(&node.name, Some(id), &[(x, y)], move |p| ForwardF32 {
            rows,
            len: word(len),
            x: p.at(x),
            gamma: p.opt(gamma),
            beta: p.opt(beta),
            y: p.at(y),
            epsilon,
        });
        Ok(())
    }
}
