//! Dense layers.

use super::super::loops::Shape;
use super::super::{Emit, LowerError, word};
use super::Site;
use super::layer::{FloatLayer, IntegerLayer};
use crate::graph::{DType, Node};
use embernet_core::kernels::dense;

impl Emit<'_, '_> {
    pub(super) fn dense(&mut self, site: Site<'_>) -> Result<(), LowerError> {
        let Site { node, dtype, .. } = site;
        if let Some(shape) = self.convolution(node)? {
            return self.convolve(site, shape);
        }
        if matches!(
            (dtype, self.tensor(node.inputs[1]).dtype),
            (DType::F32, DType::I8 | DType::I4) | (DType::I8, DType::I4)
        ) {
            return self.convolve(site, self.pointwise_shape(node));
        }
        self.whole_input(site, self.dense_shape(node))
    }

    /// The step of a layer whose filters see all of their input at once.
    pub(super) fn whole_input(&mut self, site: Site<'_>, shape: dense::Dense) -> Result<(), LowerError> {
        match site.dtype {
            DType::F32 if self.constant_dense(site, shape, 1)? => {}
            DType::F32 => self.float_layer(site, move |FloatLayer { x, w, b, y, lo, hi }, _| dense::ForwardF32 {
                shape,
                x,
                w,
                b,
                y,
                lo,
                hi,
            })?,
            DType::I8 => {
                let t = self.weighted_for(site, &Shape::Dense(shape))?;
                let order = t.order;
                self.integer_layer(site, t, move |IntegerLayer { x, w, b, y, requantize }, _| dense::ForwardI8 {
                    shape,
                    x,
                    w,
                    b,
                    y,
                    requantize,
                    order,
                });
            }
            DType::I16 => {
                let t = self.weighted(site)?;
                self.integer_layer(site, t, move |IntegerLayer { x, w, b, y, requantize }, _| dense::ForwardI16 {
                    shape,
                    x,
                    w,
                    b,
                    y,
                    requantize,
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
