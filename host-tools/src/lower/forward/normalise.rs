//! Inputs brought back to what a model was trained on.

use super::super::{Emit, LowerError, word};
use super::Site;
use crate::graph::ops::Normalise;
use crate::graph::{DType, Data};
use embernet_core::kernels::normalise::NormaliseI8;

impl Emit<'_, '_> {
    /// Tables and sums are kept as parameters are, also where nothing trains.
    pub(super) fn normalise(&mut self, site: Site<'_>, op: &Normalise) -> Result<(), LowerError> {
        let Site { id, node, dtype } = site;
        if dtype != DType::I8 {
            return Err(self.no_kernel(site));
        }
        for (tensor, dtype) in node.parameters().iter().zip([DType::I8, DType::I32]) {
            self.expect_type(node, *tensor, dtype)?;
        }
        let (len, channels) = (self.output_len(node), word(op.channels()));
        let [tables, seen] = [0, 1].map(|at| self.lowering.keep(node.parameters()[at]));
        let moments = op.means.iter().zip(&op.deviations).flat_map(|(mean, deviation)| [*mean, *deviation]);
        let reference = self.table(node, "reference", &Data::F32(moments.collect()));
        let x = self.value(node.inputs[0]);
        let y = self.output(node);
        self.sequence.push_in_place(&node.name, Some(id), &[(x, y)], move |p| NormaliseI8 {
            len,
            channels,
            tables: p.at(tables),
            seen: p.at(seen),
            reference: p.at(reference),
            x: p.at(x),
            y: p.at(y),
        });
        Ok(())
    }
}
