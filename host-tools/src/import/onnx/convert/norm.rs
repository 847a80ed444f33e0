//! Layer normalisation.

use super::operands::axis;
use super::{Call, Converter, Value};
use crate::graph::Data;
use crate::graph::ops::LayerNorm;
use crate::import::onnx::error::NodeProblem;
use crate::import::onnx::tensor::take;

impl<'m, 'a> Converter<'m, 'a> {
    /// LayerNormalization over the named axis and all behind it.
    pub(super) fn layer_normalization(&mut self, call: &Call<'m, 'a>) -> Result<(), NodeProblem> {
        call.expect_inputs(2..=3)?;
        for i in 1..3 {
            call.refuse_output(i, "a statistic", self.is_read(call.output(i)))?;
        }
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
        self.define(call, 0, value)
    }
}
