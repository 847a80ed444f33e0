//! Dense layers.

use super::super::{Emit, LowerError, word};
use super::{Site, bounds};
use crate::graph::{DType, Node};
use embernet_core::arch::layout::packing;
use embernet_core::kernels::dense;

impl Emit<'_, '_> {
    pub(super) fn dense(&mut self, site: Site<'_>) -> Result<(), LowerError> {
        let Site { id, node, dtype } = site;
        if let Some(shape) = self.convolution(node)? {
            return self.convolve(site, shape);
        }
        if matches!(
            (dtype, self.tensor(node.inputs[1]).dtype),
            (DType::F32, DType::I8 | DType::I4) | (DType::I8, DType::I4)
        ) {
            return self.convolve(site, self.pointwise_shape(node));
        }
        let shape = self.dense_shape(node);
        let x = self.value(node.inputs[0]);
        let name = &node.name;
        match dtype {
            DType::F32 => {
                let (lo, hi) = bounds(node.op.fused());
                let (w, b) = self.float_weights(node)?;
                let y = self.output(node);
                self.sequence.push(name, Some(id), move |p| dense::ForwardF32 {
                    shape,
                    x: p.at(x),
                    w: p.opt(w),
                    b: p.opt(b),
                    y: p.at(y),
                    lo,
                    hi,
                });
            }
            DType::I8 => {
                let y = self.output(node);
                let t = self.weighted_for(site, |isa, layer| packing::dense(isa, &shape, layer))?;
                self.sequence.push(name, Some(id), move |p| dense::ForwardI8 {
                    shape,
                    x: p.at(x),
                    w: p.at(t.w),
                    b: p.opt(t.b),
                    y: p.at(y),
                    requantize: t.requantize(p),
                    order: t.order,
                });
            }
            DType::I16 => {
                let t = self.weighted(site)?;
                let y = self.output(node);
                self.sequence.push(name, Some(id), move |p| dense::ForwardI16 {
                    shape,
                    x: p.at(x),
                    w: p.at(t.w),
                    b: p.opt(t.b),
                    y: p.at(y),
                    requantize: t.requantize(p),
                });
            }
            _ => return Err(self.no_kernel(site)),
        }
        Ok(())
    }

    /// The shape as the kernel wants it.
    pub(in super::super) fn dense_shape(&self, node: &Node) -> dense::Dense {
        let dims = &self.tensor(node.inputs[1]).shape;
        dense::Dense { inputs: word(dims[1]), outputs: word(dims[0]) }
    }
}
