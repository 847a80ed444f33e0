//! Batch normalisation and biases that stand alone: part of the layer before them where that has
//! weights and no other reader.

use super::arrange::channels_last;
use super::{Call, Converter, Made, Value};
use crate::graph::ops::{BatchNorm, Op};
use crate::graph::{Activation, Data, TensorId};
use crate::import::onnx::error::NodeProblem;

impl<'m, 'a> Converter<'m, 'a> {
    /// BatchNormalization as in inference: `scale * (x - mean) / sqrt(variance + epsilon) + bias`.
    pub(super) fn batch_normalization(&mut self, call: &Call<'m, 'a>) -> Result<(), NodeProblem> {
        call.expect_inputs(5..=5)?;
        if call.flag("training_mode")? || (call.opset < 7 && !call.flag("is_test")?) {
            return Err(NodeProblem::Feature { what: "training mode".into() });
        }
        for i in 1..5 {
            call.refuse_output(i, "a statistic", self.is_read(call.output(i)))?;
        }
        if call.int("spatial", 1)? == 0 {
            return Err(NodeProblem::Feature { what: "statistics of single pixels (spatial 0)".into() });
        }
        let epsilon = f64::from(call.float("epsilon", 1e-5)?);
        let x = self.real(call, 0, "input")?;
        let rank = x.layout.rank();
        let channels = *x.shape().get(1).ok_or_else(|| NodeProblem::Shape {
            role: "input",
            found: x.shape().to_vec(),
            expected: "at least two axes".into(),
        })?;
        let mut list = |i: usize, role: &'static str| -> Result<Vec<f32>, NodeProblem> {
            let constant = self.constant(call, i, role)?;
            let values = constant.reals().filter(|v| v.len() == channels);
            values.ok_or_else(|| NodeProblem::Shape {
                role,
                found: constant.shape.clone(),
                expected: channels.to_string(),
            })
        };
        let (gamma, beta, mean, variance) =
            (list(1, "scale")?, list(2, "bias")?, list(3, "mean")?, list(4, "variance")?);
        let scale: Vec<f32> = gamma
            .iter()
            .zip(&variance)
            .map(|(g, v)| (f64::from(*g) / (f64::from(*v) + epsilon).sqrt()) as f32)
            .collect();
        let shift: Vec<f32> = beta
            .iter()
            .zip(mean.iter().zip(&scale))
            .map(|(b, (m, s))| (f64::from(*b) - f64::from(*m) * f64::from(*s)) as f32)
            .collect();
        if self.fold_affine(call, call.input(0), &x, Some(&scale), &shift)? {
            return Ok(());
        }
        // No layer to join.
        let axes = channels_last(rank);
        let total: usize = x.shape().iter().product();
        let id = self.arrange(&x, &axes, &[1, total / channels.max(1), channels])?;
        // The operation has a positive epsilon, which is nothing beside a variance if it is small enough.
        let epsilon = epsilon as f32;
        let least = f32::MIN_POSITIVE;
        let variance = if epsilon > 0.0 { variance } else { variance.iter().map(|v| v + epsilon).collect() };
        let mut operands = vec![id];
        for (i, values) in (1..).zip([gamma, beta, mean, variance]) {
            operands.push(self.parameter(call.input(i), &[channels], Data::F32(values), None)?);
        }
        let op = BatchNorm { epsilon: epsilon.max(least), ..BatchNorm::new() };
        let id = self.emit(op, &operands, None)?;
        let shape: Vec<usize> = axes.iter().map(|a| x.shape()[*a]).collect();
        let id = self.shaped(id, super::arrange::sample(&shape))?;
        let layout = crate::import::onnx::layout::Layout::ordered(x.shape(), &axes);
        self.define(call, 0, Value { id, layout, dequantized: false })
    }

    /// Makes the scale and shift of each channel part of the layer that made `x`, which the file calls
    /// `name`; false if it cannot be.
    fn fold_affine(
        &mut self,
        call: &Call<'m, 'a>,
        name: &'a str,
        x: &Value,
        scale: Option<&[f32]>,
        shift: &[f32],
    ) -> Result<bool, NodeProblem> {
        let Some((node, made_for)) = self.makers.get(&x.id).copied() else { return Ok(false) };
        if made_for != name || !self.only_reader(name) {
            return Ok(false);
        }
        let op = self.graph.node(node).op.clone();
        let (channel_axis, use_bias) = match &op {
            Op::Conv2d(o) => (0, o.use_bias),
            Op::DepthwiseConv2d(o) => (2, o.use_bias),
            Op::Dense(o) => (0, o.use_bias),
            Op::TransposeConv2d(o) if o.groups == 1 => (3, o.use_bias),
            _ => return Ok(false),
        };
        let parameters = self.graph.node(node).parameters().to_vec();
        let Some((&kernel, bias)) = parameters.split_first() else { return Ok(false) };
        let shape = self.graph.tensor(kernel).shape.clone();
        let reals = |id: &TensorId| self.graph.tensor(*id).data.as_ref().and_then(|d| d.as_f32()).map(<[f32]>::to_vec);
        let (Some(weights), biases) = (reals(&kernel), bias.first().and_then(reals)) else { return Ok(false) };
        if op.fused() != Activation::Linear
            || shape.get(channel_axis) != Some(&shift.len())
            || use_bias != biases.is_some()
        {
            return Ok(false);
        }
        let one = |scale: Option<&[f32]>, c: usize| scale.and_then(|s| s.get(c)).copied().unwrap_or(1.0);
        if scale.is_some() {
            let inner: usize = shape.iter().skip(channel_axis + 1).product();
            let scaled = weights.iter().enumerate().map(|(i, w)| w * one(scale, i / inner % shift.len()));
            self.graph.tensor_mut(kernel).data = Some(Data::F32(scaled.collect()));
        }
        let sums = shift.iter().enumerate().map(|(c, s)| match &biases {
            Some(biases) => (f64::from(biases[c]) * f64::from(one(scale, c)) + f64::from(*s)) as f32,
            None => *s,
        });
        let sums = Data::F32(sums.collect());
        match bias.first() {
            Some(bias) => self.graph.tensor_mut(*bias).data = Some(sums),
            None => {
                let name =
                    if call.node.name.is_empty() { "bias".to_owned() } else { format!("{}/bias", call.node.name) };
                let bias = self.parameter(&name, &[shift.len()], sums, None)?;
                let node = self.graph.node_mut(node);
                node.inputs.push(bias);
                match &mut node.op {
                    Op::Conv2d(o) => o.use_bias = true,
                    Op::DepthwiseConv2d(o) => o.use_bias = true,
                    Op::Dense(o) => o.use_bias = true,
                    Op::TransposeConv2d(o) => o.use_bias = true,
                    _ => (),
                }
            }
        }
        // The layer now makes this node's output.
        self.makers.insert(x.id, (node, call.output(0)));
        self.set(call.output(0), Made::Value(x.clone()))?;
        Ok(true)
    }

    /// An Add of a constant for each channel: false if it is none, or there is no layer to join.
    pub(super) fn fold_shift(&mut self, call: &Call<'m, 'a>) -> Result<bool, NodeProblem> {
        let (x, constant) = match (self.is_constant(call, 0), self.is_constant(call, 1)) {
            (false, true) => (0, 1),
            (true, false) => (1, 0),
            _ => return Ok(false),
        };
        let constant = self.constant(call, constant, "input")?;
        let Some(Made::Value(value)) = self.made(call.input(x), "input")? else { return Ok(false) };
        let (Some(values), None) = (constant.reals(), self.quant(&value)) else { return Ok(false) };
        // The layers' channels lie last in memory.
        let rank = value.layout.rank();
        let Some(channel) = value.layout.innermost() else { return Ok(false) };
        let behind = rank.saturating_sub(channel + 1);
        let size = value.shape()[channel];
        let at = constant.shape.len().checked_sub(behind + 1);
        let per_channel = match at {
            Some(at) => constant.shape.iter().enumerate().all(|(i, d)| *d == 1 || (i == at && *d == size)),
            None => false,
        };
        if !per_channel || constant.shape.len() > rank || values.len() != size {
            return Ok(false);
        }
        self.fold_affine(call, call.input(x), &value, None, &values)
    }
}
