//! Products with a constant matrix.

use super::conv::Parameters;
use super::quantized::Target;
use super::{Call, Converter, Value};
use crate::graph::ops::{Conv2d, Dense, Op, Padding};
use crate::graph::{Activation, Data, TensorId};
use crate::import::onnx::error::NodeProblem;
use crate::import::onnx::layout::Layout;
use crate::import::onnx::tensor::{Constant, take};
use std::rc::Rc;

/// A constant matrix `[out, in]` with its bias, as the file has it.
pub(super) struct Matrix<'c> {
    pub names: [&'c str; 2],
    pub weights: Constant,
    pub bias: Option<Rc<Constant>>,
}

impl<'m, 'a> Converter<'m, 'a> {
    /// Gemm: `alpha * A' * B' + beta * C`, where `B` is constant.
    pub(super) fn gemm(&mut self, call: &Call<'m, 'a>) -> Result<(), NodeProblem> {
        call.expect_inputs(2..=3)?;
        let (alpha, beta) = (call.float("alpha", 1.0)?, call.float("beta", 1.0)?);
        let x = self.raw(call, 0, "input A")?;
        let weights = self.constant(call, 1, "input B")?;
        if x.layout.rank() != 2 || weights.shape.len() != 2 {
            let expected = "two axes".into();
            return Err(NodeProblem::Shape { role: "input A", found: x.shape().to_vec(), expected });
        }
        let x = if call.flag("transA")? { Value { layout: x.layout.transposed(&[1, 0]), ..x } } else { x };
        // Ours are [out, in].
        let mut weights = if call.flag("transB")? { weights.as_ref().clone() } else { weights.permuted(&[1, 0]) };
        if alpha != 1.0 {
            weights = scaled(&weights, alpha)?;
        }
        let units = weights.shape[0];
        let mut bias = self.optional_constant(call, 2, "input C")?;
        if let Some(found) = bias.as_mut() {
            let per_unit = matches!(found.shape.as_slice(), [n] | [1, n] if *n == units);
            if beta != 1.0 {
                *found = Rc::new(scaled(found, beta)?);
            }
            if !per_unit {
                if found.len() != 1 {
                    let what = format!("a bias of shape {}", crate::graph::shape_text(&found.shape));
                    return Err(NodeProblem::Feature { what });
                }
                let reals = found.reals().ok_or(NodeProblem::Overflow)?;
                *found = Rc::new(Constant::new([units], Data::F32(vec![reals[0]; units])));
            }
        }
        let matrix = Matrix { names: [call.input(1), call.input(2)], weights, bias };
        self.product(call, &x, &matrix)
    }

    /// MatMul with a constant on the right.
    pub(super) fn matmul(&mut self, call: &Call<'m, 'a>) -> Result<(), NodeProblem> {
        call.expect_inputs(2..=2)?;
        let x = self.raw(call, 0, "input A")?;
        let weights = self.constant(call, 1, "input B")?;
        if weights.shape.len() != 2 {
            let expected = "two axes".into();
            return Err(NodeProblem::Shape { role: "input B", found: weights.shape.clone(), expected });
        }
        let matrix = Matrix { names: [call.input(1), ""], weights: weights.permuted(&[1, 0]), bias: None };
        self.product(call, &x, &matrix)
    }

    /// Float or quantised, as the nodes around it say.
    fn product(&mut self, call: &Call<'m, 'a>, x: &Value, matrix: &Matrix<'_>) -> Result<(), NodeProblem> {
        if let Some(target) = self.target_for(call, x, &matrix.weights)? {
            let value = self.dense(x, matrix, Some(&target))?;
            return self.define_target(target, value);
        }
        let x = self.floats(x, "input")?;
        let value = self.dense(&x, matrix, None)?;
        self.define(call, 0, value)
    }

    /// The rows of `x` times the matrix.
    pub(super) fn dense(
        &mut self,
        x: &Value,
        matrix: &Matrix<'_>,
        target: Option<&Target<'a>>,
    ) -> Result<Value, NodeProblem> {
        let (units, features) = (matrix.weights.shape[0], matrix.weights.shape[1]);
        if x.shape().last() != Some(&features) {
            let expected = format!("{features} values along its last axis, as the matrix");
            return Err(NodeProblem::Shape { role: "input", found: x.shape().to_vec(), expected });
        }
        // The weights follow the order in which the features lie.
        let (x, weights) = match x.layout.last_axis() {
            Some(order) if order.iter().copied().ne(0..features as u32) => {
                (x.clone(), columns(&matrix.weights, &order))
            }
            Some(_) => (x.clone(), matrix.weights.clone()),
            None => (self.plain(x)?, matrix.weights.clone()),
        };
        let total: usize = x.shape().iter().product();
        let rows = total / features.max(1);
        let activation = target.map_or(Activation::Linear, |t| t.activation);
        let (shape, flat): (Vec<usize>, Vec<usize>) = match rows {
            1 => (vec![units, features], vec![features]),
            // Rows are the pixels of an image one high.
            rows => (vec![units, features, 1, 1], vec![1, rows, features]),
        };
        let input = self.shaped(x.id, &flat)?;
        let bias = matrix.bias.as_ref();
        let parameters = Parameters { names: matrix.names, weights: &weights, shape: &shape, bias, depthwise: false };
        let (weights, bias) = self.layer_parameters(input, &parameters, target)?;
        let use_bias = bias.is_some();
        let op: Op = if rows == 1 {
            Dense { units, use_bias, activation }.into()
        } else {
            let (padding, groups) = (Padding::Valid, 1);
            let (kernel, strides, dilation) = ([1, 1], [1, 1], [1, 1]);
            Conv2d { filters: units, kernel, strides, padding, dilation, groups, use_bias, activation }.into()
        };
        let inputs: Vec<TensorId> = [input, weights].into_iter().chain(bias).collect();
        let id = self.emit(op, &inputs, target.map(|t| t.quant.clone()))?;
        let layout: Layout = x.layout.with_last(units);
        let shape = layout.storage();
        let shape = if shape.is_empty() { vec![1] } else { shape };
        let id = self.shaped(id, &shape)?;
        Ok(Value { id, layout, dequantized: false })
    }
}

/// A matrix `[out, in]` with its columns in another order.
fn columns(matrix: &Constant, order: &[u32]) -> Constant {
    let (units, features) = (matrix.shape[0] as u32, matrix.shape[1] as u32);
    let index: Vec<u32> = (0..units).flat_map(|u| order.iter().map(move |c| u * features + c)).collect();
    Constant { data: take(&matrix.data, &index), ..matrix.clone() }
}

/// The constant times a factor; quantised ones keep their integers.
fn scaled(constant: &Constant, factor: f32) -> Result<Constant, NodeProblem> {
    let expected = "float";
    let found = || constant.data.dtype().name().into();
    let mut reals = constant.reals().ok_or_else(|| NodeProblem::Type { role: "input", found: found(), expected })?;
    reals.iter_mut().for_each(|v| *v *= factor);
    Ok(Constant::new(constant.shape.clone(), Data::F32(reals)))
}
