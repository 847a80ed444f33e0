//! Backward steps of an int8 network. Gradients are f32 and real, so that what only moves or adds values has the steps of
//! a float network; the others read the int8 tensors of the forward pass.

use super::super::forward::{Site, binary_kind, function};
use super::super::{BufferId, Emit, LowerError, unsupported, word};
use super::{Gradients, State};
use crate::graph::{Activation, DType, Data, Graph, Node, Op, TensorId};
use crate::quant::fixed_point::activation_range;
use embernet_core::kernels::activation::{self, Limits, LimitsBackwardI8};
use embernet_core::kernels::binary::Kind;
use embernet_core::kernels::lookup::{ENTRIES, LookupBackwardI8};
use embernet_core::kernels::{max_pool, quantize};

/// Whether the integers of this layer may learn: int8 weights between int8 activations, and int32 biases.
pub(super) fn may_learn(graph: &Graph, node: &Node) -> bool {
    let int8 = |t: Option<&TensorId>| t.is_some_and(|t| graph.tensor(*t).dtype == DType::I8);
    let weighted = matches!(node.op, Op::Dense(_) | Op::Conv2d(_) | Op::DepthwiseConv2d(_));
    weighted && int8(node.inputs.first()) && int8(node.parameters().first())
}

impl Emit<'_, '_> {
    /// The backward steps of a node with int8 in front of it or behind it.
    pub(super) fn backward_i8(
        &mut self,
        site: Site<'_>,
        dy: BufferId,
        gradients: &mut Gradients,
        state: &State,
    ) -> Result<(), LowerError> {
        let node = site.node;
        let input = node.inputs[0];
        match &node.op {
            // Real gradients know of no scale.
            Op::Flatten(_) | Op::Reshape(_) | Op::Dequantize(_) => {
                self.contribute(site, input, dy, gradients);
                Ok(())
            }
            Op::Quantize(_) => {
                let dy = self.limits_backward(site, dy)?;
                self.contribute(site, input, dy, gradients);
                Ok(())
            }
            Op::Dense(_) | Op::Conv2d(_) | Op::DepthwiseConv2d(_) => {
                let dy = self.limits_backward(site, dy)?;
                self.weighted_backward_i8(site, dy, gradients, state)
            }
            Op::AveragePool2d(_) | Op::GlobalAveragePool2d(_) => {
                let dy = self.limits_backward(site, dy)?;
                self.average_pool_backward(site, dy, gradients)
            }
            Op::MaxPool2d(_) | Op::GlobalMaxPool2d(_) => {
                let dy = self.limits_backward(site, dy)?;
                self.max_pool_backward_i8(site, dy, gradients)
            }
            Op::Activation(layer) => self.activation_backward_i8(site, layer.function, dy, gradients),
            Op::Reduce(op) => {
                let dy = self.limits_backward(site, dy)?;
                self.reduce_backward(Site { dtype: DType::F32, ..site }, op, dy, gradients)
            }
            Op::Pad(_) | Op::Concat(_) | Op::Slice(_) | Op::Transpose(_) => self.movement_backward(site, dy, gradients),
            op => match binary_kind(op) {
                // A product's gradient would need the other factor as reals.
                Some(kind @ (Kind::Add | Kind::Sub)) => {
                    let dy = self.limits_backward(site, dy)?;
                    self.binary_backward(Site { dtype: DType::F32, ..site }, kind, dy, gradients)
                }
                _ => Err(unsupported(node, "training through this operation in int8")),
            },
        }
    }

    /// An int8 tensor as reals.
    pub(super) fn reals(&mut self, layer: &str, id: TensorId, x: BufferId, y: BufferId) -> Result<(), LowerError> {
        let graph = self.graph();
        let producer = graph.producers()[id.index()].ok_or(LowerError::NothingToTrain)?;
        let node = graph.node(producer);
        self.expect_type(node, id, DType::I8)?;
        let from = self.affine(node, id)?;
        let (scale, zero_point, len) = (from.scale(), from.zero_point(), word(self.tensor(id).elements()));
        self.sequence.push(layer, Some(producer), move |p| quantize::DequantizeI8 {
            len,
            x: p.at(x),
            y: p.at(y),
            scale,
            zero_point,
        });
        Ok(())
    }

    /// The gradient in front of the limits of a node's int8 output.
    fn limits_backward(&mut self, site: Site<'_>, dy: BufferId) -> Result<BufferId, LowerError> {
        let Site { id, node, .. } = site;
        let fused = node.op.fused();
        let moves = matches!(node.op, Op::AveragePool2d(_) | Op::MaxPool2d(_) | Op::GlobalMaxPool2d(_));
        if moves && fused == Activation::Linear {
            return Ok(dy);
        }
        let to = self.affine(node, node.outputs[0])?;
        let (lo, hi) = self.fixed(node, activation_range(fused, to))?;
        let (real_lo, real_hi) = fused.clamp().unwrap_or((f32::NEG_INFINITY, f32::INFINITY));
        // The function is flat beyond its own limit, not beyond that of int8 if the former lies outside.
        let flat = |limit: f32, q: i32| {
            u32::from(((q - to.zero_point()) as f32 * to.scale() - limit).abs() <= 0.51 * to.scale())
        };
        let limits = Limits { lo, hi, flat_below: flat(real_lo, lo), flat_above: flat(real_hi, hi) };
        let y = self.value(node.outputs[0]);
        let len = self.output_len(node);
        let dx = self.lowering.program.transient(format!("{}/gradient within limits", node.name));
        self.sequence.push_in_place(&node.name, Some(id), &[(dy, dx)], move |p| LimitsBackwardI8 {
            len,
            limits,
            y: p.at(y),
            dy: p.at(dy),
            dx: p.at(dx),
        });
        Ok(dx)
    }

    fn max_pool_backward_i8(
        &mut self,
        site: Site<'_>,
        dy: BufferId,
        gradients: &mut Gradients,
    ) -> Result<(), LowerError> {
        let node = site.node;
        let Some(dx) = self.gradient(node.inputs[0], gradients) else { return Ok(()) };
        let (x, shape) = (self.value(node.inputs[0]), self.pool_shape(node)?);
        self.sequence.push(&node.name, Some(site.id), move |p| max_pool::BackwardI8 {
            shape,
            x: p.at(x),
            dy: p.at(dy),
            dx: p.at(dx),
        });
        self.contribute(site, node.inputs[0], dx, gradients);
        Ok(())
    }

    fn activation_backward_i8(
        &mut self,
        site: Site<'_>,
        function: Activation,
        dy: BufferId,
        gradients: &mut Gradients,
    ) -> Result<(), LowerError> {
        let Site { id, node, .. } = site;
        let Some(dx) = self.gradient(node.inputs[0], gradients) else { return Ok(()) };
        let from = self.affine(node, node.inputs[0])?;
        let of = self::function(node, function)?;
        // In the table's order: 0 to 127, then -128 to -1.
        let slope = |byte: usize| {
            let x = (i32::from(byte as u8 as i8) - from.zero_point()) as f32 * from.scale();
            let (mut y, mut slope) = ([x], [1.0]);
            if of.kind.slope_from_output() {
                let scalar = embernet_core::arch::Scalar;
                activation::forward_f32(scalar, embernet_core::math::Maths::Exact, of.kind, of.a, of.b, &mut y);
            }
            activation::backward_f32(of.kind, of.a, of.b, &y, &mut slope);
            slope[0]
        };
        let slopes = self.table(node, "slopes", &Data::F32((0..ENTRIES).map(slope).collect()));
        let (x, len) = (self.value(node.inputs[0]), self.output_len(node));
        self.sequence.push_in_place(&node.name, Some(id), &[(dy, dx)], move |p| LookupBackwardI8 {
            len,
            slopes: p.at(slopes),
            x: p.at(x),
            dy: p.at(dy),
            dx: p.at(dx),
        });
        self.contribute(site, node.inputs[0], dx, gradients);
        Ok(())
    }
}
