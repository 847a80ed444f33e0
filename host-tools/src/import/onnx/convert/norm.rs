//! Layer normalisation.

use super::elementwise::Binary;
use super::operands::axis;
use super::{Call, Converter, Value};
use crate::graph::ops::{LayerNorm, Reduction};
use crate::graph::{Activation, Data};
use crate::import::onnx::error::NodeProblem;
use crate::import::onnx::layout::Layout;
use crate::import::onnx::tensor::take;

impl<'m, 'a> Converter<'m, 'a> {
    /// LayerNormalization over the named axis and all behind it.
    pub(super) fn layer_normalization(&mut self, call: &Call<'m, 'a>) -> Result<(), NodeProblem> {
        call.expect_inputs(2..=3)?;
        let epsilon = call.float("epsilon", 1e-5)?;
        let x = self.real(call, 0, "input")?;
        let from = axis(call.int("axis", -1)?, x.layout.rank())?;
        let full = x.shape().to_vec();
        let len: usize = full.iter().skip(from).product();
        // As one axis; scale and bias follow the order in which its values lie.
        let merged: Vec<usize> = full.iter().take(from).copied().chain([len]).collect();
        let merged = self.with_shape(&x, &merged)?;
        let (merged, order) = match merged.layout.last_axis() {
            Some(order) => (merged, order),
            None => (self.plain(&merged)?, (0..len as u32).collect()),
        };
        let rows: usize = full.iter().take(from).product();
        let shape = if rows == 1 { vec![len] } else { vec![rows, len] };
        let mut inputs = vec![self.shaped(merged.id, &shape)?];
        for (i, role) in [(1, "scale"), (2, "bias")] {
            let Some(constant) = self.optional_constant(call, i, role)? else { continue };
            let wrong = || NodeProblem::Shape { role, found: constant.shape.clone(), expected: len.to_string() };
            let values = self.expanded(&constant, &full[from..])?.reals().ok_or_else(wrong)?;
            let values = take(&Data::F32(values), &order);
            inputs.push(self.parameter(call.input(i), &[len], values, None)?);
        }
        let use_bias = inputs.len() == 3;
        let id = self.emit(LayerNorm { axes: 1, epsilon, use_bias }, &inputs, None)?;
        let shape = merged.layout.storage();
        let id = self.shaped(id, if shape.is_empty() { &[1] } else { &shape })?;
        let value = self.with_shape(&Value { id, ..merged }, &full)?;
        self.define(call, 0, value)?;
        self.statistics(call, &x, from, epsilon)
    }

    /// Mean and inverse deviation, where somebody reads them.
    fn statistics(&mut self, call: &Call<'m, 'a>, x: &Value, from: usize, epsilon: f32) -> Result<(), NodeProblem> {
        let [reads_mean, reads_deviation] = [1, 2].map(|i| self.is_read(call.output(i)));
        if !reads_mean && !reads_deviation {
            return Ok(());
        }
        let axes: Vec<usize> = (from..x.layout.rank()).collect();
        let kept: Vec<usize> = (0..x.layout.rank()).map(|a| if a < from { x.shape()[a] } else { 1 }).collect();
        let mean = self.reduced(x, Reduction::Mean, &axes, &kept)?;
        if reads_deviation {
            let linear = Activation::Linear;
            let distance = self.broadcast(Binary::Sub.op(linear), x, &mean, None)?;
            let squares = self.broadcast(Binary::Mul.op(linear), &distance, &distance, None)?;
            let variance = self.reduced(&squares, Reduction::Mean, &axes, &kept)?;
            let epsilon = self.parameter("epsilon", &[1], Data::F32(vec![epsilon]), None)?;
            let epsilon = Value { id: epsilon, layout: Layout::plain(&[1]), dequantized: false };
            let sum = self.broadcast(Binary::Add.op(linear), &variance, &epsilon, None)?;
            let root = self.emit(Activation::Sqrt, &[sum.id], None)?;
            let id = self.emit(Activation::Reciprocal, &[root], None)?;
            self.define(call, 2, Value { id, ..sum })?;
        }
        if reads_mean { self.define(call, 1, mean) } else { Ok(()) }
    }
}
