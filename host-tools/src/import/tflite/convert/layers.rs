//! Fully connected layers and reductions, and checks of scales.

use super::constants::Kernel;
use super::window::options;
use super::{Converter, Value, fused, sample};
use crate::graph::ops::{Dense, GlobalAveragePool2d, Reduce, Reduction};
use crate::graph::{DType, elements, shape_text};
use crate::import::tflite::error::OpProblem;
use crate::import::tflite::model::Operator;
use crate::import::tflite::schema::option;

impl<'a> Converter<'_, 'a> {
    /// FULLY_CONNECTED: the last axes together are the features, whatever is before them are rows.
    pub(super) fn dense(&mut self, op: &Operator<'a>) -> Result<(), OpProblem> {
        self.expect_inputs(op, 2..=3)?;
        let options = options(op)?;
        let input = self.value(op, 0, "input")?;
        let format = options.u8(option::dense::WEIGHTS_FORMAT)?;
        if format != 0 {
            let (option, found) = ("weights_format", format.to_string());
            return Err(OpProblem::Option { option, found, expected: "0 (default)" });
        }
        let activation = fused(options.u8(option::dense::ACTIVATION)?)?;
        let (_, weights) = self.constant(op, 1, "kernel")?;
        let [units, features] = match *weights.shape {
            [units, features] if units > 0 && features > 0 => [units, features],
            _ => {
                let expected = "outputs x inputs".into();
                return Err(OpProblem::Shape { role: "kernel", found: weights.shape, expected });
            }
        };
        let total = elements(&input.full).ok_or(OpProblem::Overflow)?;
        if total % features != 0 {
            let expected = format!("a multiple of {features} values, as the kernel {}", shape_text(&weights.shape));
            return Err(OpProblem::Shape { role: "input", found: input.full, expected });
        }
        let rows = total / features;
        let full = match input.full.split_last() {
            Some((last, before)) if options.bool(option::dense::KEEP_NUM_DIMS)? => {
                if *last != features {
                    let expected = format!("{features} values along its last axis");
                    return Err(OpProblem::Shape { role: "input", found: input.full, expected });
                }
                [before, &[units]].concat()
            }
            _ => vec![rows, units],
        };
        let dtype = self.dtype(&input);
        let shape = [units, features];
        let kernel = self.kernel(op, dtype, &Kernel { shape: &shape, file_axis: 0, axis: 0, channels: units })?;
        let bias = self.bias(op, dtype, units)?;
        let x = match input.full.split_last() {
            // Rows stay where they are if they end where the features do.
            Some((last, _)) if *last == features => input.id,
            _ if rows == 1 => self.reshaped(&input, &[features])?,
            _ => self.reshaped(&input, &[rows, features])?,
        };
        let mut inputs = vec![x, kernel];
        inputs.extend(bias);
        let node = Dense { units, use_bias: bias.is_some(), activation };
        let before = &self.graph.tensor(x).shape;
        let made = [before.get(..before.len().saturating_sub(1)).unwrap_or_default(), &[units]].concat();
        self.emit(op, node, &inputs, &made, &full)?;
        Ok(())
    }

    /// MEAN, SUM and REDUCE_MAX over any axes.
    pub(super) fn reduce(&mut self, op: &Operator<'a>, reduction: Reduction) -> Result<(), OpProblem> {
        self.expect_inputs(op, 2..=2)?;
        let keepdims = op.options.map_or(Ok(false), |o| o.bool(option::reduce::KEEP_DIMS))?;
        let input = self.value(op, 0, "input")?;
        let mut axes = axes(&self.integers(op, 1, "axes")?, input.full.len())?;
        axes.sort_unstable();
        axes.dedup();
        let kept = |(axis, size): (usize, &usize)| match (axes.contains(&axis), keepdims) {
            (false, _) => Some(*size),
            (true, true) => Some(1),
            (true, false) => None,
        };
        let full: Vec<usize> = input.full.iter().enumerate().filter_map(kept).collect();
        if let ([1, _, _, c], [1, 2], Reduction::Mean) = (input.full.as_slice(), axes.as_slice(), reduction) {
            self.emit(op, GlobalAveragePool2d {}, &[input.id], &[*c], &full)?;
            return Ok(());
        }
        // The batch axis has one value: nothing happens to it.
        let skip = input.full.len() - sample(&input.full).len();
        let axes: Vec<usize> = axes.into_iter().filter(|axis| *axis >= skip).map(|axis| axis - skip).collect();
        if axes.is_empty() {
            return Err(OpProblem::Feature { what: "a reduction over the batch axis alone".into() });
        }
        if reduction == Reduction::Max {
            let output = self.output_index(op)?;
            self.check_same_quant(&input, output)?;
        }
        let shape = sample(&input.full).iter().enumerate();
        let made: Vec<usize> = shape
            .filter_map(|(axis, size)| match (axes.contains(&axis), keepdims) {
                (false, _) => Some(*size),
                (true, true) => Some(1),
                (true, false) => None,
            })
            .collect();
        self.emit(op, Reduce { reduction, axes, keepdims }, &[input.id], &made, &full)?;
        Ok(())
    }

    pub(super) fn check_same_type(&self, a: &Value, b: &Value, role: &'static str) -> Result<(), OpProblem> {
        let (a, b) = (self.dtype(a), self.dtype(b));
        if a == b { Ok(()) } else { Err(OpProblem::Types { role, found: b, expected: a }) }
    }

    /// Operations that copy or compare integers need the same scale on both sides, as TFLite does
    /// (to a millionth).
    pub(super) fn check_same_quant(&self, input: &Value, output: usize) -> Result<(), OpProblem> {
        let Some((scale, zero_point)) = self.graph.tensor(input.id).quant.as_ref().and_then(|q| q.single()) else {
            return Ok(());
        };
        let Some(tensor) = self.model.tensors.get(output) else { return Ok(()) };
        let other = (tensor.quant.scales.f32().next(), tensor.quant.zero_points.i64().next().unwrap_or(0));
        match other {
            (Some(s), z) if (s - scale).abs() <= 1e-6 && z == i64::from(zero_point) => Ok(()),
            (None, _) => Ok(()), // the missing scale is reported when the output is made
            (Some(s), z) => {
                Err(OpProblem::QuantDiffers { input: quant_text(scale, zero_point.into()), output: quant_text(s, z) })
            }
        }
    }

    /// Functions with a known range have a fixed output scale: `fixed` for i8 and for i16.
    pub(super) fn check_output_quant(
        &self,
        op: &Operator<'a>,
        input: &Value,
        fixed: [(f32, i64); 2],
    ) -> Result<(), OpProblem> {
        let (scale, zero_point) = match self.dtype(input) {
            DType::I8 => fixed[0],
            DType::I16 => fixed[1],
            _ => return Ok(()),
        };
        let Some(tensor) = self.model.tensors.get(self.output_index(op)?) else { return Ok(()) };
        let Some(found) = tensor.quant.scales.f32().next() else { return Ok(()) };
        let found_zero = tensor.quant.zero_points.i64().next().unwrap_or(0);
        // TFLite's own tolerance: a thousandth of the scale.
        if (found - scale).abs() <= 0.001 * scale && found_zero == zero_point {
            return Ok(());
        }
        Err(OpProblem::OutputQuant { found: quant_text(found, found_zero), expected: quant_text(scale, zero_point) })
    }
}

fn quant_text(scale: f32, zero_point: i64) -> String {
    format!("{scale} and {zero_point}")
}

/// Axes counted from the front; negative ones count from the back.
pub(super) fn axes(found: &[i64], rank: usize) -> Result<Vec<usize>, OpProblem> {
    found.iter().map(|axis| self::axis(*axis, rank)).collect()
}

/// One axis counted from the front.
pub(super) fn axis(found: i64, rank: usize) -> Result<usize, OpProblem> {
    let from_front = if found < 0 { found.checked_add_unsigned(rank as u64) } else { Some(found) };
    let fits = from_front.and_then(|a| usize::try_from(a).ok()).filter(|a| *a < rank);
    fits.ok_or_else(|| OpProblem::Option { option: "axis", found: found.to_string(), expected: "within the shape" })
}
