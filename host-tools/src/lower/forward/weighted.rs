//! What layers with weights need: weights, biases, and the multipliers of their integer sums.

use super::super::program::Places;
use super::super::{BufferId, Emit, LowerError, unsupported, word};
use super::Site;
use crate::graph::{DType, Data, Node, Op, TensorId};
use crate::quant::fixed_point::{
    activation_range, dense_multiplier, fold_bias, fold_bias_depthwise, layer_multipliers,
};
use embernet_core::kernels::requantize::RequantizeRecord;
use embernet_core::quant::narrow_multiplier;

/// The tables of an integer layer, as buffers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weighted {
    pub w: BufferId,
    pub b: Option<BufferId>,
    multiplier: BufferId,
    shift: BufferId,
    channels: u32,
    zero_point: i32,
    lo: i32,
    hi: i32,
}

impl Weighted {
    pub fn requantize(&self, p: Places<'_>) -> RequantizeRecord {
        RequantizeRecord {
            multiplier: p.at(self.multiplier),
            shift: p.at(self.shift),
            channels: self.channels,
            zero_point: self.zero_point,
            lo: self.lo,
            hi: self.hi,
        }
    }
}

impl Emit<'_, '_> {
    /// Weights and bias of an f32 layer.
    pub(super) fn float_weights(&mut self, node: &Node) -> Result<(Option<BufferId>, Option<BufferId>), LowerError> {
        for t in node.parameters() {
            self.expect_type(node, *t, DType::F32)?;
        }
        let w = node.parameters().first().map(|t| self.value(*t));
        let b = node.parameters().get(1).map(|t| self.value(*t));
        Ok((w, b))
    }

    /// Weights, bias, multipliers and shifts of an integer layer.
    ///
    /// With int8 activations the input's zero point is folded into the bias, and multipliers have 31 bits. With int16
    /// activations there is no zero point, biases have 64 bits and multipliers 15.
    pub(super) fn weighted(&mut self, site: Site<'_>) -> Result<Weighted, LowerError> {
        let Site { node, dtype, .. } = site;
        let (from, to) = self.affines(node)?;
        let (weights_id, bias_id) = (node.inputs[1], node.inputs.get(2).copied());
        self.expect_type(node, weights_id, DType::I8)?;
        let tensor = self.tensor(weights_id);
        let depthwise = matches!(node.op, Op::DepthwiseConv2d(_));
        // Output channels run along the last axis of depthwise kernels and the first of all others.
        let axis = if depthwise { tensor.shape.len() - 1 } else { 0 };
        let outputs = tensor.shape[axis];
        let scales = self.weight_scales(node, weights_id, axis, outputs)?;
        let multipliers = match (&node.op, scales.as_slice()) {
            (Op::Dense(_), [one]) => vec![self.fixed(node, dense_multiplier(from.scale(), *one, to.scale()))?],
            (_, scales) => self.fixed(node, layer_multipliers(from.scale(), scales, to.scale()))?,
        };
        let (lo, hi) = self.fixed(node, activation_range(node.op.fused(), to))?;
        let wide = dtype == DType::I16;
        if let Some(id) = bias_id {
            self.expect_type(node, id, if wide { DType::I64 } else { DType::I32 })?;
        }
        let narrowed = |mantissa| if wide { narrow_multiplier(mantissa) } else { mantissa };
        let mantissas = Data::I32(multipliers.iter().map(|m| narrowed(m.mantissa)).collect());
        let shifts = Data::I32(multipliers.iter().map(|m| m.shift).collect());
        let folded = if wide { None } else { Some(self.folded_bias(node, outputs, from.zero_point())?) };
        let w = self.value(weights_id);
        let b = match folded {
            Some(folded) => Some(self.table(node, "bias", &Data::I32(folded))),
            None => bias_id.map(|id| self.value(id)),
        };
        Ok(Weighted {
            w,
            b,
            multiplier: self.table(node, "multiplier", &mantissas),
            shift: self.table(node, "shift", &shifts),
            channels: word(multipliers.len()),
            zero_point: to.zero_point(),
            lo,
            hi,
        })
    }

    /// The biases of an int8 layer with the input's zero point in them.
    fn folded_bias(&self, node: &Node, outputs: usize, zero_point: i32) -> Result<Vec<i32>, LowerError> {
        let Some(weights) = self.tensor(node.inputs[1]).data.as_ref().and_then(Data::as_i8) else {
            return Err(unsupported(node, "a kernel that is not constant"));
        };
        let data = node.inputs.get(2).and_then(|id| self.tensor(*id).data.as_ref());
        let bias = data.and_then(Data::as_i32).unwrap_or_default();
        let fold = if matches!(node.op, Op::DepthwiseConv2d(_)) { fold_bias_depthwise } else { fold_bias };
        Ok(fold(bias, weights, outputs, zero_point))
    }

    /// Scales of a kernel: one for all, or one for each output channel; zero points are 0.
    fn weight_scales(&self, node: &Node, id: TensorId, axis: usize, outputs: usize) -> Result<Vec<f32>, LowerError> {
        let tensor = self.tensor(id);
        let (node_name, tensor_name) = (|| node.name.clone(), || tensor.name.clone());
        let Some(quant) = &tensor.quant else {
            return Err(LowerError::NotQuantised { node: node_name(), tensor: tensor_name() });
        };
        if let Some(found) = quant.zero_points.iter().copied().find(|z| *z != 0) {
            return Err(LowerError::WeightZeroPoint { node: node_name(), tensor: tensor_name(), found });
        }
        let found = quant.scales.len();
        if found != 1 && (found != outputs || quant.axis != Some(axis)) {
            let expected = format!("1, or {outputs} along axis {axis}");
            return Err(LowerError::Scales { node: node_name(), tensor: tensor_name(), found, expected });
        }
        Ok(quant.scales.clone())
    }
}
