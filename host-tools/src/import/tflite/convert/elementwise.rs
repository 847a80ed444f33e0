//! Operators on single values: binary ones that broadcast, functions, changes of type.

use super::window::options;
use super::{Converter, Value, fused, sample};
use crate::graph::ops::{
    Activation, Add, Dequantize, Div, LogSoftmax, Maximum, Minimum, Mul, Op, PRelu, Quantize, Softmax, Sub, broadcast,
};
use crate::graph::{DType, Quant, Tensor, TensorId, elements, shape_text};
use crate::import::tflite::error::OpProblem;
use crate::import::tflite::model::Operator;
use crate::import::tflite::schema::{TensorType, op, option};

/// An input of a binary operator.
struct Operand {
    id: TensorId,
    /// Its shape in the file.
    full: Vec<usize>,
    constant: bool,
}

impl<'a> Converter<'_, 'a> {
    /// ADD, SUB, MUL, DIV, MINIMUM and MAXIMUM.
    pub(super) fn binary(&mut self, op: &Operator<'a>, code: i32) -> Result<(), OpProblem> {
        self.expect_inputs(op, 2..=2)?;
        let clamps = !matches!(code, op::MINIMUM | op::MAXIMUM);
        let activation = op.options.filter(|_| clamps).map_or(Ok(0), |o| o.u8(option::binary::ACTIVATION))?;
        let activation = fused(activation)?;
        let node: Op = match code {
            op::ADD => Add { activation }.into(),
            op::SUB => Sub { activation }.into(),
            op::MUL => Mul { activation }.into(),
            op::DIV => Div { activation }.into(),
            op::MINIMUM => Minimum { activation }.into(),
            _ => Maximum { activation }.into(),
        };
        let (a, b) = (self.operand(op, 0, "input 0")?, self.operand(op, 1, "input 1")?);
        if a.constant && b.constant {
            return Err(OpProblem::Constant { role: "input 0" });
        }
        let full = broadcast(&a.full, &b.full).ok_or_else(|| {
            let expected = format!("{} as input 0, or what broadcasts to it", shape_text(&a.full));
            OpProblem::Shape { role: "input 1", found: b.full.clone(), expected }
        })?;
        let (first, second) = (self.graph.tensor(a.id), self.graph.tensor(b.id));
        if first.dtype != second.dtype {
            return Err(OpProblem::Types { role: "input 1", found: second.dtype, expected: first.dtype });
        }
        if first.dtype == DType::I16 && matches!(code, op::ADD | op::SUB) {
            self.check_power_of_two(op, [a.id, b.id])?;
        }
        let made = broadcast(&self.graph.tensor(a.id).shape, &self.graph.tensor(b.id).shape);
        let made = made.filter(|made| elements(made) == elements(&full)).ok_or_else(|| OpProblem::Feature {
            what: format!("broadcasting {} and {} over the batch axis", shape_text(&a.full), shape_text(&b.full)),
        })?;
        self.emit(op, node, &[a.id, b.id], &made, &full)?;
        Ok(())
    }

    /// An activation, or a constant as the graph wants it: without a batch axis.
    fn operand(&mut self, op: &Operator<'a>, i: usize, role: &'static str) -> Result<Operand, OpProblem> {
        let index = self.input_index(op, i, role)?.ok_or(OpProblem::Missing { role })?;
        let Some(constant) = self.constant_at(index)? else {
            let Value { id, full } = self.value(op, i, role)?;
            return Ok(Operand { id, full, constant: false });
        };
        let full = constant.shape.clone();
        let shape = sample(&full).to_vec();
        let key = (index, shape.clone());
        if let Some(id) = self.parameters.get(&key) {
            return Ok(Operand { id: *id, full, constant: true });
        }
        if !matches!(constant.ty, TensorType::F32 | TensorType::F16 | TensorType::I8 | TensorType::I16) {
            return Err(OpProblem::Type { role, found: constant.ty, expected: "f32, i8 or i16" });
        }
        let quant = self.constant_quant(index, constant.ty, role)?;
        let data = self.values(&constant)?;
        let name = self.tensor_name(index)?;
        let id = self.graph.add_tensor(Tensor { quant, ..Tensor::constant(name, shape, data) });
        self.parameters.insert(key, id);
        Ok(Operand { id, full, constant: true })
    }

    /// The one scale of a constant that stands where an activation could.
    pub(super) fn constant_quant(
        &self,
        index: usize,
        ty: TensorType,
        role: &'static str,
    ) -> Result<Option<Quant>, OpProblem> {
        if matches!(ty, TensorType::F32 | TensorType::F16) {
            return Ok(None);
        }
        let tensor = self.model.tensors.get(index).ok_or(OpProblem::Overflow)?;
        tensor.check_quant().map_err(|source| self.at_tensor(index, source))?;
        let (scales, zero_points) = (tensor.quant.scales, tensor.quant.zero_points);
        let zero_point = i32::try_from(zero_points.i64().next().unwrap_or(0)).map_err(|_| OpProblem::Overflow)?;
        match (scales.len(), scales.f32().next()) {
            (1, Some(scale)) => Ok(Some(Quant::per_tensor(scale, zero_point))),
            (found, _) => Err(OpProblem::Scales { role, found, expected: 1 }),
        }
    }

    /// TFLite adds int16 by shifts alone where all scales are powers of two and the option, which is
    /// on by default, is not off. That arithmetic is not ours.
    fn check_power_of_two(&self, op: &Operator<'a>, inputs: [TensorId; 2]) -> Result<(), OpProblem> {
        let off = op.options.map_or(Ok(false), |o| o.u8_or(option::binary::POT_SCALE, 1).map(|on| on == 0))?;
        let power = |scale: f32| scale.is_normal() && scale.to_bits() & 0x7f_ffff == 0;
        let output = self.model.tensors.get(self.output_index(op)?).and_then(|t| t.quant.scales.f32().next());
        let scales = inputs.map(|id| self.graph.tensor(id).quant.as_ref().map(|q| q.scale(0)));
        if !off && scales.into_iter().chain([output]).all(|s| s.is_some_and(power)) {
            return Err(OpProblem::Feature { what: "int16 addition by shifts (pot_scale_int16)".into() });
        }
        Ok(())
    }

    pub(super) fn softmax(&mut self, op: &Operator<'a>) -> Result<(), OpProblem> {
        self.expect_inputs(op, 1..=1)?;
        let beta = options(op)?.f32(option::softmax::BETA)?;
        let input = self.value(op, 0, "input")?;
        self.check_output_quant(op, &input, [(1.0 / 256.0, -128), (1.0 / 32768.0, 0)])?;
        self.emit(op, Softmax { beta }, &[input.id], sample(&input.full), &input.full)?;
        Ok(())
    }

    pub(super) fn log_softmax(&mut self, op: &Operator<'a>) -> Result<(), OpProblem> {
        self.expect_inputs(op, 1..=1)?;
        let input = self.value(op, 0, "input")?;
        self.check_output_quant(op, &input, [(16.0 / 256.0, 127), (16.0 / 65536.0, 0)])?;
        self.emit(op, LogSoftmax {}, &[input.id], sample(&input.full), &input.full)?;
        Ok(())
    }

    pub(super) fn activation(&mut self, op: &Operator<'a>, function: Activation) -> Result<(), OpProblem> {
        self.expect_inputs(op, 1..=1)?;
        let input = self.value(op, 0, "input")?;
        match function {
            Activation::Sigmoid => self.check_output_quant(op, &input, [(1.0 / 256.0, -128), (1.0 / 32768.0, 0)])?,
            Activation::Tanh => self.check_output_quant(op, &input, [(1.0 / 128.0, 0), (1.0 / 32768.0, 0)])?,
            _ => (),
        }
        self.emit(op, function, &[input.id], sample(&input.full), &input.full)?;
        Ok(())
    }

    pub(super) fn leaky_relu(&mut self, op: &Operator<'a>) -> Result<(), OpProblem> {
        let alpha = options(op)?.f32(option::leaky_relu::ALPHA)?;
        self.activation(op, Activation::LeakyRelu { alpha })
    }

    pub(super) fn gelu(&mut self, op: &Operator<'a>) -> Result<(), OpProblem> {
        let approximate = op.options.map_or(Ok(false), |o| o.bool(option::gelu::APPROXIMATE))?;
        self.activation(op, Activation::Gelu { approximate })
    }

    /// PRELU with one slope for each channel.
    pub(super) fn prelu(&mut self, op: &Operator<'a>) -> Result<(), OpProblem> {
        self.expect_inputs(op, 2..=2)?;
        let input = self.value(op, 0, "input")?;
        let (index, constant) = self.constant(op, 1, "slopes")?;
        let channels = sample(&input.full).last().copied().unwrap_or(1);
        if constant.shape.last() != Some(&channels) || elements(&constant.shape) != Some(channels) {
            let expected = format!("one slope for each of {channels} channels");
            return Err(OpProblem::Shape { role: "slopes", found: constant.shape, expected });
        }
        let quant = self.constant_quant(index, constant.ty, "slopes")?;
        let data = self.values(&constant)?;
        let name = self.tensor_name(index)?;
        let slopes = self.graph.add_tensor(Tensor { quant, ..Tensor::constant(name, [channels], data) });
        self.emit(op, PRelu {}, &[input.id, slopes], sample(&input.full), &input.full)?;
        Ok(())
    }

    pub(super) fn quantize(&mut self, op: &Operator<'a>) -> Result<(), OpProblem> {
        self.expect_inputs(op, 1..=1)?;
        let input = self.value(op, 0, "input")?;
        let output = self.emit(op, Quantize {}, &[input.id], sample(&input.full), &input.full)?;
        self.expect_type(output, |t| t != DType::F32, "an integer type")
    }

    /// DEQUANTIZE of an activation; [`Converter::fold`] does that of constants.
    pub(super) fn dequantize(&mut self, op: &Operator<'a>) -> Result<(), OpProblem> {
        self.expect_inputs(op, 1..=1)?;
        let input = self.value(op, 0, "input")?;
        self.expect_type(input.id, |t| t != DType::F32, "an integer type")?;
        let output = self.emit(op, Dequantize {}, &[input.id], sample(&input.full), &input.full)?;
        self.expect_type(output, |t| t == DType::F32, "f32")
    }

    fn expect_type(&self, id: TensorId, fits: fn(DType) -> bool, expected: &'static str) -> Result<(), OpProblem> {
        let tensor = self.graph.tensor(id);
        if fits(tensor.dtype) {
            return Ok(());
        }
        Err(OpProblem::ActivationType { tensor: tensor.name.clone(), found: tensor.dtype, expected })
    }
}
