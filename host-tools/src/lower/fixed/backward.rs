//! The loss and backward steps. Which gradients are wanted, and in which order they come, is decided in `backward/`.

use super::super::backward::Gradients;
use super::super::forward::{Site, binary_kind, bounds};
use super::super::{BufferId, Emit, Loss, LowerError, word};
use super::forward::{Sum, no_steps};
use super::weighted::{FixedState, Weighted, for_each_kind};
use crate::graph::{Activation, NodeId, Op, Tensor, TensorId};
use embernet_core::kernels::binary::Kind;
use embernet_core::kernels::fixed::block::block_bytes;
use embernet_core::kernels::fixed::{activation, loss, pool};

impl Emit<'_, '_> {
    /// The loss: reads predictions and target, gives the gradient of the predictions.
    pub(in super::super) fn fixed_loss(
        &mut self,
        kind: Loss,
        (layer, node): (String, Option<NodeId>),
        predictions: &Tensor,
        [y, target]: [BufferId; 2],
    ) -> BufferId {
        let len = word(predictions.elements());
        let sums = self.fixed_sums(&layer);
        let dy = self.lowering.program.transient(format!("{}/gradient", predictions.name));
        match kind {
            Loss::SparseCrossEntropy | Loss::CrossEntropy => {
                let sparse = u32::from(kind == Loss::SparseCrossEntropy);
                self.sequence.push_in_place(layer, node, &[(y, dy)], move |p| loss::SoftmaxCrossEntropy {
                    classes: len,
                    sparse,
                    z: p.at(y),
                    target: p.at(target),
                    dz: p.at(dy),
                    sums: p.at(sums),
                });
            }
            Loss::MeanSquaredError => {
                self.sequence.push_in_place(layer, node, &[(y, dy)], move |p| loss::MeanSquaredError {
                    len,
                    y: p.at(y),
                    target: p.at(target),
                    dy: p.at(dy),
                    sums: p.at(sums),
                });
            }
        }
        dy
    }

    /// The backward steps of one node, whose output's gradient is `dy`.
    pub(in super::super) fn fixed_backward(
        &mut self,
        site: Site<'_>,
        dy: BufferId,
        gradients: &mut Gradients,
        state: &FixedState,
    ) -> Result<(), LowerError> {
        let Site { id, node, .. } = site;
        let name = &node.name;
        let input = node.inputs[0];
        let dy = match node.op.fused() {
            Activation::Linear => dy,
            clamp => {
                let dx = self.lowering.program.transient(format!("{name}/gradient before {}", clamp.name()));
                self.fixed_clamp_step(site, clamp, dy, dx);
                dx
            }
        };
        let dx = match &node.op {
            Op::Flatten(_) | Op::Reshape(_) => Some(dy),
            Op::Dense(_) | Op::Conv2d(_) | Op::DepthwiseConv2d(_) => {
                let dx = self.gradient(input, gradients);
                let shape = self.fixed_weighted(node)?;
                if let Some(dx) = dx {
                    let (w, sums) = (node.parameters().first().map(|t| self.value(*t)), self.fixed_sums(name));
                    for_each_kind!(shape, shape, layer => {
                        self.sequence.push(name, Some(id), move |p| layer::BackwardInput {
                            shape,
                            dy: p.at(dy),
                            w: p.opt(w),
                            dx: p.at(dx),
                            sums: p.at(sums),
                        });
                    });
                }
                if let Some(trained) = self.fixed_trained(node, state) {
                    // A bias does not need it, and so nobody keeps it for one.
                    let x = trained.w[0].map(|_| self.value(input));
                    for_each_kind!(shape, shape, layer => {
                        self.sequence.push(name, Some(id), move |p| layer::BackwardWeights {
                            shape,
                            x: p.opt(x),
                            dy: p.at(dy),
                            trained: trained.record(p),
                        });
                    });
                }
                dx
            }
            Op::MaxPool2d(_) | Op::GlobalMaxPool2d(_) => {
                let dx = self.gradient(input, gradients);
                if let Some(dx) = dx {
                    let (x, shape) = (self.value(input), self.pool_shape(node)?);
                    self.sequence.push(name, Some(id), move |p| pool::BackwardMax {
                        shape,
                        x: p.at(x),
                        dy: p.at(dy),
                        dx: p.at(dx),
                    });
                }
                dx
            }
            Op::AveragePool2d(_) | Op::GlobalAveragePool2d(_) => {
                let dx = self.gradient(input, gradients);
                if let Some(dx) = dx {
                    let (sums, shape) = (self.fixed_sums(name), self.pool_shape(node)?);
                    self.sequence.push(name, Some(id), move |p| pool::BackwardAverage {
                        shape,
                        dy: p.at(dy),
                        dx: p.at(dx),
                        sums: p.at(sums),
                    });
                }
                dx
            }
            Op::Activation(layer) => {
                let dx = self.gradient(input, gradients);
                if let Some(dx) = dx {
                    match layer.function {
                        Activation::LeakyRelu { alpha } => {
                            let (len, y) = (self.output_len(node), self.value(node.outputs[0]));
                            self.sequence.push_in_place(name, Some(id), &[(dy, dx)], move |p| {
                                let (y, dy, dx) = (p.at(y), p.at(dy), p.at(dx));
                                activation::BackwardLeakyRelu { len, alpha, y, dy, dx }
                            });
                        }
                        clamp => self.fixed_clamp_step(site, clamp, dy, dx),
                    }
                }
                dx
            }
            Op::Pad(_) | Op::Concat(_) | Op::Slice(_) | Op::Transpose(_) => {
                return self.movement_backward(site, dy, gradients);
            }
            op => match binary_kind(op) {
                Some(kind @ (Kind::Add | Kind::Sub)) => {
                    self.fixed_two_backward(site, kind == Kind::Sub, dy, gradients);
                    None
                }
                _ => return Err(no_steps(site)),
            },
        };
        if let Some(dx) = dx {
            self.contribute(site, input, dx, gradients);
        }
        Ok(())
    }

    /// Each input of a sum has a gradient of its own, which others may add to.
    fn fixed_two_backward(&mut self, site: Site<'_>, subtracts: bool, dy: BufferId, gradients: &mut Gradients) {
        let node = site.node;
        let bytes = word(block_bytes(self.tensor(node.outputs[0]).elements()));
        for (i, &input) in node.inputs.iter().enumerate() {
            let Some(dx) = self.gradient(input, gradients) else { continue };
            if subtracts && i == 1 {
                let negative = Sum { of: [None, Some(dy)], y: dx, subtracts };
                self.fixed_sum(site, negative, Activation::Linear);
            } else {
                self.sequence.push_copy(&node.name, Some(site.id), bytes, dy, dx);
            }
            self.contribute(site, input, dx, gradients);
        }
    }

    /// Adds another reader's gradient of a tensor to what is there.
    pub(in super::super) fn fixed_accumulate(&mut self, site: Site<'_>, tensor: TensorId, dx: BufferId, sum: BufferId) {
        let len = word(self.tensor(tensor).elements());
        let onto = Sum { of: [Some(sum), Some(dx)], y: sum, subtracts: false };
        self.fixed_sum_of(site, len, onto, Activation::Linear);
    }

    /// The gradient in front of a clamp.
    fn fixed_clamp_step(&mut self, site: Site<'_>, clamp: Activation, dy: BufferId, dx: BufferId) {
        let node = site.node;
        let (lo, hi) = bounds(clamp);
        let (len, y) = (self.output_len(node), self.value(node.outputs[0]));
        self.sequence.push_in_place(&node.name, Some(site.id), &[(dy, dx)], move |p| activation::BackwardClamp {
            len,
            lo,
            hi,
            y: p.at(y),
            dy: p.at(dy),
            dx: p.at(dx),
        });
    }
}
