//! Forward steps, int8: scales become multipliers, shifts and tables, exactly as TFLite Micro has them.

use super::error::LowerError;
use super::forward::bounds;
use super::{BufferId, Emit, unsupported, word};
use crate::graph::{Activation, DType, Data, Node, NodeId, Op, TensorId};
use crate::quant::fixed_point::{
    Affine, FixedPointError, Multiplier, activation_range, add_sum, dense_multiplier, fold_bias, fold_bias_depthwise,
    layer_multipliers, mean_multiplier, softmax_scaling, tables,
};
use embernet_core::kernels::requantize::RequantizeRecord;
use embernet_core::kernels::{
    add, average_pool, conv2d, dense, depthwise_conv2d, lookup, max_pool, mean, quantize, softmax,
};

/// The tables of a layer with weights, as buffers.
#[derive(Debug, Clone, Copy)]
struct Weighted {
    w: BufferId,
    b: BufferId,
    multiplier: BufferId,
    shift: BufferId,
    channels: u32,
    zero_point: i32,
    lo: i32,
    hi: i32,
}

impl Weighted {
    fn requantize(&self, p: super::program::Places<'_>) -> RequantizeRecord {
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
    pub(super) fn forward_i8(&mut self, id: NodeId, node: &Node) -> Result<(), LowerError> {
        match &node.op {
            Op::Quantize(_) => self.quantize(id, node),
            Op::Dequantize(_) => self.dequantize(id, node),
            _ => {
                for t in node.data_inputs().iter().chain(&node.outputs) {
                    self.expect_type(node, *t, DType::I8)?;
                }
                self.forward_all_i8(id, node)
            }
        }
    }

    fn forward_all_i8(&mut self, id: NodeId, node: &Node) -> Result<(), LowerError> {
        let from = self.affine(node, node.inputs[0])?;
        let to = self.affine(node, node.outputs[0])?;
        let pad_value = from.zero_point();
        let len = word(self.tensor(node.outputs[0]).elements());
        let x = self.value(node.inputs[0]);
        let y = self.output(node);
        let (name, node_id) = (&node.name, Some(id));
        match &node.op {
            Op::Dense(_) => {
                let shape = self.dense_shape(node);
                let t = self.weighted(node, from, to)?;
                self.sequence.push(name, node_id, move |p| dense::ForwardI8 {
                    shape,
                    x: p.at(x),
                    w: p.at(t.w),
                    b: p.at(t.b),
                    y: p.at(y),
                    requantize: t.requantize(p),
                });
            }
            Op::Conv2d(op) => {
                let shape = self.conv2d_shape(node, op)?;
                let t = self.weighted(node, from, to)?;
                let scratch_bytes = conv2d::scratch_bytes_i8(&shape);
                let scratch =
                    (scratch_bytes > 0).then(|| self.lowering.program.transient(format!("{}/scratch", node.name)));
                self.sequence.push(name, node_id, move |p| conv2d::ForwardI8 {
                    shape,
                    x: p.at(x),
                    w: p.at(t.w),
                    b: p.at(t.b),
                    y: p.at(y),
                    scratch: p.opt(scratch),
                    scratch_bytes: word(scratch_bytes),
                    pad_value,
                    requantize: t.requantize(p),
                });
            }
            Op::DepthwiseConv2d(op) => {
                let shape = self.depthwise_shape(node, op)?;
                let t = self.weighted(node, from, to)?;
                self.sequence.push(name, node_id, move |p| depthwise_conv2d::ForwardI8 {
                    shape,
                    x: p.at(x),
                    w: p.at(t.w),
                    b: p.at(t.b),
                    y: p.at(y),
                    pad_value,
                    requantize: t.requantize(p),
                });
            }
            Op::MaxPool2d(_) | Op::GlobalMaxPool2d(_) => {
                self.same_scale(node, from, to)?;
                let shape = self.pool_shape(node)?;
                let (lo, hi) = self.fixed(node, activation_range(node.op.fused(), to))?;
                self.sequence.push(name, node_id, move |p| max_pool::ForwardI8 {
                    shape,
                    x: p.at(x),
                    y: p.at(y),
                    lo,
                    hi,
                });
            }
            // TFLite's MEAN, which may rescale, even where it need not.
            Op::GlobalAveragePool2d(_) => {
                let input = &self.tensor(node.inputs[0]).shape;
                let [h, w, channels] = [0, 1, 2].map(|axis| input.get(axis).copied().unwrap_or(0));
                let count = h.saturating_mul(w);
                let shape = mean::Mean { outer: 1, count: word(count), inner: word(channels) };
                let Multiplier { mantissa, shift } =
                    self.fixed(node, mean_multiplier(from.scale(), count, to.scale()))?;
                let (lo, hi) = self.fixed(node, activation_range(node.op.fused(), to))?;
                let scaling = mean::ScalingI8 {
                    in_zero_point: from.zero_point(),
                    multiplier: mantissa,
                    shift,
                    zero_point: to.zero_point(),
                    lo,
                    hi,
                };
                self.sequence.push(name, node_id, move |p| mean::ForwardI8 { shape, x: p.at(x), y: p.at(y), scaling });
            }
            Op::AveragePool2d(_) => {
                self.same_scale(node, from, to)?;
                let shape = self.pool_shape(node)?;
                let (lo, hi) = self.fixed(node, activation_range(node.op.fused(), to))?;
                self.sequence.push(name, node_id, move |p| average_pool::ForwardI8 {
                    shape,
                    x: p.at(x),
                    y: p.at(y),
                    lo,
                    hi,
                });
            }
            Op::Softmax(_) => {
                self.expect_scale(node, to, tables::LOGISTIC_OUTPUT)?;
                let (rows, len) = self.softmax_rows(node);
                let scaling = self.fixed(node, softmax_scaling(from.scale(), 1.0))?;
                self.sequence.push_in_place(name, node_id, &[(x, y)], move |p| softmax::ForwardI8 {
                    rows,
                    len,
                    x: p.at(x),
                    y: p.at(y),
                    scaling,
                });
            }
            Op::Activation(layer) => {
                let table = match layer.function {
                    Activation::Sigmoid => {
                        self.expect_scale(node, to, tables::LOGISTIC_OUTPUT)?;
                        tables::logistic_table(from)
                    }
                    Activation::Tanh => {
                        self.expect_scale(node, to, tables::TANH_OUTPUT)?;
                        tables::tanh_table(from)
                    }
                    clamp => {
                        let (lo, hi) = bounds(clamp);
                        tables::clamp_table(from, to, lo, hi)
                    }
                };
                let table = self.fixed(node, table)?;
                self.lookup(id, node, &table, x, y);
            }
            Op::Add(op) => {
                let second = self.affine(node, node.inputs[1])?;
                let sum = self.fixed(node, add_sum(from, second, to, op.activation))?;
                let other = self.value(node.inputs[1]);
                self.sequence.push_in_place(name, node_id, &[(x, y), (other, y)], move |p| add::ForwardI8 {
                    len,
                    a: p.at(x),
                    b: p.at(other),
                    y: p.at(y),
                    sum,
                });
            }
            _ => return Err(unsupported(node, "int8")),
        }
        Ok(())
    }

    /// From f32, or from int8 to other numbers.
    fn quantize(&mut self, id: NodeId, node: &Node) -> Result<(), LowerError> {
        self.expect_type(node, node.outputs[0], DType::I8)?;
        let to = self.affine(node, node.outputs[0])?;
        let from = self.tensor(node.inputs[0]);
        let x = self.value(node.inputs[0]);
        match from.dtype {
            DType::F32 => {
                let len = word(from.elements());
                let y = self.output(node);
                self.sequence.push(&node.name, Some(id), move |p| quantize::QuantizeI8 {
                    len,
                    x: p.at(x),
                    y: p.at(y),
                    scale: to.scale(),
                    zero_point: to.zero_point(),
                });
            }
            _ => {
                self.expect_type(node, node.inputs[0], DType::I8)?;
                let from = self.affine(node, node.inputs[0])?;
                let table = self.fixed(node, tables::rescale_table(from, to))?;
                let y = self.output(node);
                self.lookup(id, node, &table, x, y);
            }
        }
        Ok(())
    }

    fn dequantize(&mut self, id: NodeId, node: &Node) -> Result<(), LowerError> {
        self.expect_type(node, node.inputs[0], DType::I8)?;
        self.expect_type(node, node.outputs[0], DType::F32)?;
        let from = self.affine(node, node.inputs[0])?;
        let len = word(self.tensor(node.inputs[0]).elements());
        let x = self.value(node.inputs[0]);
        let y = self.output(node);
        self.sequence.push(&node.name, Some(id), move |p| quantize::DequantizeI8 {
            len,
            x: p.at(x),
            y: p.at(y),
            scale: from.scale(),
            zero_point: from.zero_point(),
        });
        Ok(())
    }

    fn lookup(&mut self, id: NodeId, node: &Node, table: &tables::Table, x: BufferId, y: BufferId) {
        let len = word(self.tensor(node.outputs[0]).elements());
        let table = self.table(node, "table", &Data::I8(table.to_vec()));
        self.sequence.push_in_place(&node.name, Some(id), &[(x, y)], move |p| lookup::LookupI8 {
            len,
            table: p.at(table),
            x: p.at(x),
            y: p.at(y),
        });
    }

    /// Weights, folded bias, multipliers and shifts of a layer.
    fn weighted(&mut self, node: &Node, from: Affine, to: Affine) -> Result<Weighted, LowerError> {
        let (weights_id, bias_id) = (node.inputs[1], node.inputs.get(2).copied());
        self.expect_type(node, weights_id, DType::I8)?;
        let tensor = self.tensor(weights_id);
        let depthwise = matches!(node.op, Op::DepthwiseConv2d(_));
        // Output channels run along the last axis of depthwise kernels and the first of all others.
        let axis = if depthwise { tensor.shape.len() - 1 } else { 0 };
        let outputs = tensor.shape[axis];
        let scales = self.weight_scales(node, weights_id, axis, outputs)?;
        let Some(weights) = tensor.data.as_ref().and_then(Data::as_i8) else {
            return Err(unsupported(node, "a kernel that is not constant"));
        };
        let bias: &[i32] = match bias_id {
            None => &[],
            Some(id) => {
                self.expect_type(node, id, DType::I32)?;
                self.tensor(id).data.as_ref().and_then(Data::as_i32).unwrap_or_default()
            }
        };
        let multipliers: Vec<Multiplier> = match (&node.op, scales.as_slice()) {
            (Op::Dense(_), [one]) => vec![self.fixed(node, dense_multiplier(from.scale(), *one, to.scale()))?],
            (_, scales) => self.fixed(node, layer_multipliers(from.scale(), scales, to.scale()))?,
        };
        let folded = if depthwise {
            fold_bias_depthwise(bias, weights, outputs, from.zero_point())
        } else {
            fold_bias(bias, weights, outputs, from.zero_point())
        };
        let (lo, hi) = self.fixed(node, activation_range(node.op.fused(), to))?;
        let mantissas = Data::I32(multipliers.iter().map(|m| m.mantissa).collect());
        let shifts = Data::I32(multipliers.iter().map(|m| m.shift).collect());
        Ok(Weighted {
            w: self.value(weights_id),
            b: self.table(node, "bias", &Data::I32(folded)),
            multiplier: self.table(node, "multiplier", &mantissas),
            shift: self.table(node, "shift", &shifts),
            channels: word(multipliers.len()),
            zero_point: to.zero_point(),
            lo,
            hi,
        })
    }

    /// Scales of a kernel: one for all, or one for each output channel; zero points are 0.
    pub(super) fn weight_scales(
        &self,
        node: &Node,
        id: TensorId,
        axis: usize,
        outputs: usize,
    ) -> Result<Vec<f32>, LowerError> {
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

    fn affine(&self, node: &Node, id: TensorId) -> Result<Affine, LowerError> {
        let tensor = self.tensor(id);
        match &tensor.quant {
            Some(quant) => self.fixed(node, Affine::of(quant)),
            None => Err(LowerError::NotQuantised { node: node.name.clone(), tensor: tensor.name.clone() }),
        }
    }

    fn same_scale(&self, node: &Node, from: Affine, to: Affine) -> Result<(), LowerError> {
        self.expect_scale(node, to, from)
    }

    fn expect_scale(&self, node: &Node, found: Affine, expected: Affine) -> Result<(), LowerError> {
        if found == expected {
            return Ok(());
        }
        let text = |a: Affine| format!("scale {} and zero point {}", a.scale(), a.zero_point());
        Err(unsupported(node, format!("an output with {}; expected {}", text(found), text(expected))))
    }

    pub(super) fn fixed<T>(&self, node: &Node, result: Result<T, FixedPointError>) -> Result<T, LowerError> {
        result.map_err(|source| LowerError::FixedPoint { node: node.name.clone(), source })
    }
}
