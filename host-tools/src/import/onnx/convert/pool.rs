//! Pools, in one and two dimensions.

use super::conv::{Geometry, geometry, image_shape, is_quantized, pair};
use super::{Call, Converter, Value};
use crate::graph::ops::{
    AveragePool2d, DepthwiseConv2d, GlobalAveragePool2d, GlobalMaxPool2d, MaxPool2d, Op, Padding, Window,
};
use crate::graph::{Activation, Data, OpError, TensorId};
use crate::import::onnx::error::NodeProblem;

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
        let rank = x.layout.rank();
        let axes = rank.saturating_sub(2);
        if !(3..=4).contains(&rank) {
            return Err(NodeProblem::Feature { what: format!("a pool over {axes} axes") });
        }
        if !call.has("kernel_shape") {
            return Err(NodeProblem::Missing { role: "attribute kernel_shape" });
        }
        let kernel = pair(&call.sizes("kernel_shape", axes)?)?;
        // Integers of a maximum are those of the input; a mean rounds, and may have a scale of its own.
        let target = if kind == PoolKind::Average && is_quantized(self, &x) { self.target(call)? } else { None };
        let same = |t: &super::quantized::Target<'a>| Some(&t.quant) == self.quant(&x).as_ref();
        let target = target.filter(same);
        let x = if kind == PoolKind::Average && target.is_none() { self.floats(&x, "input")? } else { x };
        let image = self.image(&x, "input")?;
        let [height, width, _] = image_shape(&self.graph.tensor(image).shape);
        let mut g = geometry(call, kernel, [height, width], axes)?;
        let whole = g.padding;
        if call.flag("ceil_mode")? {
            g.padding = rounded_up(g, kernel, [height, width])?;
        }
        let id = match kind {
            PoolKind::Max => {
                if g.dilation != [1, 1] {
                    return Err(NodeProblem::Feature { what: "a max pool with dilation".into() });
                }
                let op = MaxPool2d::new(kernel).strides(g.strides).padding(g.padding);
                let quant = self.quant(&x);
                self.emit(op, &[image], quant)?
            }
            PoolKind::Average => {
                let counted = call.flag("count_include_pad")? && whole != Padding::Valid;
                let activation = target.as_ref().map_or(Activation::Linear, |t| t.activation);
                if g.dilation == [1, 1] && !counted {
                    let op = AveragePool2d::new(kernel).strides(g.strides).padding(g.padding).activation(activation);
                    let quant = target.as_ref().map(|t| t.quant.clone());
                    self.emit(op, &[image], quant)?
                } else {
                    let image = self.float_image(&x)?;
                    if g.padding != whole || (!counted && g.padding != Padding::Valid) {
                        return Err(NodeProblem::Feature { what: "an average pool with these paddings".into() });
                    }
                    self.average_of_zeros_too(image, kernel, g)?
                }
            }
        };
        let mut value = self.image_value(id, rank)?;
        value.dequantized = x.dequantized;
        match target {
            Some(target) if is_quantized(self, &value) => self.define_target(target, value),
            _ => self.define(call, 0, value),
        }
    }

    fn float_image(&mut self, x: &Value) -> Result<TensorId, NodeProblem> {
        let x = self.floats(x, "input")?;
        self.image(&x, "input")
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
        let rank = x.layout.rank();
        if !(3..=4).contains(&rank) {
            return Err(NodeProblem::Feature { what: format!("a pool over {} axes", rank.saturating_sub(2)) });
        }
        let target = match kind {
            PoolKind::Average if is_quantized(self, &x) => self.target(call)?,
            _ => None,
        };
        let target = target.filter(|t| t.activation == Activation::Linear);
        let x = if kind == PoolKind::Average && target.is_none() { self.floats(&x, "input")? } else { x };
        let image = self.image(&x, "input")?;
        let (op, quant): (Op, _) = match kind {
            PoolKind::Max => (GlobalMaxPool2d {}.into(), self.quant(&x)),
            PoolKind::Average => (GlobalAveragePool2d {}.into(), target.as_ref().map(|t| t.quant.clone())),
        };
        let id = self.emit(op, &[image], quant)?;
        let channels = self.graph.tensor(id).elements();
        let full: Vec<usize> = [1, channels].into_iter().chain(core::iter::repeat_n(1, rank - 2)).collect();
        let layout = crate::import::onnx::layout::Layout::plain(&full);
        let value = Value { id, layout, dequantized: x.dequantized };
        match target {
            Some(target) => self.define_target(target, value),
            None => self.define(call, 0, value),
        }
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
    Ok(Padding::Explicit { top: spans[0].before, bottom, left: spans[1].before, right })
}
