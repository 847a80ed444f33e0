//! Pools, in one and two dimensions.

use super::conv::{Geometry, geometry, image_shape, is_quantized, none_if_zero, pair};
use super::quantized::Target;
use super::{Call, Converter, Value};
use crate::graph::ops::{
    AveragePool2d, DepthwiseConv2d, GlobalAveragePool2d, GlobalMaxPool2d, MaxPool2d, Op, Padding, Window,
};
use crate::graph::{Activation, Data, OpError, Quant, TensorId};
use crate::import::onnx::error::NodeProblem;
use crate::import::onnx::layout::Layout;

/// What a pool makes of its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PoolKind {
    Max,
    Average,
}

impl<'m, 'a> Converter<'m, 'a> {
    /// MaxPool and AveragePool.
    pub(super) fn pool(&mut self, call: &Call<'m, 'a>, kind: PoolKind) -> Result<(), NodeProblem> {
        call.expect_inputs(1..=1)?;
        call.refuse_output(1, "a pool's indices", self.is_read(call.output(1)))?;
        let x = self.raw(call, 0, "input")?;
        if kind == PoolKind::Average {
            // Integers keep their scale here; a mean with a scale of its own is one of floats.
            let target = if is_quantized(self, &x) { self.target(call)? } else { None };
            let quant = self.quant(&x);
            return self.average_pool(call, &x, target.filter(|t| Some(&t.quant) == quant.as_ref()));
        }
        let (kernel, image, _, g) = self.window(call, &x)?;
        let dilation = Some(g.dilation).filter(|dilation| *dilation != [1, 1]);
        let op = MaxPool2d { dilation, ..MaxPool2d::new(kernel).strides(g.strides).padding(g.padding) };
        let quant = self.quant(&x);
        let id = self.emit(op, &[image], quant)?;
        let value = self.image_value(id, x.layout.rank())?;
        self.define(call, 0, Value { dequantized: x.dequantized, ..value })
    }

    /// The window's size, the input as an image, the padding that the file names, and the geometry with
    /// what `ceil_mode` adds.
    fn window(
        &mut self,
        call: &Call<'m, 'a>,
        x: &Value,
    ) -> Result<([usize; 2], TensorId, Padding, Geometry), NodeProblem> {
        let rank = x.layout.rank();
        let axes = rank.saturating_sub(2);
        if !(3..=4).contains(&rank) {
            return Err(NodeProblem::Feature { what: format!("a pool over {axes} axes") });
        }
        if !call.has("kernel_shape") {
            return Err(NodeProblem::Missing { role: "attribute kernel_shape" });
        }
        let kernel = pair(&call.sizes("kernel_shape", axes)?)?;
        let image = self.image(x, "input")?;
        let [height, width, _] = image_shape(&self.graph.tensor(image).shape);
        let mut g = geometry(call, kernel, [height, width], axes)?;
        let whole = g.padding;
        if call.flag("ceil_mode")? {
            g.padding = rounded_up(g, kernel, [height, width])?;
        }
        Ok((kernel, image, whole, g))
    }

    /// The mean over windows, quantised as the target says.
    pub(super) fn average_pool(
        &mut self,
        call: &Call<'m, 'a>,
        x: &Value,
        target: Option<Target<'a>>,
    ) -> Result<(), NodeProblem> {
        let rank = x.layout.rank();
        let quant = target.as_ref().map(|t| t.quant.clone()).filter(|q| Some(q) == self.quant(x).as_ref());
        let clamp = target.as_ref().map_or(Activation::Linear, |t| t.activation);
        let (kernel, image, whole, g) = self.window(call, x)?;
        let counted = call.flag("count_include_pad")? && whole != Padding::Valid;
        let plain = g.dilation == [1, 1] && !counted;
        let op = AveragePool2d::new(kernel).strides(g.strides).padding(g.padding);
        if let (true, Some(quant), Some(target)) = (plain, quant, &target) {
            let id = self.emit(op.activation(clamp), &[image], Some(quant))?;
            let value = self.image_value(id, rank)?;
            return self.define_target(target.clone(), value);
        }
        let x = self.floats(x, "input")?;
        let image = self.image(&x, "input")?;
        let id = if plain {
            self.emit(op, &[image], None)?
        } else {
            if g.padding != whole || (!counted && g.padding != Padding::Valid) {
                return Err(NodeProblem::Feature { what: "an average pool with this padding and dilation".into() });
            }
            self.average_of_zeros_too(image, kernel, g)?
        };
        let value = self.image_value(id, rank)?;
        self.define_float(call, value, target)
    }

    /// A float result, quantised if there is a target.
    fn define_float(
        &mut self,
        call: &Call<'m, 'a>,
        value: Value,
        target: Option<Target<'a>>,
    ) -> Result<(), NodeProblem> {
        let Some(target) = target else { return self.define(call, 0, value) };
        let value = match target.activation {
            Activation::Linear => value,
            clamp => Value { id: self.emit(clamp, &[value.id], None)?, ..value },
        };
        let value = self.quantize(&value, target.quant.clone())?;
        self.define_target(target, value)
    }

    /// A mean that counts the padding, or has gaps: every tap has the same weight.
    fn average_of_zeros_too(
        &mut self,
        image: TensorId,
        kernel: [usize; 2],
        g: Geometry,
    ) -> Result<TensorId, NodeProblem> {
        let [_, _, channels] = image_shape(&self.graph.tensor(image).shape);
        let taps = kernel[0].checked_mul(kernel[1]).ok_or(OpError::Overflow)?;
        let count = taps.checked_mul(channels).ok_or(OpError::Overflow)?;
        self.budget.take(count.saturating_mul(4))?;
        let weights = Data::F32(vec![1.0 / taps as f32; count]);
        let shape = [kernel[0], kernel[1], channels];
        let weights = self.parameter("mean", &shape, weights, None)?;
        let op =
            DepthwiseConv2d::new(kernel).strides(g.strides).padding(g.padding).dilation(g.dilation).use_bias(false);
        self.emit(op, &[image, weights], None)
    }

    /// GlobalMaxPool and GlobalAveragePool.
    pub(super) fn global_pool(&mut self, call: &Call<'m, 'a>, kind: PoolKind) -> Result<(), NodeProblem> {
        call.expect_inputs(1..=1)?;
        let x = self.raw(call, 0, "input")?;
        if kind == PoolKind::Average {
            let target = if is_quantized(self, &x) { self.target(call)? } else { None };
            return self.global_average(call, &x, target);
        }
        let quant = self.quant(&x);
        let value = self.whole_image(&x, GlobalMaxPool2d {}, quant)?;
        self.define(call, 0, Value { dequantized: x.dequantized, ..value })
    }

    /// The mean of each channel, quantised as the target says.
    pub(super) fn global_average(
        &mut self,
        call: &Call<'m, 'a>,
        x: &Value,
        target: Option<Target<'a>>,
    ) -> Result<(), NodeProblem> {
        if let Some(target) = target.clone().filter(|t| t.activation == Activation::Linear) {
            let value = self.whole_image(x, GlobalAveragePool2d {}, Some(target.quant.clone()))?;
            return self.define_target(target, value);
        }
        let x = self.floats(x, "input")?;
        let value = self.whole_image(&x, GlobalAveragePool2d {}, None)?;
        self.define_float(call, value, target)
    }

    fn whole_image(&mut self, x: &Value, op: impl Into<Op>, quant: Option<Quant>) -> Result<Value, NodeProblem> {
        let rank = x.layout.rank();
        if !(3..=4).contains(&rank) {
            return Err(NodeProblem::Feature { what: format!("a pool over {} axes", rank.saturating_sub(2)) });
        }
        let image = self.image(x, "input")?;
        let id = self.emit(op, &[image], quant)?;
        let channels = self.graph.tensor(id).elements();
        let full: Vec<usize> = [1, channels].into_iter().chain(core::iter::repeat_n(1, rank - 2)).collect();
        Ok(Value { id, layout: Layout::plain(&full), dequantized: false })
    }
}

/// With `ceil_mode`, a last window may stick out at the end, unless it would begin behind the input
/// and its first padding.
fn rounded_up(g: Geometry, kernel: [usize; 2], input: [usize; 2]) -> Result<Padding, NodeProblem> {
    let window = Window { kernel, strides: g.strides, dilation: g.dilation, padding: g.padding };
    let spans = window.spans(input)?;
    let end = |axis: usize| -> Result<usize, OpError> {
        let span = spans[axis];
        let covered = (kernel[axis] - 1) * g.dilation[axis] + 1;
        let used = (span.output - 1) * g.strides[axis] + covered;
        let padded = span.before + input[axis] + span.after;
        let next = span.output * g.strides[axis];
        if used == padded || next >= input[axis] + span.before {
            return Ok(span.after);
        }
        (next + covered).checked_sub(span.before + input[axis]).ok_or(OpError::Overflow)
    };
    let (bottom, right) = (end(0)?, end(1)?);
    Ok(none_if_zero(spans[0].before, bottom, spans[1].before, right))
}
