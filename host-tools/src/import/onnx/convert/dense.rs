//! Products with a constant matrix.

use super::conv::Parameters;
use super::quantized::Target;
use super::quantized_constants::{has_one_scale, symmetric};
use super::{Call, Converter, Value};
use crate::graph::ops::{Dense, MatMul};
use crate::graph::{Activation, TensorId};
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
    /// Float or quantised, as the nodes around it say.
    pub(super) fn product(&mut self, call: &Call<'m, 'a>, x: &Value, matrix: &Matrix<'_>) -> Result<(), NodeProblem> {
        if let Some(target) = self.target_for(call, x, &matrix.weights)? {
            let value = self.dense(x, matrix, Some(&target))?;
            return self.define_target(target, value);
        }
        if x.dequantized
            && matrix.bias.is_none()
            && has_one_scale(&matrix.weights)
            && let Some(target) = self.target(call)?
        {
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
        let shape = [units, features];
        let id = if target.is_some() && symmetric(&weights, 0).is_none() {
            // The layer's weights have zero point 0; a product of two tensors takes any.
            let input = self.shaped(x.id, &[rows, features])?;
            let weights = self.quantized_parameter(matrix.names[0], &weights, &shape)?;
            let op = MatMul { transpose_a: false, transpose_b: true, activation };
            self.emit(op, &[input, weights], target.map(|t| t.quant.clone()))?
        } else {
            let flat = if rows == 1 { vec![features] } else { vec![rows, features] };
            let input = self.shaped(x.id, &flat)?;
            let bias = matrix.bias.as_ref();
            let parameters =
                Parameters { names: matrix.names, weights: &weights, shape: &shape, bias, depthwise: false };
            let (weights, bias) = self.layer_parameters(input, &parameters, target)?;
            let use_bias = bias.is_some();
            let inputs: Vec<TensorId> = [input, weights].into_iter().chain(bias).collect();
            self.emit(Dense { units, use_bias, activation }, &inputs, target.map(|t| t.quant.clone()))?
        };
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
