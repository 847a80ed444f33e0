//! Operations on single values, and on two tensors with broadcasting.

use super::arrange::sample;
use super::conv::is_quantized;
use super::{Call, Converter, Made, Value};
use crate::graph::ops::{Add, Div, Maximum, Minimum, Mul, Op, Sub};
use crate::graph::{Activation, DType, Data, Quant, TensorId};
use crate::import::onnx::error::NodeProblem;
use crate::import::onnx::layout::Layout;
use crate::import::onnx::model::MAX_RANK;
use crate::import::onnx::tensor::Constant;
use crate::quant::fixed_point::{Affine, add_sum, product, quotient};

impl<'m, 'a> Converter<'m, 'a> {
    /// A function of one value.
    pub(super) fn activation(&mut self, call: &Call<'m, 'a>, function: Activation) -> Result<(), NodeProblem> {
        call.expect_inputs(1..=1)?;
        let x = self.raw(call, 0, "input")?;
        // Integers stay integers where a clamp cannot make them coarser.
        let table = matches!(function, Activation::LeakyRelu { .. } | Activation::HardSwish);
        if (function.is_clamp() || table)
            && is_quantized(self, &x)
            && let Some(target) = self.target(call)?.filter(|t| t.activation == Activation::Linear)
        {
            let id = self.emit(function, &[x.id], Some(target.quant.clone()))?;
            return self.define_target(target, Value { id, ..x });
        }
        let x = self.floats(&x, "input")?;
        self.unary(call, &x, function)
    }

    /// Adds the operation on a float value and defines the output.
    pub(super) fn unary(&mut self, call: &Call<'m, 'a>, x: &Value, op: impl Into<Op>) -> Result<(), NodeProblem> {
        let id = self.emit(op, &[x.id], None)?;
        self.define(call, 0, Value { id, ..x.clone() })
    }

    /// Clip's limits: attributes before operator set 11, then inputs.
    pub(super) fn clip_bounds(&mut self, call: &Call<'m, 'a>) -> Result<(f32, f32), NodeProblem> {
        let low = self.scalar(call, "min", 1)?.unwrap_or(f32::NEG_INFINITY);
        let high = self.scalar(call, "max", 2)?.unwrap_or(f32::INFINITY);
        Ok((low, high))
    }

    /// Clip.
    pub(super) fn clip(&mut self, call: &Call<'m, 'a>) -> Result<(), NodeProblem> {
        call.expect_inputs(1..=3)?;
        let (low, high) = self.clip_bounds(call)?;
        // The exporters' infinities.
        let unlimited = |v: f32| v.abs() >= f32::MAX;
        let function = match (low, high) {
            (0.0, 6.0) => Activation::Relu6,
            (-1.0, 1.0) => Activation::ReluN1To1,
            (0.0, high) if unlimited(high) => Activation::Relu,
            (low, high) if unlimited(low) && unlimited(high) => return self.identity(call),
            (low, high) => {
                let mut x = self.real(call, 0, "input")?;
                for (limit, kind) in [(low, Binary::Max), (high, Binary::Min)] {
                    if !unlimited(limit) {
                        let limit = self.parameter("limit", &[1], Data::F32(vec![limit]), None)?;
                        let limit = Value { id: limit, layout: Layout::plain(&[1]), dequantized: false };
                        x = self.broadcast(kind.op(Activation::Linear), &x, &limit, None)?;
                    }
                }
                return self.define(call, 0, x);
            }
        };
        let x = self.real(call, 0, "input")?;
        self.unary(call, &x, function)
    }

    /// LeakyRelu, Elu, HardSigmoid and Gelu, with their attributes.
    pub(super) fn parametric(&mut self, call: &Call<'m, 'a>) -> Result<(), NodeProblem> {
        call.expect_inputs(1..=1)?;
        let function = match call.key() {
            "LeakyRelu" => Activation::LeakyRelu { alpha: call.float("alpha", 0.01)? },
            "Elu" => Activation::Elu { alpha: call.float("alpha", 1.0)? },
            "HardSigmoid" => {
                Activation::HardSigmoid { alpha: call.float("alpha", 0.2)?, beta: call.float("beta", 0.5)? }
            }
            _ => Activation::Gelu { approximate: call.text("approximate", "none")? == "tanh" },
        };
        self.activation(call, function)
    }

    /// Operations on two tensors.
    pub(super) fn binary(&mut self, call: &Call<'m, 'a>, kind: Binary) -> Result<(), NodeProblem> {
        call.expect_inputs(2..=2)?;
        if kind == Binary::Add && self.fold_shift(call)? {
            return Ok(());
        }
        let (a, b) = (self.operand(call, 0)?, self.operand(call, 1)?);
        if a.dequantized
            && b.dequantized
            && let Some(target) = self.target(call)?
            && self.has_integers(kind, [&a, &b], &target.quant)
        {
            let op = kind.op(target.activation);
            let value = self.broadcast(op, &a, &b, Some(target.quant.clone()))?;
            return self.define_target(target, value);
        }
        let (a, b) = (self.floats(&a, "input A")?, self.floats(&b, "input B")?);
        let value = self.broadcast(kind.op(Activation::Linear), &a, &b, None)?;
        self.define(call, 0, value)
    }

    /// Whether there is an integer form for these scales; smaller and greater ones need equal scales, which few models
    /// have.
    fn has_integers(&self, kind: Binary, inputs: [&Value; 2], output: &Quant) -> bool {
        let affine = |quant: &Quant| Affine::of(quant, DType::I8).ok();
        let [a, b] = inputs.map(|value| self.quant(value).as_ref().and_then(affine));
        let (Some(a), Some(b), Some(y)) = (a, b, affine(output)) else { return false };
        let numbers = match kind {
            Binary::Add | Binary::Sub => add_sum,
            Binary::Mul => product,
            Binary::Div => quotient,
            Binary::Min | Binary::Max => return false,
        };
        numbers(a, b, y, Activation::Linear).is_ok()
    }

    /// Min, Max and Sum of any number of tensors.
    pub(super) fn variadic(&mut self, call: &Call<'m, 'a>, kind: Binary) -> Result<(), NodeProblem> {
        let mut result = self.real(call, 0, "input")?;
        for i in 1..call.node.inputs.len() {
            let next = self.real(call, i, "input")?;
            result = self.broadcast(kind.op(Activation::Linear), &result, &next, None)?;
        }
        self.define(call, 0, result)
    }

    /// Pow with a constant exponent of 1/2, 1 or 2, as in normalisations.
    pub(super) fn power(&mut self, call: &Call<'m, 'a>) -> Result<(), NodeProblem> {
        call.expect_inputs(2..=2)?;
        let exponent = self.scalar(call, "exponent", 1)?.ok_or(NodeProblem::Missing { role: "exponent" })?;
        let x = self.real(call, 0, "input")?;
        match exponent {
            0.5 => self.unary(call, &x, Activation::Sqrt),
            1.0 => self.define(call, 0, x),
            2.0 => {
                let value = self.broadcast(Binary::Mul.op(Activation::Linear), &x, &x, None)?;
                self.define(call, 0, value)
            }
            found => Err(NodeProblem::Feature { what: format!("a power of {found}") }),
        }
    }

    /// An operand of a sum or product; quantised constants stay so.
    pub(super) fn operand(&mut self, call: &Call<'m, 'a>, i: usize) -> Result<Value, NodeProblem> {
        let role = if i == 0 { "input A" } else { "input B" };
        if let Some(Made::Constant(constant)) = self.made(call.input(i), role)?
            && constant.quant.as_ref().is_some_and(|q| q.axis.is_none())
            && matches!(constant.data, Data::I4(_) | Data::I8(_) | Data::U8(_))
            && !constant.is_empty()
        {
            let value = self.quantized_constant(call.input(i), &constant)?;
            return Ok(Value { dequantized: true, ..value });
        }
        self.raw(call, i, role)
    }

    /// An operation on two tensors, with numpy's broadcasting. The result lies as the larger operand.
    pub(super) fn broadcast(
        &mut self,
        op: impl Into<Op>,
        a: &Value,
        b: &Value,
        quant: Option<Quant>,
    ) -> Result<Value, NodeProblem> {
        let full = broadcast_shape(a.shape(), b.shape())?;
        let (a, b) = (self.widened(a, full.len())?, self.widened(b, full.len())?);
        let elements = |v: &Value| v.shape().iter().product::<usize>();
        let is_constant = |v: &Value| self.graph.tensor(v.id).data.is_some();
        let leading = match (is_constant(&a), is_constant(&b)) {
            (true, false) => &b,
            (false, true) => &a,
            _ if elements(&b) > elements(&a) => &b,
            _ => &a,
        };
        let axes = leading.layout.axes().unwrap_or_else(|| (0..full.len()).collect());
        let (a, b) = (self.broadcast_operand(&a, &axes)?, self.broadcast_operand(&b, &axes)?);
        let id = self.emit(op, &[a, b], quant)?;
        let shape: Vec<usize> = axes.iter().filter_map(|a| full.get(*a).copied()).collect();
        let id = self.shaped(id, sample(&shape))?;
        Ok(Value { id, layout: Layout::ordered(&full, &axes), dequantized: false })
    }

    /// With axes of size 1 before, up to so many.
    fn widened(&mut self, value: &Value, rank: usize) -> Result<Value, NodeProblem> {
        let missing = rank.saturating_sub(value.layout.rank());
        let shape: Vec<usize> = core::iter::repeat_n(1, missing).chain(value.shape().iter().copied()).collect();
        self.with_shape(value, &shape)
    }

    /// The operand in this order; constants are turned at import.
    fn broadcast_operand(&mut self, value: &Value, axes: &[usize]) -> Result<TensorId, NodeProblem> {
        let shape: Vec<usize> = axes.iter().filter_map(|a| value.shape().get(*a).copied()).collect();
        // Axes of size 1 before the others say nothing.
        let ones = shape.iter().take_while(|d| **d == 1).count().min(shape.len().saturating_sub(1));
        let tensor = self.graph.tensor(value.id);
        let Some(data) = &tensor.data else { return self.arrange(value, axes, sample(&shape)) };
        let constant = Constant::new(value.shape().to_vec(), data.clone());
        let (name, quant) = (tensor.name.clone(), tensor.quant.clone());
        let turned = constant.permuted(axes);
        self.parameter(&name, &shape[ones..], turned.data, quant)
    }
}

/// Operations on two tensors, element by element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Min,
    Max,
}

impl Binary {
    /// The graph's operation, with a clamp behind it.
    pub(super) fn op(self, activation: Activation) -> Op {
        match self {
            Self::Add => Add { activation }.into(),
            Self::Sub => Sub { activation }.into(),
            Self::Mul => Mul { activation }.into(),
            Self::Div => Div { activation }.into(),
            Self::Min => Minimum { activation }.into(),
            Self::Max => Maximum { activation }.into(),
        }
    }
}

/// The shape that both reach by repeating what has size 1.
pub(super) fn broadcast_shape(a: &[usize], b: &[usize]) -> Result<Vec<usize>, NodeProblem> {
    let rank = a.len().max(b.len());
    let error = || NodeProblem::Broadcast { a: a.to_vec(), b: b.to_vec() };
    if rank > MAX_RANK {
        return Err(error());
    }
    let size = |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |at| shape[at]);
    let joined = |axis: usize| match (size(a, axis), size(b, axis)) {
        (x, y) if x == y => Ok(x),
        (1, n) | (n, 1) => Ok(n),
        _ => Err(error()),
    };
    (0..rank).map(joined).collect()
}
