//! Forward steps, int16 activations with int8 weights ("16x8"), exactly as TFLite has them: zero points are 0,
//! sums have 64 bits, multipliers 15.

use super::error::LowerError;
use super::{BufferId, Emit, unsupported, word};
use crate::graph::{DType, Data, Node, NodeId, Op};
use crate::quant::fixed_point::int16::{
    activation_range, add_sum, exp_table, layer_multipliers, reciprocal_table, softmax_multiplier,
};
use crate::quant::fixed_point::{Multiplier, dense_multiplier};
use embernet_core::kernels::requantize::RequantizeRecord;
use embernet_core::kernels::{add, average_pool, conv2d, dense, depthwise_conv2d, max_pool, quantize, softmax};
use embernet_core::quant::narrow_multiplier;

/// The tables of a layer with weights, as buffers.
#[derive(Debug, Clone, Copy)]
struct Weighted {
    w: BufferId,
    b: Option<BufferId>,
    multiplier: BufferId,
    shift: BufferId,
    channels: u32,
    lo: i32,
    hi: i32,
}

impl Weighted {
    fn requantize(&self, p: super::program::Places<'_>) -> RequantizeRecord {
        RequantizeRecord {
            multiplier: p.at(self.multiplier),
            shift: p.at(self.shift),
            channels: self.channels,
            zero_point: 0,
            lo: self.lo,
            hi: self.hi,
        }
    }
}

impl Emit<'_, '_> {
    pub(super) fn forward_i16(&mut self, id: NodeId, node: &Node) -> Result<(), LowerError> {
        let edge = matches!(node.op, Op::Quantize(_) | Op::Dequantize(_));
        for t in node.data_inputs().iter().chain(&node.outputs).filter(|_| !edge) {
            self.expect_type(node, *t, DType::I16)?;
        }
        let len = word(self.tensor(node.outputs[0]).elements());
        let x = self.value(node.inputs[0]);
        let (name, node_id) = (&node.name, Some(id));
        match &node.op {
            Op::Dense(_) => {
                let shape = self.dense_shape(node);
                let t = self.weighted_i16(node)?;
                let y = self.output(node);
                self.sequence.push(name, node_id, move |p| dense::ForwardI16 {
                    shape,
                    x: p.at(x),
                    w: p.at(t.w),
                    b: p.opt(t.b),
                    y: p.at(y),
                    requantize: t.requantize(p),
                });
            }
            Op::Conv2d(op) => {
                let shape = self.conv2d_shape(node, op)?;
                let t = self.weighted_i16(node)?;
                let y = self.output(node);
                self.sequence.push(name, node_id, move |p| conv2d::ForwardI16 {
                    shape,
                    x: p.at(x),
                    w: p.at(t.w),
                    b: p.opt(t.b),
                    y: p.at(y),
                    requantize: t.requantize(p),
                });
            }
            Op::DepthwiseConv2d(op) => {
                let shape = self.depthwise_shape(node, op)?;
                let t = self.weighted_i16(node)?;
                let y = self.output(node);
                self.sequence.push(name, node_id, move |p| depthwise_conv2d::ForwardI16 {
                    shape,
                    x: p.at(x),
                    w: p.at(t.w),
                    b: p.opt(t.b),
                    y: p.at(y),
                    requantize: t.requantize(p),
                });
            }
            Op::MaxPool2d(_) | Op::GlobalMaxPool2d(_) => {
                let (lo, hi) = self.same_scale_i16(node)?;
                let shape = self.pool_shape(node)?;
                let y = self.output(node);
                self.sequence.push(name, node_id, move |p| max_pool::ForwardI16 {
                    shape,
                    x: p.at(x),
                    y: p.at(y),
                    lo,
                    hi,
                });
            }
            Op::AveragePool2d(_) => {
                let (lo, hi) = self.same_scale_i16(node)?;
                let shape = self.pool_shape(node)?;
                let y = self.output(node);
                self.sequence.push(name, node_id, move |p| average_pool::ForwardI16 {
                    shape,
                    x: p.at(x),
                    y: p.at(y),
                    lo,
                    hi,
                });
            }
            Op::Softmax(_) => {
                let found = self.scale_i16(node, node.outputs[0])?;
                if found != 1.0 / 32768.0 {
                    return Err(unsupported(node, format!("an output with scale {found}; expected 1/32768")));
                }
                let (rows, len) = self.softmax_rows(node);
                let scale = self.scale_i16(node, node.inputs[0])?;
                let Multiplier { mantissa, shift } = self.fixed(node, softmax_multiplier(scale, 1.0))?;
                let exp = self.table(node, "exp", &Data::I16(exp_table()));
                let reciprocal = self.table(node, "reciprocal", &Data::I16(reciprocal_table()));
                let y = self.output(node);
                self.sequence.push_in_place(name, node_id, &[(x, y)], move |p| softmax::ForwardI16 {
                    rows,
                    len,
                    x: p.at(x),
                    y: p.at(y),
                    multiplier: mantissa,
                    shift,
                    exp: p.at(exp),
                    reciprocal: p.at(reciprocal),
                });
            }
            Op::Add(op) => {
                let scales = [node.inputs[0], node.inputs[1], node.outputs[0]].map(|t| self.scale_i16(node, t));
                let [a, b, to] = scales;
                let sum = self.fixed(node, add_sum(a?, b?, to?, op.activation))?;
                let other = self.value(node.inputs[1]);
                let y = self.output(node);
                self.sequence.push_in_place(name, node_id, &[(x, y), (other, y)], move |p| add::ForwardI16 {
                    len,
                    a: p.at(x),
                    b: p.at(other),
                    y: p.at(y),
                    sum,
                });
            }
            Op::Quantize(_) => {
                self.expect_type(node, node.inputs[0], DType::F32)?;
                let scale = self.scale_i16(node, node.outputs[0])?;
                let y = self.output(node);
                self.sequence.push(name, node_id, move |p| quantize::QuantizeI16 {
                    len,
                    x: p.at(x),
                    y: p.at(y),
                    scale,
                });
            }
            Op::Dequantize(_) => {
                self.expect_type(node, node.outputs[0], DType::F32)?;
                let scale = self.scale_i16(node, node.inputs[0])?;
                let y = self.output(node);
                self.sequence.push(name, node_id, move |p| quantize::DequantizeI16 {
                    len,
                    x: p.at(x),
                    y: p.at(y),
                    scale,
                });
            }
            _ => return Err(unsupported(node, "int16")),
        }
        Ok(())
    }

    /// Weights, bias, multipliers and shifts of a layer.
    fn weighted_i16(&mut self, node: &Node) -> Result<Weighted, LowerError> {
        let (weights_id, bias_id) = (node.inputs[1], node.inputs.get(2).copied());
        self.expect_type(node, weights_id, DType::I8)?;
        let shape = &self.tensor(weights_id).shape;
        let axis = if matches!(node.op, Op::DepthwiseConv2d(_)) { shape.len() - 1 } else { 0 };
        let outputs = shape[axis];
        let scales = self.weight_scales(node, weights_id, axis, outputs)?;
        let (from, to) = (self.scale_i16(node, node.inputs[0])?, self.scale_i16(node, node.outputs[0])?);
        let multipliers = match (&node.op, scales.as_slice()) {
            (Op::Dense(_), [one]) => vec![self.fixed(node, dense_multiplier(from, *one, to))?],
            (_, scales) => self.fixed(node, layer_multipliers(from, scales, to))?,
        };
        let b = match bias_id {
            None => None,
            Some(id) => {
                self.expect_type(node, id, DType::I64)?;
                Some(self.value(id))
            }
        };
        let (lo, hi) = self.fixed(node, activation_range(node.op.fused(), to))?;
        let mantissas = multipliers.iter().map(|m| narrow_multiplier(m.mantissa)).collect();
        let shifts = multipliers.iter().map(|m| m.shift).collect();
        Ok(Weighted {
            w: self.value(weights_id),
            b,
            multiplier: self.table(node, "multiplier", &Data::I32(mantissas)),
            shift: self.table(node, "shift", &Data::I32(shifts)),
            channels: word(multipliers.len()),
            lo,
            hi,
        })
    }

    /// The scale of an int16 activation, whose zero point is 0.
    fn scale_i16(&self, node: &Node, id: crate::graph::TensorId) -> Result<f32, LowerError> {
        self.expect_type(node, id, DType::I16)?;
        let tensor = self.tensor(id);
        match tensor.quant.as_ref().and_then(|q| q.single()) {
            Some((scale, 0)) => Ok(scale),
            Some((_, zero_point)) => Err(unsupported(node, format!("an int16 zero point of {zero_point}"))),
            None => Err(LowerError::NotQuantised { node: node.name.clone(), tensor: tensor.name.clone() }),
        }
    }

    /// Limits of a layer that keeps its input's scale.
    fn same_scale_i16(&self, node: &Node) -> Result<(i32, i32), LowerError> {
        let (from, to) = (self.scale_i16(node, node.inputs[0])?, self.scale_i16(node, node.outputs[0])?);
        if from != to {
            return Err(unsupported(node, format!("an output with scale {to}; expected {from}")));
        }
        self.fixed(node, activation_range(node.op.fused(), to))
    }
}
