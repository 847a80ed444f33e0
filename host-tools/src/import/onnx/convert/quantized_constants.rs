//! Constants of integers that stand for reals: weights, and what QuantizeLinear makes of floats.

use super::quantized::Scales;
use super::{Call, Converter, Value};
use crate::graph::{Data, Quant, TensorId, shape_text};
use crate::import::onnx::error::NodeProblem;
use crate::import::onnx::layout::Layout;
use crate::import::onnx::tensor::{Constant, ElementType};
use std::rc::Rc;

impl<'m, 'a> Converter<'m, 'a> {
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
            Data::I4(values) | Data::I8(values) => (values.clone(), zero_point),
            Data::U8(values) => (values.iter().map(|v| (*v ^ 0x80) as i8).collect(), zero_point - 128),
            _ => return Err(feature()),
        };
        self.parameter(name, shape, Data::I8(values), Some(Quant::per_tensor(scale, zero_point)))
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
            ElementType::INT4 => Data::I4(steps.map(|v| v.clamp(-8.0, 7.0) as i8).collect()),
            ElementType::INT8 => Data::I8(steps.map(|v| v as i8).collect()),
            ElementType::UINT8 => Data::U8(steps.map(|v| v as u8).collect()),
            ElementType::INT32 => Data::I32(steps.map(|v| v as i32).collect()),
            found => return Err(NodeProblem::Feature { what: format!("a constant quantised to {found}") }),
        };
        Ok(Constant::new(constant.shape.clone(), data))
    }
}

/// Whether a constant is int8 or uint8 with one scale and zero point.
pub(super) fn has_one_scale(constant: &Constant) -> bool {
    let bytes = matches!(constant.data, Data::I4(_) | Data::I8(_) | Data::U8(_));
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
