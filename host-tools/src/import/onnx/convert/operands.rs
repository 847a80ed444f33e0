//! What a node refers to: attributes, constants and activations.

use super::{Call, Converter, Made, Value};
use crate::graph::{DType, Data, Quant};
use crate::import::onnx::error::NodeProblem;
use crate::import::onnx::layout::Layout;
use crate::import::onnx::model::AttributeValue;
use crate::import::onnx::tensor::{Constant, decode};
use std::rc::Rc;

/// Longest list that counts as shape arithmetic.
pub(super) const MOST_INTEGERS: usize = 1024;

impl<'m, 'a> Call<'m, 'a> {
    /// The operator as the table names it.
    pub(super) fn key(&self) -> &'a str {
        match (self.node.domain, self.node.op) {
            ("", op) => op,
            ("com.microsoft", "QLinearAdd") => "com.microsoft:QLinearAdd",
            ("com.microsoft", "QLinearMul") => "com.microsoft:QLinearMul",
            ("com.microsoft", "QLinearConcat") => "com.microsoft:QLinearConcat",
            ("com.microsoft", "QLinearAveragePool") => "com.microsoft:QLinearAveragePool",
            ("com.microsoft", "QLinearGlobalAveragePool") => "com.microsoft:QLinearGlobalAveragePool",
            ("com.microsoft", "QLinearLeakyRelu") => "com.microsoft:QLinearLeakyRelu",
            ("com.microsoft", "QLinearSigmoid") => "com.microsoft:QLinearSigmoid",
            ("com.microsoft", "QLinearSoftmax") => "com.microsoft:QLinearSoftmax",
            ("com.microsoft", "QGemm") => "com.microsoft:QGemm",
            ("com.microsoft", "Gelu") => "Gelu",
            ("com.microsoft", "QuantizeLinear") => "QuantizeLinear",
            ("com.microsoft", "DequantizeLinear") => "DequantizeLinear",
            _ => "",
        }
    }

    /// The operator for messages: domain and type.
    pub(super) fn op(&self) -> String {
        match self.node.domain {
            "" => self.node.op.into(),
            domain => format!("{domain}.{}", self.node.op),
        }
    }

    fn attribute(&self, name: &str) -> Option<&'m AttributeValue<'a>> {
        self.node.attributes.iter().find(|a| a.name == name).map(|a| &a.value)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.attribute(name).is_some()
    }

    fn wrong<T>(attribute: &'static str, expected: &str) -> Result<T, NodeProblem> {
        Err(NodeProblem::Attribute { attribute, found: "of another type".into(), expected: expected.into() })
    }

    pub(super) fn int(&self, name: &'static str, default: i64) -> Result<i64, NodeProblem> {
        match self.attribute(name) {
            None => Ok(default),
            Some(AttributeValue::Int(value)) => Ok(*value),
            Some(_) => Self::wrong(name, "an integer"),
        }
    }

    pub(super) fn flag(&self, name: &'static str) -> Result<bool, NodeProblem> {
        Ok(self.int(name, 0)? != 0)
    }

    pub(super) fn float(&self, name: &'static str, default: f32) -> Result<f32, NodeProblem> {
        match self.attribute(name) {
            None => Ok(default),
            Some(AttributeValue::Float(value)) => Ok(*value),
            Some(_) => Self::wrong(name, "a float"),
        }
    }

    pub(super) fn ints(&self, name: &'static str) -> Result<Option<&'m [i64]>, NodeProblem> {
        match self.attribute(name) {
            None => Ok(None),
            Some(AttributeValue::Ints(values)) => Ok(Some(values)),
            Some(_) => Self::wrong(name, "a list of integers"),
        }
    }

    pub(super) fn floats(&self, name: &'static str) -> Result<Option<&'m [f32]>, NodeProblem> {
        match self.attribute(name) {
            None => Ok(None),
            Some(AttributeValue::Floats(values)) => Ok(Some(values)),
            Some(_) => Self::wrong(name, "a list of floats"),
        }
    }

    pub(super) fn text(&self, name: &'static str, default: &'static str) -> Result<&'a str, NodeProblem> {
        match self.attribute(name) {
            None => Ok(default),
            Some(AttributeValue::Text(text)) => {
                std::str::from_utf8(text).or_else(|_| Self::wrong(name, "text in UTF-8"))
            }
            Some(_) => Self::wrong(name, "text"),
        }
    }

    pub(super) fn texts(&self, name: &'static str) -> Result<Option<Vec<&'a str>>, NodeProblem> {
        let text = |t: &&'a [u8]| std::str::from_utf8(t).or_else(|_| Self::wrong(name, "text in UTF-8"));
        match self.attribute(name) {
            None => Ok(None),
            Some(AttributeValue::Texts(texts)) => texts.iter().map(text).collect::<Result<_, _>>().map(Some),
            Some(_) => Self::wrong(name, "a list of texts"),
        }
    }

    pub(super) fn value(&self, name: &str) -> Option<&'m AttributeValue<'a>> {
        self.attribute(name)
    }

    /// A list of small positive numbers, such as strides: `count` of them, all 1 if absent.
    pub(super) fn sizes(&self, name: &'static str, count: usize) -> Result<Vec<usize>, NodeProblem> {
        let Some(found) = self.ints(name)? else { return Ok(vec![1; count]) };
        let error = || NodeProblem::Attribute {
            attribute: name,
            found: format!("{found:?}"),
            expected: format!("{count} numbers, at least 1"),
        };
        let sizes: Option<Vec<usize>> =
            found.iter().map(|v| usize::try_from(*v).ok().filter(|v| (1..=i32::MAX as usize).contains(v))).collect();
        sizes.filter(|s| s.len() == count).ok_or_else(error)
    }

    /// The name of input `i`, empty if it is left out.
    pub(super) fn input(&self, i: usize) -> &'a str {
        self.node.inputs.get(i).copied().unwrap_or("")
    }

    /// The name of output `i`, empty if nobody wants it.
    pub(super) fn output(&self, i: usize) -> &'a str {
        self.node.outputs.get(i).copied().unwrap_or("")
    }

    pub(super) fn expect_inputs(&self, expected: core::ops::RangeInclusive<usize>) -> Result<(), NodeProblem> {
        let found = self.node.inputs.len();
        if expected.contains(&found) {
            return Ok(());
        }
        let (least, most) = expected.into_inner();
        let expected = if least == most { least.to_string() } else { format!("{least} to {most}") };
        Err(NodeProblem::Inputs { found, expected })
    }

    /// Outputs beside the first one, such as a pool's indices, must not be used.
    pub(super) fn refuse_output(&self, i: usize, what: &str, used: bool) -> Result<(), NodeProblem> {
        if self.output(i).is_empty() || !used {
            return Ok(());
        }
        Err(NodeProblem::Feature { what: format!("{what} (output {i})") })
    }
}

/// One axis counted from the front.
pub(super) fn axis(found: i64, rank: usize) -> Result<usize, NodeProblem> {
    let from_front = if found < 0 { found.checked_add_unsigned(rank as u64) } else { Some(found) };
    let fits = from_front.and_then(|a| usize::try_from(a).ok()).filter(|a| *a < rank);
    let expected = || format!("an axis of a shape with {rank} axes");
    fits.ok_or_else(|| NodeProblem::Attribute { attribute: "axis", found: found.to_string(), expected: expected() })
}

/// Different axes counted from the front.
pub(super) fn axes(found: &[i64], rank: usize) -> Result<Vec<usize>, NodeProblem> {
    let all: Vec<usize> = found.iter().map(|a| axis(*a, rank)).collect::<Result<_, _>>()?;
    let twice = (1..all.len()).any(|i| all[..i].contains(&all[i]));
    let expected = || "different axes".into();
    match twice {
        true => Err(NodeProblem::Attribute { attribute: "axes", found: format!("{found:?}"), expected: expected() }),
        false => Ok(all),
    }
}

impl<'m, 'a> Converter<'m, 'a> {
    /// What a name stands for; `None` if it is empty.
    pub(super) fn made(&mut self, name: &'a str, role: &'static str) -> Result<Option<Made>, NodeProblem> {
        if name.is_empty() {
            return Ok(None);
        }
        let made = self.made.get(name).cloned();
        if let Some(Made::Constant(constant)) = &made
            && constant.is_empty()
        {
            self.room_along(&constant.shape)?;
        }
        match made.ok_or_else(|| NodeProblem::NotMade { role, name: name.into() })? {
            Made::Stored(index) => {
                let def = self.model.initializers.get(index).ok_or(NodeProblem::Overflow)?;
                let constant = decode(def, self.external, self.budget);
                let constant = constant.map_err(|source| NodeProblem::Tensor { role, name: name.into(), source })?;
                let made = Made::Constant(Rc::new(constant));
                self.made.insert(name, made);
                self.made(name, role)
            }
            made => Ok(Some(made)),
        }
    }

    /// Says what a name stands for.
    pub(super) fn set(&mut self, name: &'a str, made: Made) -> Result<(), NodeProblem> {
        if name.is_empty() {
            return Ok(());
        }
        self.budget.take(name.len() + 256)?;
        if let Made::Constant(constant) = &made {
            self.budget.take(constant.data.len().saturating_mul(constant.data.dtype().bytes()))?;
        }
        match self.made.insert(name, made) {
            Some(_) => Err(NodeProblem::MadeTwice { name: name.into() }),
            None => Ok(()),
        }
    }

    /// Input `i` as a constant; `None` if it is left out.
    pub(super) fn optional_constant(
        &mut self,
        call: &Call<'m, 'a>,
        i: usize,
        role: &'static str,
    ) -> Result<Option<Rc<Constant>>, NodeProblem> {
        match self.made(call.input(i), role)? {
            None => Ok(None),
            Some(Made::Constant(constant)) => Ok(Some(constant)),
            Some(_) => Err(NodeProblem::NotConstant { role, name: call.input(i).into() }),
        }
    }

    /// Input `i`, which is a constant.
    pub(super) fn constant(
        &mut self,
        call: &Call<'m, 'a>,
        i: usize,
        role: &'static str,
    ) -> Result<Rc<Constant>, NodeProblem> {
        self.optional_constant(call, i, role)?.ok_or(NodeProblem::Missing { role })
    }

    /// Whether input `i` is a constant.
    pub(super) fn is_constant(&self, call: &Call<'m, 'a>, i: usize) -> bool {
        matches!(self.made.get(call.input(i)), Some(Made::Constant(_) | Made::Stored(_)))
    }

    /// A short list of integers: the attribute of older operator sets, or the input of newer ones.
    pub(super) fn list(
        &mut self,
        call: &Call<'m, 'a>,
        attribute: &'static str,
        i: usize,
    ) -> Result<Option<Vec<i64>>, NodeProblem> {
        if let Some(list) = call.ints(attribute)? {
            return Ok(Some(list.to_vec()));
        }
        let Some(constant) = self.optional_constant(call, i, attribute)? else { return Ok(None) };
        integer_list(&constant, attribute).map(Some)
    }

    /// One real number: the attribute of older operator sets, or the input of newer ones.
    pub(super) fn scalar(
        &mut self,
        call: &Call<'m, 'a>,
        attribute: &'static str,
        i: usize,
    ) -> Result<Option<f32>, NodeProblem> {
        if call.has(attribute) {
            return call.float(attribute, 0.0).map(Some);
        }
        let Some(constant) = self.optional_constant(call, i, attribute)? else { return Ok(None) };
        let reals = constant.reals().or_else(|| Some(constant.integers()?.iter().map(|v| *v as f32).collect()));
        match reals.as_deref() {
            Some([value]) => Ok(Some(*value)),
            _ => Err(NodeProblem::Shape {
                role: attribute,
                found: constant.shape.clone(),
                expected: "one number".into(),
            }),
        }
    }

    /// Input `i` as an activation as it is: float or quantised. A constant becomes one of the graph's.
    pub(super) fn raw(&mut self, call: &Call<'m, 'a>, i: usize, role: &'static str) -> Result<Value, NodeProblem> {
        match self.made(call.input(i), role)?.ok_or(NodeProblem::Missing { role })? {
            Made::Value(value) => Ok(value),
            Made::Constant(constant) => self.constant_value(call.input(i), &constant, role),
            Made::Stored(_) | Made::Unknown => Err(NodeProblem::NotMade { role, name: call.input(i).into() }),
        }
    }

    /// Input `i` as a float activation.
    pub(super) fn real(&mut self, call: &Call<'m, 'a>, i: usize, role: &'static str) -> Result<Value, NodeProblem> {
        let value = self.raw(call, i, role)?;
        self.floats(&value, role)
    }

    /// A constant in an activation's place.
    pub(super) fn constant_value(
        &mut self,
        name: &str,
        constant: &Constant,
        role: &'static str,
    ) -> Result<Value, NodeProblem> {
        if constant.is_empty() {
            let expected = "at least one value".into();
            return Err(NodeProblem::Shape { role, found: constant.shape.clone(), expected });
        }
        let expected = "float";
        let error = || NodeProblem::Type { role, found: constant.data.dtype().name().into(), expected };
        let reals = constant.reals().ok_or_else(error)?;
        let id = self.parameter(name, super::arrange::sample(&constant.shape), Data::F32(reals), None)?;
        Ok(Value { id, layout: Layout::plain(&constant.shape), dequantized: false })
    }

    pub(super) fn dtype(&self, value: &Value) -> DType {
        self.graph.tensor(value.id).dtype
    }

    /// The scale and zero point of a quantised activation.
    pub(super) fn quant(&self, value: &Value) -> Option<Quant> {
        self.graph.tensor(value.id).quant.clone()
    }

    /// Whether a name is read by nobody but the node that asks, which reads it once.
    pub(super) fn only_reader(&self, name: &str) -> bool {
        !self.outputs.contains(name) && self.readers.get(name).is_some_and(|r| r.len() == 1)
    }

    /// Whether anybody reads a name.
    pub(super) fn is_read(&self, name: &str) -> bool {
        self.outputs.contains(name) || self.readers.get(name).is_some_and(|r| !r.is_empty())
    }
}

/// The values of an integer list of at most [`MOST_INTEGERS`] entries.
pub(super) fn integer_list(constant: &Constant, role: &'static str) -> Result<Vec<i64>, NodeProblem> {
    let found = || constant.data.dtype().name().into();
    if constant.len() > MOST_INTEGERS {
        let expected = format!("at most {MOST_INTEGERS} values");
        return Err(NodeProblem::Shape { role, found: constant.shape.clone(), expected });
    }
    constant.integers().ok_or_else(|| NodeProblem::Type { role, found: found(), expected: "integers" })
}
