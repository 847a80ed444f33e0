//! Forward steps.

use super::super::forward::{Site, binary_kind, bounds};
use super::super::{BufferId, Emit, LowerError, unsupported};
use super::weighted::{Weighted, for_each_kind};
use crate::graph::{Activation, DType, Op};
use embernet_core::kernels::binary::Kind;
use embernet_core::kernels::fixed::{activation, add, pool, softmax};

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
                    clamp if clamp.is_clamp() => {
                        let (x, y) = (self.value(node.inputs[0]), self.output(node));
                        self.fixed_sum(site, Sum { of: [Some(x), None], y, subtracts: false }, clamp);
                        return Ok(());
                    }
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
            Op::Pad(op) => return self.movement(site, Some(op)),
            Op::Concat(_) | Op::Slice(_) | Op::Transpose(_) => return self.movement(site, None),
            op => match binary_kind(op) {
                Some(Kind::Add) => self.fixed_two(site, false)?,
                Some(Kind::Sub) => self.fixed_two(site, true)?,
                _ => return Err(no_steps(site)),
            },
        }
        Ok(())
    }

    /// A sum or difference of two activations.
    fn fixed_two(&mut self, site: Site<'_>, subtracts: bool) -> Result<(), LowerError> {
        let node = site.node;
        let [a, b] = [0, 1].map(|i| self.tensor(node.inputs[i]));
        if a.shape != b.shape {
            return Err(unsupported(node, "inputs of different shapes in 16-bit fixed point"));
        }
        if a.data.is_some() || b.data.is_some() {
            return Err(unsupported(node, "a constant input in 16-bit fixed point"));
        }
        let of = [0, 1].map(|i| Some(self.value(node.inputs[i])));
        let y = self.output(node);
        self.fixed_sum(site, Sum { of, y, subtracts }, node.op.fused());
        Ok(())
    }

    /// The step of a sum, as large as the node's output.
    pub(super) fn fixed_sum(&mut self, site: Site<'_>, sum: Sum, limits: Activation) {
        let len = self.output_len(site.node);
        self.fixed_sum_of(site, len, sum, limits);
    }

    /// The step of a sum of so many elements.
    pub(super) fn fixed_sum_of(&mut self, site: Site<'_>, len: u32, sum: Sum, limits: Activation) {
        let Sum { of: [a, b], y, subtracts } = sum;
        let (lo, hi) = bounds(limits);
        // Of a difference only the first one may be replaced; nothing is added to itself in its place.
        let places = if a == b { [None; 2] } else { [a, b.filter(|_| !subtracts)] };
        let pairs: Vec<_> = places.into_iter().flatten().map(|x| (x, y)).collect();
        self.sequence.push_in_place(&site.node.name, Some(site.id), &pairs, move |p| add::Add {
            len,
            subtracts: u32::from(subtracts),
            a: p.opt(a),
            b: p.opt(b),
            y: p.at(y),
            lo,
            hi,
        });
    }
}

/// `y` as the sum of two buffers, or as their difference. One that is absent counts as zeros.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sum {
    pub of: [Option<BufferId>; 2],
    pub y: BufferId,
    pub subtracts: bool,
}

/// The error of an operation without steps in fixed point.
pub(super) fn no_steps(site: Site<'_>) -> LowerError {
    unsupported(site.node, "16-bit fixed point")
}
