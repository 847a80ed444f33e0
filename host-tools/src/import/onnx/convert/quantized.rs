//! Quantised models: QuantizeLinear and DequantizeLinear around float nodes, and the QLinear nodes.
//!
//! Activations are int8 here. The file's uint8 is the same with its zero point and its values less 128.

use super::dense::Matrix;
use super::elementwise::Binary;
use super::{Call, Converter, Made, Value};
use crate::graph::ops::Quantize;
use crate::graph::{Activation, Data, Quant, TensorId, shape_text};
use crate::import::onnx::error::NodeProblem;
use crate::import::onnx::layout::Layout;
use crate::import::onnx::tensor::{Constant, ElementType};
use std::rc::Rc;

/// How a layer's result is quantised, and which of the file's outputs it then is.
#[derive(Debug, Clone)]
pub(super) struct Target<'a> {
    pub name: &'a str,
    pub quant: Quant,
    /// A clamp between the layer and its quantisation.
    pub activation: Activation,
    /// Nodes that the layer takes over.
    pub nodes: Vec<usize>,
}

/// Scales and zero points as a node names them.
struct Scales {
    scales: Vec<f32>,
    zero_points: Vec<i64>,
    ty: ElementType,
}

impl<'m, 'a> Converter<'m, 'a> {
    /// Inputs `i` (scale) and `i + 1` (zero point).
    fn scales(&mut self, call: &Call<'m, 'a>, i: usize) -> Result<Scales, NodeProblem> {
        let role = "scale";
        let scale = self.constant(call, i, role)?;
        let Some(scales) = scale.reals() else {
            return Err(NodeProblem::Type { role, found: scale.data.dtype().name().into(), expected: "float" });
        };
        if let Some(found) = scales.iter().find(|s| !(s.is_finite() && **s > 0.0)) {
            let expected = "positive and finite".into();
            return Err(NodeProblem::Value { role, found: found.to_string(), expected });
        }
        let zero_point = self.optional_constant(call, i + 1, "zero point")?;
        let (zero_points, ty) = match zero_point {
            None => {
                let default = if call.key() == "QuantizeLinear" { ElementType::UINT8.0 } else { 0 };
                let ty = call.int("output_dtype", 0)?;
                (vec![0; scales.len()], ElementType(if ty == 0 { default } else { ty }))
            }
            Some(zero_point) => {
                let ty = match &zero_point.data {
                    Data::I8(_) => ElementType::INT8,
                    Data::U8(_) => ElementType::UINT8,
                    Data::I32(_) => ElementType::INT32,
                    _ => ElementType(0),
                };
                let found = zero_point.integers();
                let found = found.filter(|z| z.len() == scales.len()).ok_or_else(|| NodeProblem::Shape {
                    role: "zero point",
                    found: zero_point.shape.clone(),
                    expected: format!("{} integers, as the scale", shape_text(&scale.shape)),
                })?;
                (found, ty)
            }
        };
        Ok(Scales { scales, zero_points, ty })
    }

    /// The quantisation of an activation, in int8.
    pub(super) fn activation_quant(&mut self, call: &Call<'m, 'a>, i: usize) -> Result<Quant, NodeProblem> {
        let found = self.scales(call, i)?;
        let ([scale], [zero_point]) = (found.scales.as_slice(), found.zero_points.as_slice()) else {
            return Err(NodeProblem::Feature { what: format!("an activation with {} scales", found.scales.len()) });
        };
        let shift = match found.ty {
            ElementType::UINT8 => 128,
            ElementType::INT8 => 0,
            // DequantizeLinear may leave its zero point out: the type is that of its input.
            ElementType(0) => 0,
            ty => return Err(NodeProblem::Feature { what: format!("an activation quantised to {ty}") }),
        };
        let zero_point = zero_point - shift;
        let fits = i8::try_from(zero_point).map_err(|_| NodeProblem::Value {
            role: "zero point",
            found: zero_point.to_string(),
            expected: "in the range of the type".into(),
        })?;
        Ok(Quant::per_tensor(*scale, i32::from(fits)))
    }

    /// What a DequantizeLinear of a constant makes: the integers, which know their scales.
    pub(super) fn with_scales(
        &mut self,
        call: &Call<'m, 'a>,
        constant: &Constant,
        i: usize,
    ) -> Result<Constant, NodeProblem> {
        let role = "scale";
        let Scales { scales, zero_points, .. } = self.scales(call, i)?;
        let zero_points: Option<Vec<i32>> = zero_points.iter().map(|z| i32::try_from(*z).ok()).collect();
        let zero_points = zero_points.ok_or(NodeProblem::Overflow)?;
        let axis = match scales.len() {
            1 => None,
            count => {
                // QLinearMatMul's scales run along the last axis, all others along the one named.
                let named = if call.key() == "QLinearMatMul" {
                    -1
                } else {
                    call.int("axis", if call.key() == "DequantizeLinear" { 1 } else { 0 })?
                };
                let at = super::operands::axis(named, constant.shape.len())?;
                if constant.shape[at] != count {
                    let expected = format!("{} of them, one for each index of axis {at}", constant.shape[at]);
                    return Err(NodeProblem::Value { role, found: count.to_string(), expected });
                }
                Some(at)
            }
        };
        Ok(Constant { quant: Some(Quant { scales, zero_points, axis }), ..constant.clone() })
    }

    /// The quantisation that follows the node, if nothing but it, or a clamp before it, reads the output.
    pub(super) fn target(&mut self, call: &Call<'m, 'a>) -> Result<Option<Target<'a>>, NodeProblem> {
        let mut name = call.output(0);
        let (mut activation, mut nodes) = (Activation::Linear, Vec::new());
        loop {
            if !self.only_reader(name) {
                return Ok(None);
            }
            let reader = self.readers.get(name).and_then(|r| r.first()).copied().unwrap_or(usize::MAX);
            let Some(node) = self.model.nodes.get(reader).filter(|n| n.inputs.first() == Some(&name)) else {
                return Ok(None);
            };
            let next = Call { node, opset: call.opset };
            nodes.push(reader);
            match next.key() {
                "Relu" if activation == Activation::Linear => activation = Activation::Relu,
                "Clip" if activation == Activation::Linear => match self.clip_bounds(&next)? {
                    (0.0, 6.0) => activation = Activation::Relu6,
                    _ => return Ok(None),
                },
                "QuantizeLinear" => {
                    return Ok(self.activation_quant(&next, 1).ok().map(|quant| Target {
                        name: next.output(0),
                        quant,
                        activation,
                        nodes,
                    }));
                }
                _ => return Ok(None),
            }
            name = next.output(0);
        }
    }

    /// As [`Converter::target`], for a layer with weights: all of it must be quantised in a way that
    /// the integer layers have.
    pub(super) fn target_for(
        &mut self,
        call: &Call<'m, 'a>,
        x: &Value,
        weights: &Constant,
    ) -> Result<Option<Target<'a>>, NodeProblem> {
        if !x.dequantized || self.quant(x).is_none() || symmetric(weights, 0).is_none() {
            return Ok(None);
        }
        self.target(call)
    }

    /// The result of a layer with a target.
    pub(super) fn define_target(&mut self, target: Target<'a>, mut value: Value) -> Result<(), NodeProblem> {
        value.dequantized = false;
        self.done.extend(target.nodes);
        self.define_as(target.name, value)
    }

    /// QuantizeLinear of an activation.
    pub(super) fn quantize_linear(&mut self, call: &Call<'m, 'a>) -> Result<(), NodeProblem> {
        call.expect_inputs(2..=3)?;
        let quant = self.activation_quant(call, 1)?;
        let x = self.raw(call, 0, "input")?;
        let value = self.quantize(&x, quant)?;
        self.define(call, 0, value)
    }

    /// The activation as integers of this scale.
    pub(super) fn quantize(&mut self, x: &Value, quant: Quant) -> Result<Value, NodeProblem> {
        let id =
            if self.quant(x).as_ref() == Some(&quant) { x.id } else { self.emit(Quantize {}, &[x.id], Some(quant))? };
        Ok(Value { id, layout: x.layout.clone(), dequantized: false })
    }

    /// DequantizeLinear of an activation: happens when somebody needs floats.
    pub(super) fn dequantize_linear(&mut self, call: &Call<'m, 'a>) -> Result<(), NodeProblem> {
        call.expect_inputs(2..=3)?;
        let x = self.raw(call, 0, "input")?;
        self.expect_quant(call, &x, 1)?;
        let value = Value { dequantized: true, ..x };
        self.define(call, 0, value)
    }

    /// Checks that the scale that a node names is that of the activation.
    fn expect_quant(&mut self, call: &Call<'m, 'a>, x: &Value, i: usize) -> Result<(), NodeProblem> {
        let named = self.scales(call, i)?;
        let error =
            |found: String, expected: String| NodeProblem::Value { role: "scale and zero point", found, expected };
        let Some((scale, zero_point)) = self.quant(x).and_then(|q| q.single()) else {
            return Err(NodeProblem::Type { role: "input", found: "float".into(), expected: "quantised" });
        };
        let ([s], [z]) = (named.scales.as_slice(), named.zero_points.as_slice()) else {
            return Err(NodeProblem::Feature { what: format!("an activation with {} scales", named.scales.len()) });
        };
        // A zero point left out is 0 in the type of the activation, which may have been uint8.
        let shift = if named.ty == ElementType::UINT8 { 128 } else { 0 };
        let same_zero = z - shift == i64::from(zero_point) || (named.ty == ElementType(0) && zero_point == -128);
        if *s == scale && same_zero {
            return Ok(());
        }
        let text = |s: f32, z: i64| format!("{s} and {z}");
        Err(error(text(*s, *z), format!("those of the activation, {}", text(scale, i64::from(zero_point) + shift))))
    }

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

    /// A constant of integers in an activation's place.
    pub(super) fn quantized_constant(&mut self, name: &str, constant: &Constant) -> Result<Value, NodeProblem> {
        let id = self.quantized_parameter(name, constant, super::arrange::sample(&constant.shape))?;
        Ok(Value { id, layout: Layout::plain(&constant.shape), dequantized: false })
    }

    /// A constant of integers with one scale and zero point, as int8 under this shape.
    pub(super) fn quantized_parameter(
        &mut self,
        name: &str,
        constant: &Constant,
        shape: &[usize],
    ) -> Result<TensorId, NodeProblem> {
        let feature = || NodeProblem::Feature { what: "a constant quantised this way".into() };
        let (scale, zero_point) = constant.quant.as_ref().and_then(|q| q.single()).ok_or_else(feature)?;
        let (values, zero_point) = match &constant.data {
            Data::I8(values) => (values.clone(), zero_point),
            Data::U8(values) => (values.iter().map(|v| (*v ^ 0x80) as i8).collect(), zero_point - 128),
            _ => return Err(feature()),
        };
        self.parameter(name, shape, Data::I8(values), Some(Quant::per_tensor(scale, zero_point)))
    }

    /// The target that a QLinear node names itself.
    fn own_target(&mut self, call: &Call<'m, 'a>, i: usize) -> Result<Target<'a>, NodeProblem> {
        let quant = self.activation_quant(call, i)?;
        Ok(Target { name: call.output(0), quant, activation: Activation::Linear, nodes: Vec::new() })
    }

    /// QuantizeLinear of a constant.
    pub(super) fn quantize_constant(
        &mut self,
        call: &Call<'m, 'a>,
        constant: &Constant,
    ) -> Result<Constant, NodeProblem> {
        let Scales { ty, .. } = self.scales(call, 1)?;
        let like = Constant { quant: None, ..constant.clone() };
        let quant = self.with_scales(call, &like, 1)?.quant.ok_or(NodeProblem::Overflow)?;
        let found = || constant.data.dtype().name().into();
        let reals =
            constant.reals().ok_or_else(|| NodeProblem::Type { role: "input", found: found(), expected: "float" })?;
        let inner: usize = quant.axis.map_or(1, |a| constant.shape.iter().skip(a + 1).product());
        let channels = quant.scales.len().max(1);
        let step = |(i, real): (usize, &f32)| {
            let channel = i / inner.max(1) % channels;
            let zero_point = quant.zero_points.get(channel).copied().unwrap_or(0);
            f64::from((real / quant.scale(channel)).round_ties_even()) + f64::from(zero_point)
        };
        let steps = reals.iter().enumerate().map(step);
        // A cast of floats to integers saturates, as QuantizeLinear does.
        let data = match ty {
            ElementType::INT8 => Data::I8(steps.map(|v| v as i8).collect()),
            ElementType::UINT8 => Data::U8(steps.map(|v| v as u8).collect()),
            ElementType::INT32 => Data::I32(steps.map(|v| v as i32).collect()),
            found => return Err(NodeProblem::Feature { what: format!("a constant quantised to {found}") }),
        };
        Ok(Constant::new(constant.shape.clone(), data))
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

/// Whether a constant is int8 or uint8 with one scale and zero point.
pub(super) fn has_one_scale(constant: &Constant) -> bool {
    let bytes = matches!(constant.data, Data::I8(_) | Data::U8(_));
    bytes && constant.quant.as_ref().is_some_and(|q| q.single().is_some())
}

/// Weights as int8 around 0 with one scale, or one for each index of `axis`; `None` if they are not
/// quantised so, or their zero points move them out of int8's range.
pub(super) fn symmetric(weights: &Constant, axis: usize) -> Option<(Vec<i8>, Vec<f32>)> {
    let quant = weights.quant.as_ref()?;
    if quant.axis.is_some_and(|a| a != axis) || matches!(weights.data, Data::I32(_) | Data::I64(_) | Data::F32(_)) {
        return None;
    }
    let integers = Constant { quant: None, ..weights.clone() }.integers()?;
    let inner: usize = quant.axis.map_or(1, |a| weights.shape.iter().skip(a + 1).product());
    let channels = quant.scales.len().max(1);
    let shifted = integers.iter().enumerate().map(|(i, q)| {
        let channel = i / inner.max(1) % channels;
        let zero_point = quant.zero_points.get(channel).copied().unwrap_or(0);
        i8::try_from(q - i64::from(zero_point)).ok()
    });
    Some((shifted.collect::<Option<_>>()?, quant.scales.clone()))
}

/// Scales for blocks of one axis (operator set 21).
pub(super) struct Blocked {
    axis: usize,
    size: usize,
    scale: Constant,
    zero_point: Option<Rc<Constant>>,
}

impl Blocked {
    pub(super) fn of(call: &Call<'_, '_>, size: i64, operands: &[Option<Rc<Constant>>]) -> Result<Self, NodeProblem> {
        let x = super::fold::first(operands, 0)?;
        let scale = super::fold::first(operands, 1)?;
        let axis = super::operands::axis(call.int("axis", 1)?, x.shape.len())?;
        let size = usize::try_from(size).ok().filter(|s| *s > 0).ok_or_else(|| NodeProblem::Attribute {
            attribute: "block_size",
            found: size.to_string(),
            expected: "at least 1".into(),
        })?;
        let mut expected = x.shape.clone();
        expected[axis] = expected[axis].div_ceil(size);
        let zero_point = operands.get(2).cloned().flatten();
        let wrong = [Some(scale), zero_point.as_deref()].into_iter().flatten().find(|c| c.shape != expected);
        if let Some(found) = wrong {
            let expected = shape_text(&expected);
            return Err(NodeProblem::Shape { role: "scale", found: found.shape.clone(), expected });
        }
        Ok(Self { axis, size, scale: scale.clone(), zero_point })
    }

    /// The dequantised values.
    pub(super) fn reals(&self, x: &Constant) -> Result<Constant, NodeProblem> {
        let integers = x.integers().ok_or(NodeProblem::Overflow)?;
        let scales = self.scale.reals().ok_or(NodeProblem::Overflow)?;
        let zero_points = self.zero_point.as_ref().and_then(|z| z.integers());
        let inner: usize = x.shape.iter().skip(self.axis + 1).product();
        let (length, blocks) = (x.shape[self.axis], self.scale.shape[self.axis]);
        let real = |(i, q): (usize, &i64)| {
            let (row, within) = (i / inner.max(1), i % inner.max(1));
            let (outer, along) = (row / length.max(1), row % length.max(1));
            let block = (outer * blocks + along / self.size) * inner + within;
            let zero_point = zero_points.as_ref().and_then(|z| z.get(block)).copied().unwrap_or(0);
            ((q - zero_point) as f64 * f64::from(scales.get(block).copied().unwrap_or(0.0))) as f32
        };
        let reals = integers.iter().enumerate().map(real).collect();
        Ok(Constant::new(x.shape.clone(), Data::F32(reals)))
    }
}
