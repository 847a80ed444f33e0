//! Products of two tensors: dense layers where one of them is constant, else matrix products.

use super::dense::Matrix;
use super::elementwise::{Binary, broadcast_shape};
use super::{Call, Converter, Made, Value};
use crate::graph::ops::MatMul;
use crate::graph::{Activation, Data, Quant, TensorId};
use crate::import::onnx::error::NodeProblem;
use crate::import::onnx::layout::Layout;
use crate::import::onnx::tensor::Constant;
use std::rc::Rc;

/// The last two axes exchanged.
fn turned(rank: usize) -> Vec<usize> {
    let mut axes: Vec<usize> = (0..rank).collect();
    if let [.., a, b] = axes.as_mut_slice() {
        core::mem::swap(a, b);
    }
    axes
}

impl<'m, 'a> Converter<'m, 'a> {
    /// MatMul.
    pub(super) fn matmul(&mut self, call: &Call<'m, 'a>) -> Result<(), NodeProblem> {
        call.expect_inputs(2..=2)?;
        match (self.made(call.input(0), "input A")?, self.made(call.input(1), "input B")?) {
            (Some(_), Some(Made::Constant(weights))) if weights.shape.len() == 2 => {
                let x = self.raw(call, 0, "input A")?;
                let matrix = Matrix { names: [call.input(1), ""], weights: weights.permuted(&[1, 0]), bias: None };
                self.product(call, &x, &matrix)
            }
            // (A B)' = B' A'
            (Some(Made::Constant(weights)), Some(Made::Value(x)))
                if weights.shape.len() == 2 && x.layout.rank() == 2 && !x.dequantized =>
            {
                let x = Value { layout: x.layout.transposed(&[1, 0]), ..x };
                let x = self.floats(&x, "input B")?;
                let matrix = Matrix { names: [call.input(0), ""], weights: weights.as_ref().clone(), bias: None };
                let value = self.dense(&x, &matrix, None)?;
                self.define(call, 0, Value { layout: value.layout.transposed(&[1, 0]), ..value })
            }
            _ => {
                let (a, b) = (self.operand(call, 0)?, self.operand(call, 1)?);
                if a.dequantized
                    && b.dequantized
                    && let Some(target) = self.target(call)?
                {
                    let value = self.multiplied(&a, &b, Some(target.quant.clone()), target.activation)?;
                    return self.define_target(target, value);
                }
                let (a, b) = (self.floats(&a, "input A")?, self.floats(&b, "input B")?);
                let value = self.multiplied(&a, &b, None, Activation::Linear)?;
                self.define(call, 0, value)
            }
        }
    }

    /// Gemm: `alpha * A' * B' + beta * C`.
    pub(super) fn gemm(&mut self, call: &Call<'m, 'a>) -> Result<(), NodeProblem> {
        call.expect_inputs(2..=3)?;
        let (alpha, beta) = (call.float("alpha", 1.0)?, call.float("beta", 1.0)?);
        let (turn_a, turn_b) = (call.flag("transA")?, call.flag("transB")?);
        let x = self.raw(call, 0, "input A")?;
        if x.layout.rank() != 2 {
            let expected = "two axes".into();
            return Err(NodeProblem::Shape { role: "input A", found: x.shape().to_vec(), expected });
        }
        let x = if turn_a { Value { layout: x.layout.transposed(&[1, 0]), ..x } } else { x };
        if let Some(Made::Constant(weights)) = self.made(call.input(1), "input B")?
            && weights.shape.len() == 2
        {
            // Ours are [out, in].
            let weights = if turn_b { weights.as_ref().clone() } else { weights.permuted(&[1, 0]) };
            let weights = if alpha == 1.0 { weights } else { scaled(&weights, alpha)? };
            let units = weights.shape[0];
            if let Some(bias) = self.bias_for(call, units, beta)? {
                return self.product(call, &x, &Matrix { names: [call.input(1), call.input(2)], weights, bias });
            }
            let x = self.floats(&x, "input A")?;
            let value = self.dense(&x, &Matrix { names: [call.input(1), ""], weights, bias: None }, None)?;
            let value = self.plus_scaled(call, value, beta)?;
            return self.define(call, 0, value);
        }
        let (x, b) = (self.floats(&x, "input A")?, self.real(call, 1, "input B")?);
        let b = if turn_b { Value { layout: b.layout.transposed(&turned(b.layout.rank())), ..b } } else { b };
        let value = self.multiplied(&x, &b, None, Activation::Linear)?;
        let value = self.times(value, alpha)?;
        let value = if call.input(2).is_empty() { value } else { self.plus_scaled(call, value, beta)? };
        self.define(call, 0, value)
    }

    /// Gemm's C as the bias of a layer of so many units; `None` if it is no such bias.
    #[allow(clippy::option_option)] // no bias, and no bias of a layer
    fn bias_for(
        &mut self,
        call: &Call<'m, 'a>,
        units: usize,
        beta: f32,
    ) -> Result<Option<Option<Rc<Constant>>>, NodeProblem> {
        let bias = match self.made(call.input(2), "input C")? {
            None => return Ok(Some(None)),
            Some(Made::Constant(bias)) => bias,
            Some(_) => return Ok(None),
        };
        let bias = if beta == 1.0 { bias } else { Rc::new(scaled(&bias, beta)?) };
        if matches!(bias.shape.as_slice(), [n] | [1, n] if *n == units) {
            return Ok(Some(Some(bias)));
        }
        match bias.reals().as_deref() {
            Some([one]) => {
                self.budget.take(units.saturating_mul(4))?;
                Ok(Some(Some(Rc::new(Constant::new([units], Data::F32(vec![*one; units]))))))
            }
            _ => Ok(None),
        }
    }

    /// A value plus `beta` times input C.
    fn plus_scaled(&mut self, call: &Call<'m, 'a>, value: Value, beta: f32) -> Result<Value, NodeProblem> {
        let c = self.real(call, 2, "input C")?;
        let c = self.times(c, beta)?;
        self.broadcast(Binary::Add.op(Activation::Linear), &value, &c, None)
    }

    fn times(&mut self, value: Value, factor: f32) -> Result<Value, NodeProblem> {
        if factor == 1.0 {
            return Ok(value);
        }
        let factor = self.parameter("factor", &[1], Data::F32(vec![factor]), None)?;
        let factor = Value { id: factor, layout: Layout::plain(&[1]), dequantized: false };
        self.broadcast(Binary::Mul.op(Activation::Linear), &value, &factor, None)
    }

    /// The matrix product of two values; vectors count as a row on the left and a column on the right.
    pub(super) fn multiplied(
        &mut self,
        a: &Value,
        b: &Value,
        quant: Option<Quant>,
        activation: Activation,
    ) -> Result<Value, NodeProblem> {
        let (vector_a, vector_b) = (a.layout.rank() == 1, b.layout.rank() == 1);
        let a = if vector_a { self.with_shape(a, &[1, a.shape()[0]])? } else { a.clone() };
        let b = if vector_b { self.with_shape(b, &[b.shape()[0], 1])? } else { b.clone() };
        let (shape_a, shape_b) = (a.shape().to_vec(), b.shape().to_vec());
        let ([outer_a @ .., rows, inner], [outer_b @ .., inner_b, columns]) = (&shape_a[..], &shape_b[..]) else {
            return Err(NodeProblem::Broadcast { a: shape_a.clone(), b: shape_b.clone() });
        };
        let outer = broadcast_shape(outer_a, outer_b)?;
        let count = |s: &[usize]| s.iter().product::<usize>();
        let (batch_a, batch_b) = (count(outer_a), count(outer_b));
        if inner != inner_b || !(batch_a == batch_b || batch_a == 1 || batch_b == 1) {
            return Err(NodeProblem::Broadcast { a: shape_a.clone(), b: shape_b.clone() });
        }
        let (a_id, transpose_a) = self.matrices(&a, batch_a)?;
        let (b_id, transpose_b) = self.matrices(&b, batch_b)?;
        let id = self.emit(MatMul { transpose_a, transpose_b, activation }, &[a_id, b_id], quant)?;
        let mut full = [outer.as_slice(), &[*rows, *columns]].concat();
        if vector_b {
            full.pop();
        }
        if vector_a {
            full.remove(outer.len());
        }
        let shape = if full.is_empty() { vec![1] } else { full.clone() };
        let id = self.shaped(id, super::arrange::sample(&shape))?;
        Ok(Value { id, layout: Layout::plain(&full), dequantized: false })
    }

    /// The value as `[count, rows, columns]` (without a count of 1), and whether rows and columns are
    /// exchanged in memory.
    fn matrices(&mut self, x: &Value, count: usize) -> Result<(TensorId, bool), NodeProblem> {
        let rank = x.layout.rank();
        let plain: Vec<usize> = (0..rank).collect();
        let turned = turned(rank);
        let turn = x.layout.moves(&plain).is_some() && x.layout.moves(&turned).is_none();
        let axes = if turn { turned } else { plain };
        let mut shape: Vec<usize> = axes.iter().skip(rank - 2).map(|a| x.shape()[*a]).collect();
        if count != 1 {
            shape.insert(0, count);
        }
        Ok((self.arrange(x, &axes, &shape)?, turn))
    }
}

/// The constant times a factor.
fn scaled(constant: &Constant, factor: f32) -> Result<Constant, NodeProblem> {
    let expected = "float";
    let found = || constant.data.dtype().name().into();
    let mut reals = constant.reals().ok_or_else(|| NodeProblem::Type { role: "input", found: found(), expected })?;
    reals.iter_mut().for_each(|v| *v *= factor);
    Ok(Constant::new(constant.shape.clone(), Data::F32(reals)))
}
