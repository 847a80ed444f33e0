//! Forward steps.

use super::super::forward::{Site, bounds};
use super::super::{Emit, LowerError, unsupported};
use super::weighted::{Weighted, for_each_kind};
use crate::graph::{Activation, DType, Op};
use embernet_core::kernels::fixed::{activation, pool, softmax};

impl Emit<'_, '_> {
    /// Appends the steps that compute a node's output.
    pub(in super::super) fn fixed_forward(&mut self, site: Site<'_>) -> Result<(), LowerError> {
        let Site { id, node, .. } = site;
        for t in node.inputs.iter().chain(&node.outputs) {
            self.expect_type(node, *t, DType::F32)?;
        }
        let name = &node.name;
        match &node.op {
            Op::Flatten(_) | Op::Reshape(_) => self.alias(node),
            Op::Dense(_) | Op::Conv2d(_) | Op::DepthwiseConv2d(_) => {
                let (lo, hi) = bounds(node.op.fused());
                let x = self.value(node.inputs[0]);
                let [w, b] = [0, 1].map(|i| node.parameters().get(i).map(|t| self.value(*t)));
                let (sums, y) = (self.fixed_sums(name), self.output(node));
                for_each_kind!(self.fixed_weighted(node)?, shape, layer => {
                    self.sequence.push(name, Some(id), move |p| layer::Forward {
                        shape,
                        x: p.at(x),
                        w: p.opt(w),
                        b: p.opt(b),
                        y: p.at(y),
                        sums: p.at(sums),
                        lo,
                        hi,
                    });
                });
            }
            Op::MaxPool2d(_) | Op::GlobalMaxPool2d(_) => {
                let (shape, (lo, hi)) = (self.pool_shape(node)?, bounds(node.op.fused()));
                let (x, y) = (self.value(node.inputs[0]), self.output(node));
                self.sequence.push(name, Some(id), move |p| pool::Max { shape, x: p.at(x), y: p.at(y), lo, hi });
            }
            Op::AveragePool2d(_) | Op::GlobalAveragePool2d(_) => {
                let (shape, (lo, hi)) = (self.pool_shape(node)?, bounds(node.op.fused()));
                let x = self.value(node.inputs[0]);
                let (sums, y) = (self.fixed_sums(name), self.output(node));
                self.sequence.push(name, Some(id), move |p| pool::Average {
                    shape,
                    x: p.at(x),
                    y: p.at(y),
                    sums: p.at(sums),
                    lo,
                    hi,
                });
            }
            Op::Softmax(op) if op.beta == 1.0 && self.softmax_rows(node).0 == 1 => {
                let (_, len) = self.softmax_rows(node);
                let x = self.value(node.inputs[0]);
                let (sums, y) = (self.fixed_sums(name), self.output(node));
                self.sequence.push(name, Some(id), move |p| softmax::Softmax {
                    len,
                    x: p.at(x),
                    y: p.at(y),
                    sums: p.at(sums),
                });
            }
            Op::Activation(layer) => {
                let alpha = match layer.function {
                    Activation::LeakyRelu { alpha } if (0.0..=1.0).contains(&alpha) => alpha,
                    Activation::Relu => 0.0,
                    _ => return Err(no_steps(site)),
                };
                let len = self.output_len(node);
                let x = self.value(node.inputs[0]);
                let y = self.output(node);
                self.sequence.push_in_place(name, Some(id), &[(x, y)], move |p| activation::LeakyRelu {
                    len,
                    alpha,
                    x: p.at(x),
                    y: p.at(y),
                });
            }
            _ => return Err(no_steps(site)),
        }
        Ok(())
    }
}

/// The error of an operation without steps in fixed point.
pub(super) fn no_steps(site: Site<'_>) -> LowerError {
    unsupported(site.node, "16-bit fixed point")
}
