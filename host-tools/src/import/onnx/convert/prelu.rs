//! PRelu, with slopes of any shape.

use super::elementwise::Binary;
use super::quantized_constants::has_one_scale;
use super::{Call, Converter, Value};
use crate::graph::ops::PRelu;
use crate::graph::{Activation, Data};
use crate::import::onnx::error::NodeProblem;
use crate::import::onnx::layout::Layout;
use crate::import::onnx::tensor::Constant;
use std::rc::Rc;

impl<'m, 'a> Converter<'m, 'a> {
    /// PRelu: one slope for all, one for each channel, or one for each value.
    pub(super) fn prelu(&mut self, call: &Call<'m, 'a>) -> Result<(), NodeProblem> {
        call.expect_inputs(2..=2)?;
        let x = self.raw(call, 0, "input")?;
        let slope = self.constant(call, 1, "slope")?;
        let wrong = || NodeProblem::Type { role: "slope", found: slope.data.dtype().name().into(), expected: "float" };
        let slopes = slope.reals().ok_or_else(wrong)?;
        let mut slope = slope;
        // Before operator set 7 a list of slopes is one for each channel.
        if call.opset < 7 && slope.shape.len() == 1 && x.layout.rank() > 1 {
            let shape: Vec<usize> =
                [slope.len()].into_iter().chain(core::iter::repeat_n(1, x.layout.rank() - 2)).collect();
            slope = Rc::new(slope.reshaped(&shape).ok_or(NodeProblem::Overflow)?);
        }
        let each = self.one_for_each_channel(&x, &slope);
        if x.dequantized
            && (slopes.len() == 1 || (each && has_one_scale(&slope)))
            && let Some(target) = self.target(call)?.filter(|t| t.activation == Activation::Linear)
        {
            let quant = Some(target.quant.clone());
            let id = if let [alpha] = *slopes {
                self.emit(Activation::LeakyRelu { alpha }, &[x.id], quant)?
            } else {
                let slopes = self.quantized_parameter(call.input(1), &slope, &[slopes.len()])?;
                self.emit(PRelu {}, &[x.id, slopes], quant)?
            };
            return self.define_target(target, Value { id, ..x });
        }
        let x = self.floats(&x, "input")?;
        if let [alpha] = *slopes {
            return self.unary(call, &x, Activation::LeakyRelu { alpha });
        }
        if each {
            let slopes = self.parameter(call.input(1), &[slopes.len()], Data::F32(slopes), None)?;
            let id = self.emit(PRelu {}, &[x.id, slopes], None)?;
            return self.define(call, 0, Value { id, ..x });
        }
        // max(x, 0) + slope * min(x, 0)
        let slope = self.constant_value(call.input(1), &slope, "slope")?;
        let zero = self.parameter("zero", &[1], Data::F32(vec![0.0]), None)?;
        let zero = Value { id: zero, layout: Layout::plain(&[1]), dequantized: false };
        let positive = Value { id: self.emit(Activation::Relu, &[x.id], None)?, ..x.clone() };
        let negative = self.broadcast(Binary::Min.op(Activation::Linear), &x, &zero, None)?;
        let negative = self.broadcast(Binary::Mul.op(Activation::Linear), &negative, &slope, None)?;
        let value = self.broadcast(Binary::Add.op(Activation::Linear), &positive, &negative, None)?;
        self.define(call, 0, value)
    }

    /// Whether the slopes are one for each channel, and the channels lie innermost.
    fn one_for_each_channel(&self, x: &Value, slope: &Constant) -> bool {
        let rank = x.layout.rank();
        let Some(front) = rank.checked_sub(slope.shape.len()) else { return false };
        let along: Vec<usize> = (0..slope.shape.len()).filter(|a| slope.shape[*a] != 1).map(|a| a + front).collect();
        matches!(along[..], [at] if Some(at) == x.layout.innermost())
            && x.layout.axes().is_some()
            && self.graph.tensor(x.id).shape.last() == Some(&slope.len())
    }
}
