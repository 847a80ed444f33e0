//! The QLinear nodes, which name the scales of their operands and of their result.

use super::dense::Matrix;
use super::elementwise::Binary;
use super::quantized::Target;
use super::quantized_constants::{has_one_scale, symmetric};
use super::{Call, Converter, Made, Value};
use crate::graph::{Activation, Quant};
use crate::import::onnx::error::NodeProblem;
use crate::import::onnx::tensor::Constant;
use std::rc::Rc;

impl<'m, 'a> Converter<'m, 'a> {
    /// QLinearConv: x, its scale and zero point, w, its, the output's, bias.
    pub(super) fn qlinear_conv(&mut self, call: &Call<'m, 'a>) -> Result<(), NodeProblem> {
        call.expect_inputs(8..=9)?;
        let x = self.raw(call, 0, "input")?;
        self.expect_quant(call, &x, 1)?;
        let weights = self.constant(call, 3, "weights")?;
        let weights = Rc::new(self.with_scales(call, &weights, 4)?);
        let target = self.own_target(call, 6)?;
        let mut bias = self.optional_constant(call, 8, "bias")?;
        if let Some(found) = bias.as_mut() {
            let input_scale = self.quant(&x).map_or(1.0, |q| q.scale(0));
            *found = Rc::new(bias_with_scales(found, input_scale, &weights));
        }
        if symmetric(&weights, 0).is_none() {
            // The integer layers have no such weights; in floats it is the same but for the rounding.
            let x = self.floats(&Value { dequantized: true, ..x }, "input")?;
            let value = self.convolution(call, &x, &weights, bias.as_ref(), None)?;
            let value = self.quantize(&value, target.quant.clone())?;
            return self.define_target(target, value);
        }
        let value = self.convolution(call, &x, &weights, bias.as_ref(), Some(&target))?;
        self.define_target(target, value)
    }

    /// QLinearMatMul: a, its scale and zero point, b, its, the output's.
    pub(super) fn qlinear_matmul(&mut self, call: &Call<'m, 'a>) -> Result<(), NodeProblem> {
        call.expect_inputs(8..=8)?;
        let x = self.raw(call, 0, "input a")?;
        self.expect_quant(call, &x, 1)?;
        let target = self.own_target(call, 6)?;
        if let Some(Made::Constant(weights)) = self.made(call.input(3), "input b")?
            && weights.shape.len() == 2
        {
            let weights = self.with_scales(call, &weights, 4)?.permuted(&[1, 0]);
            if symmetric(&weights, 0).is_some() || has_one_scale(&weights) {
                let matrix = Matrix { names: [call.input(3), ""], weights, bias: None };
                let value = self.dense(&x, &matrix, Some(&target))?;
                return self.define_target(target, value);
            }
        }
        let b = self.qlinear_operand(call, 3)?;
        let value = self.multiplied(&x, &b, Some(target.quant.clone()), Activation::Linear)?;
        self.define_target(target, value)
    }

    /// com.microsoft QLinearAdd and QLinearMul: a, its scale and zero point, b, its, the output's.
    pub(super) fn qlinear_binary(&mut self, call: &Call<'m, 'a>, kind: Binary) -> Result<(), NodeProblem> {
        call.expect_inputs(7..=8)?;
        let a = self.qlinear_operand(call, 0)?;
        let b = self.qlinear_operand(call, 3)?;
        let target = self.own_target(call, 6)?;
        let value = self.broadcast(kind.op(Activation::Linear), &a, &b, Some(target.quant.clone()))?;
        self.define_target(target, value)
    }

    /// com.microsoft QLinearConcat: the output's scale and zero point, then each input with its own.
    pub(super) fn qlinear_concat(&mut self, call: &Call<'m, 'a>) -> Result<(), NodeProblem> {
        let target = self.own_target(call, 0)?;
        let mut parts = Vec::new();
        for i in (2..call.node.inputs.len()).step_by(3) {
            let part = self.qlinear_operand(call, i)?;
            parts.push(self.quantize(&part, target.quant.clone())?);
        }
        let value = self.joined(call, &parts)?;
        self.define_target(target, value)
    }

    /// com.microsoft QLinearAveragePool and QLinearGlobalAveragePool: x, its scale and zero point, the output's.
    pub(super) fn qlinear_pool(&mut self, call: &Call<'m, 'a>, global: bool) -> Result<(), NodeProblem> {
        call.expect_inputs(3..=5)?;
        if call.flag("channels_last")? {
            return Err(NodeProblem::Feature { what: "channels last".into() });
        }
        let x = self.raw(call, 0, "input")?;
        self.expect_quant(call, &x, 1)?;
        let target = self.own_target(call, 3)?;
        let x = Value { dequantized: true, ..x };
        match global {
            true => self.global_average(call, &x, Some(target)),
            false => self.average_pool(call, &x, Some(target)),
        }
    }

    /// com.microsoft QLinearLeakyRelu and QLinearSigmoid: x, its scale and zero point, the output's.
    pub(super) fn qlinear_activation(&mut self, call: &Call<'m, 'a>) -> Result<(), NodeProblem> {
        call.expect_inputs(4..=5)?;
        let x = self.raw(call, 0, "input")?;
        self.expect_quant(call, &x, 1)?;
        let target = self.own_target(call, 3)?;
        let function = match call.key() {
            "com.microsoft:QLinearSigmoid" => Activation::Sigmoid,
            _ => Activation::LeakyRelu { alpha: call.float("alpha", 0.01)? },
        };
        let x = Value { dequantized: true, ..x };
        let value = match function {
            // The integer function has a scale of its own.
            Activation::Sigmoid if target.quant != Quant::per_tensor(1.0 / 256.0, -128) => {
                let x = self.floats(&x, "input")?;
                let y = Value { id: self.emit(function, &[x.id], None)?, ..x };
                self.quantize(&y, target.quant.clone())?
            }
            function => Value { id: self.emit(function, &[x.id], Some(target.quant.clone()))?, ..x },
        };
        self.define_target(target, value)
    }

    /// Input `i` with its scale and zero point behind it; a constant becomes one of the graph's.
    fn qlinear_operand(&mut self, call: &Call<'m, 'a>, i: usize) -> Result<Value, NodeProblem> {
        match self.made(call.input(i), "input")? {
            Some(Made::Constant(constant)) => {
                let constant = self.with_scales(call, &constant, i + 1)?;
                self.quantized_constant(call.input(i), &constant)
            }
            _ => {
                let value = self.raw(call, i, "input")?;
                self.expect_quant(call, &value, i + 1)?;
                Ok(value)
            }
        }
    }

    /// The target that a QLinear node names itself.
    fn own_target(&mut self, call: &Call<'m, 'a>, i: usize) -> Result<Target<'a>, NodeProblem> {
        let quant = self.activation_quant(call, i)?;
        Ok(Target { name: call.output(0), quant, activation: Activation::Linear, nodes: Vec::new() })
    }
}

/// int32 sums have the scale of the input times that of the weights.
fn bias_with_scales(bias: &Constant, input_scale: f32, weights: &Constant) -> Constant {
    // Kept apart: `bias_sums` divides by the same product and gets the integers back.
    let scales: Vec<f32> = weights.quant.as_ref().map_or(vec![1.0], |q| q.scales.clone());
    let reals = scales.iter().map(|s| (f64::from(*s) * f64::from(input_scale)) as f32).collect::<Vec<_>>();
    let zero_points = vec![0; reals.len()];
    let axis = (reals.len() > 1).then_some(0);
    Constant { quant: Some(Quant { scales: reals, zero_points, axis }), ..bias.clone() }
}
