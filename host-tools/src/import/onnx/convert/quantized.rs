//! Quantised models: QuantizeLinear and DequantizeLinear around float nodes.
//!
//! Activations are int8 here. The file's uint8 is the same with its zero point and its values less 128.

use super::quantized_constants::symmetric;
use super::{Call, Converter, Value};
use crate::graph::ops::Quantize;
use crate::graph::{Activation, Data, Quant, shape_text};
use crate::import::onnx::error::NodeProblem;
use crate::import::onnx::tensor::{Constant, ElementType};

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
pub(super) struct Scales {
    pub scales: Vec<f32>,
    pub zero_points: Vec<i64>,
    pub ty: ElementType,
}

impl<'m, 'a> Converter<'m, 'a> {
    /// Inputs `i` (scale) and `i + 1` (zero point).
    pub(super) fn scales(&mut self, call: &Call<'m, 'a>, i: usize) -> Result<Scales, NodeProblem> {
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
                    Data::I4(_) => ElementType::INT4,
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
    pub(super) fn expect_quant(&mut self, call: &Call<'m, 'a>, x: &Value, i: usize) -> Result<(), NodeProblem> {
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
}
