//! Fully connected layers, means, and operations on single values.

use super::constants::Kernel;
use super::window::options;
use super::{Converter, Value, fused, sample};
use crate::graph::ops::{Activation, Add, Dense, Dequantize, GlobalAveragePool2d, Quantize, Softmax};
use crate::graph::{DType, TensorId, elements, shape_text};
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
        if rows != 1 {
            return Err(OpProblem::Feature { what: format!("a fully connected layer over {rows} rows") });
        }
        let x = self.reshaped(&input, &[features])?;
        let mut inputs = vec![x, kernel];
        inputs.extend(bias);
        let node = Dense { units, use_bias: bias.is_some(), activation };
        self.emit(op, node, &inputs, &[units], &full)?;
        Ok(())
    }

    /// MEAN over height and width.
    pub(super) fn mean(&mut self, op: &Operator<'a>) -> Result<(), OpProblem> {
        self.expect_inputs(op, 2..=2)?;
        let keep = op.options.map_or(Ok(false), |o| o.bool(option::reduce::KEEP_DIMS))?;
        let input = self.value(op, 0, "input")?;
        let mut axes = axes(&self.integers(op, 1, "axes")?, input.full.len())?;
        axes.sort_unstable();
        axes.dedup();
        let ([1, _, _, c], [1, 2]) = (input.full.as_slice(), axes.as_slice()) else {
            let what = format!("a mean of shape {} over axes {axes:?}", shape_text(&input.full));
            return Err(OpProblem::Feature { what });
        };
        let full = if keep { vec![1, 1, 1, *c] } else { vec![1, *c] };
        self.emit(op, GlobalAveragePool2d {}, &[input.id], &[*c], &full)?;
        Ok(())
    }

    pub(super) fn add(&mut self, op: &Operator<'a>) -> Result<(), OpProblem> {
        self.expect_inputs(op, 2..=2)?;
        let activation = op.options.map_or(Ok(0), |o| o.u8(option::add::ACTIVATION))?;
        let (a, b) = (self.value(op, 0, "input 0")?, self.value(op, 1, "input 1")?);
        if a.full != b.full {
            let expected = format!("{} as input 0 (broadcasting is not supported)", shape_text(&a.full));
            return Err(OpProblem::Shape { role: "input 1", found: b.full, expected });
        }
        self.check_same_type(&a, &b, "input 1")?;
        let node = Add { activation: fused(activation)? };
        self.emit(op, node, &[a.id, b.id], sample(&a.full), &a.full)?;
        Ok(())
    }

    pub(super) fn softmax(&mut self, op: &Operator<'a>) -> Result<(), OpProblem> {
        self.expect_inputs(op, 1..=1)?;
        let beta = options(op)?.f32(option::softmax::BETA)?;
        if beta != 1.0 {
            return Err(OpProblem::Option { option: "beta", found: beta.to_string(), expected: "1" });
        }
        let input = self.value(op, 0, "input")?;
        self.check_output_quant(op, &input, [(1.0 / 256.0, -128), (1.0 / 32768.0, 0)])?;
        self.emit(op, Softmax::default(), &[input.id], sample(&input.full), &input.full)?;
        Ok(())
    }

    pub(super) fn activation(&mut self, op: &Operator<'a>, function: Activation) -> Result<(), OpProblem> {
        self.expect_inputs(op, 1..=1)?;
        let input = self.value(op, 0, "input")?;
        match function {
            Activation::Sigmoid => self.check_output_quant(op, &input, [(1.0 / 256.0, -128), (1.0 / 32768.0, 0)])?,
            Activation::Tanh => self.check_output_quant(op, &input, [(1.0 / 128.0, 0), (1.0 / 32768.0, 0)])?,
            _ => (),
        }
        self.emit(op, function, &[input.id], sample(&input.full), &input.full)?;
        Ok(())
    }

    pub(super) fn quantize(&mut self, op: &Operator<'a>) -> Result<(), OpProblem> {
        self.expect_inputs(op, 1..=1)?;
        let input = self.value(op, 0, "input")?;
        let output = self.emit(op, Quantize {}, &[input.id], sample(&input.full), &input.full)?;
        self.expect_type(output, |t| t != DType::F32, "an integer type")
    }

    /// DEQUANTIZE of an activation; [`Converter::fold`] does that of constants.
    pub(super) fn dequantize(&mut self, op: &Operator<'a>) -> Result<(), OpProblem> {
        self.expect_inputs(op, 1..=1)?;
        let input = self.value(op, 0, "input")?;
        self.expect_type(input.id, |t| t != DType::F32, "an integer type")?;
        let output = self.emit(op, Dequantize {}, &[input.id], sample(&input.full), &input.full)?;
        self.expect_type(output, |t| t == DType::F32, "f32")
    }

    fn expect_type(&self, id: TensorId, fits: fn(DType) -> bool, expected: &'static str) -> Result<(), OpProblem> {
        let tensor = self.graph.tensor(id);
        if fits(tensor.dtype) {
            return Ok(());
        }
        Err(OpProblem::ActivationType { tensor: tensor.name.clone(), found: tensor.dtype, expected })
    }

    fn check_same_type(&self, a: &Value, b: &Value, role: &'static str) -> Result<(), OpProblem> {
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
    fn check_output_quant(&self, op: &Operator<'a>, input: &Value, fixed: [(f32, i64); 2]) -> Result<(), OpProblem> {
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
