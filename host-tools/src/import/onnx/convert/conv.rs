//! Convolutions, in one and two dimensions.

use super::quantized::Target;
use super::quantized_constants::symmetric;
use super::{Call, Converter, Value};
use crate::graph::ops::{Conv2d, DepthwiseConv2d, Op, Padding, Window};
use crate::graph::{Activation, DType, Data, Quant, TensorId, shape_text};
use crate::import::onnx::error::NodeProblem;
use crate::import::onnx::tensor::Constant;
use std::rc::Rc;

/// Strides, dilation and padding of a window, `[height, width]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Geometry {
    pub strides: [usize; 2],
    pub dilation: [usize; 2],
    pub padding: Padding,
}

/// Two numbers for two axes; one axis of a sequence becomes the second.
pub(super) fn pair(sizes: &[usize]) -> Result<[usize; 2], NodeProblem> {
    match *sizes {
        [w] => Ok([1, w]),
        [h, w] => Ok([h, w]),
        _ => Err(NodeProblem::Feature { what: format!("a window over {} axes", sizes.len()) }),
    }
}

/// The attributes that convolutions and pools share. `axes` is how many axes the window has.
pub(super) fn geometry(
    call: &Call<'_, '_>,
    kernel: [usize; 2],
    input: [usize; 2],
    axes: usize,
) -> Result<Geometry, NodeProblem> {
    let strides = pair(&call.sizes("strides", axes)?)?;
    let dilation = pair(&call.sizes("dilations", axes)?)?;
    let padding = match call.text("auto_pad", "NOTSET")? {
        "NOTSET" | "" => explicit(call, axes)?,
        "VALID" => Padding::Valid,
        "SAME_UPPER" => Padding::Same,
        "SAME_LOWER" => {
            let window = Window { kernel, strides, dilation, padding: Padding::Same };
            let [rows, columns] = window.spans(input)?;
            // The odd one comes first here.
            Padding::Explicit { top: rows.after, bottom: rows.before, left: columns.after, right: columns.before }
        }
        found => {
            let expected = "NOTSET, VALID, SAME_UPPER or SAME_LOWER".into();
            return Err(NodeProblem::Attribute { attribute: "auto_pad", found: found.into(), expected });
        }
    };
    Ok(Geometry { strides, dilation, padding })
}

/// `pads`: all beginnings, then all ends.
pub(super) fn explicit(call: &Call<'_, '_>, axes: usize) -> Result<Padding, NodeProblem> {
    let Some(found) = call.ints("pads")? else { return Ok(Padding::Valid) };
    let error = || {
        let expected = format!("{} numbers, at least 0", 2 * axes);
        NodeProblem::Attribute { attribute: "pads", found: format!("{found:?}"), expected }
    };
    let size = |v: &i64| usize::try_from(*v).ok().filter(|v| *v <= i32::MAX as usize);
    let pads: Option<Vec<usize>> = found.iter().map(size).collect();
    Ok(match *pads.ok_or_else(error)? {
        [left, right] if axes == 1 => none_if_zero(0, 0, left, right),
        [top, left, bottom, right] if axes == 2 => none_if_zero(top, bottom, left, right),
        _ => return Err(error()),
    })
}

pub(super) fn none_if_zero(top: usize, bottom: usize, left: usize, right: usize) -> Padding {
    match (top, bottom, left, right) {
        (0, 0, 0, 0) => Padding::Valid,
        _ => Padding::Explicit { top, bottom, left, right },
    }
}

impl<'m, 'a> Converter<'m, 'a> {
    /// Conv.
    pub(super) fn conv(&mut self, call: &Call<'m, 'a>) -> Result<(), NodeProblem> {
        call.expect_inputs(2..=3)?;
        let x = self.raw(call, 0, "input")?;
        let weights = self.constant(call, 1, "weights")?;
        let bias = self.optional_constant(call, 2, "bias")?;
        if let Some(target) = self.target_for(call, &x, &weights)? {
            let value = self.convolution(call, &x, &weights, bias.as_ref(), Some(&target))?;
            return self.define_target(target, value);
        }
        let x = self.floats(&x, "input")?;
        let value = self.convolution(call, &x, &weights, bias.as_ref(), None)?;
        self.define(call, 0, value)
    }

    /// The convolution of float or quantised values, as the target says.
    pub(super) fn convolution(
        &mut self,
        call: &Call<'m, 'a>,
        x: &Value,
        weights: &Rc<Constant>,
        bias: Option<&Rc<Constant>>,
        target: Option<&Target<'a>>,
    ) -> Result<Value, NodeProblem> {
        let rank = x.layout.rank();
        let axes = rank.saturating_sub(2);
        if !(3..=4).contains(&rank) || weights.shape.len() != rank {
            let what =
                format!("a convolution of {} with weights {}", shape_text(x.shape()), shape_text(&weights.shape));
            return Err(NodeProblem::Feature { what });
        }
        let image = self.image(x, "input")?;
        let [height, width, channels] = image_shape(&self.graph.tensor(image).shape);
        let (filters, per_group) = (weights.shape[0], weights.shape[1]);
        let kernel = pair(&weights.shape[2..])?;
        if call.has("kernel_shape") && call.sizes("kernel_shape", axes)? != weights.shape[2..] {
            let found = format!("{:?}", call.ints("kernel_shape")?.unwrap_or_default());
            let expected = format!("as the weights {}", shape_text(&weights.shape));
            return Err(NodeProblem::Attribute { attribute: "kernel_shape", found, expected });
        }
        let groups = usize::try_from(call.int("group", 1)?).unwrap_or(0);
        if groups == 0 || per_group.checked_mul(groups) != Some(channels) || !filters.is_multiple_of(groups) {
            let expected = format!("filters x {channels} / {groups} groups x window");
            return Err(NodeProblem::Shape { role: "weights", found: weights.shape.clone(), expected });
        }
        let g = geometry(call, kernel, [height, width], axes)?;
        let four = [filters, per_group, kernel[0], kernel[1]];
        let depthwise = groups == channels && groups > 1;
        let parameters = Parameters { names: [call.input(1), call.input(2)], weights, shape: &four, bias, depthwise };
        let (kernel_id, bias_id) = self.layer_parameters(image, &parameters, target)?;
        let activation = target.map_or(Activation::Linear, |t| t.activation);
        let use_bias = bias_id.is_some();
        let Geometry { strides, dilation, padding } = g;
        let op: Op = if depthwise {
            let depth_multiplier = filters / groups;
            DepthwiseConv2d { kernel, depth_multiplier, strides, padding, dilation, use_bias, activation }.into()
        } else {
            Conv2d { filters, kernel, strides, padding, dilation, groups, use_bias, activation }.into()
        };
        let inputs: Vec<TensorId> = [image, kernel_id].into_iter().chain(bias_id).collect();
        let output = self.emit(op, &inputs, target.map(|t| t.quant.clone()))?;
        self.image_value(output, rank)
    }

    /// Weights and bias of a layer in the graph's order, float or quantised as the target says.
    pub(super) fn layer_parameters(
        &mut self,
        input: TensorId,
        p: &Parameters<'_>,
        target: Option<&Target<'a>>,
    ) -> Result<(TensorId, Option<TensorId>), NodeProblem> {
        let shape_error =
            |role, found: &[usize], expected| NodeProblem::Shape { role, found: found.to_vec(), expected };
        let expected = || "no size of 0".into();
        if p.weights.shape.contains(&0) {
            return Err(shape_error("weights", &p.weights.shape, expected()));
        }
        let (order, channel_axis): (Vec<usize>, usize) = match p.shape.len() {
            // [out, in, h, w]; depthwise [out, 1, h, w].
            4 if p.depthwise => (vec![2, 3, 0, 1], 2),
            4 => (vec![0, 2, 3, 1], 0),
            _ => ((0..p.shape.len()).collect(), 0),
        };
        let constant = p.weights.reshaped(p.shape).ok_or(NodeProblem::Overflow)?.permuted(&order);
        let shape = if p.depthwise { constant.shape[..3].to_vec() } else { constant.shape.clone() };
        let filters = p.shape[0];
        if let Some(bias) = p.bias
            && bias.len() != filters
        {
            return Err(shape_error("bias", &bias.shape, filters.to_string()));
        }
        let type_error =
            |role, c: &Constant, expected| NodeProblem::Type { role, found: c.data.dtype().name().into(), expected };
        let Some(_) = target else {
            let weights = constant.reals().ok_or_else(|| type_error("weights", &constant, "float"))?;
            let weights = self.parameter(p.names[0], &shape, Data::F32(weights), None)?;
            let bias = p.bias.map(|b| b.reals().ok_or_else(|| type_error("bias", b, "float"))).transpose()?;
            let bias = bias.map(|b| self.parameter(p.names[1], &[filters], Data::F32(b), None)).transpose()?;
            return Ok((weights, bias));
        };
        let (weights, scales) = symmetric(&constant, channel_axis)
            .ok_or_else(|| NodeProblem::Feature { what: "weights with these zero points or scales".into() })?;
        let quant = match scales.as_slice() {
            [one] => Quant::per_tensor(*one, 0),
            many => Quant::per_axis(many.to_vec(), channel_axis),
        };
        let input_scale = self.graph.tensor(input).quant.as_ref().map_or(1.0, |q| q.scale(0));
        let bias = match p.bias {
            None => None,
            Some(bias) => {
                let sums =
                    bias_sums(bias, input_scale, &scales).ok_or_else(|| type_error("bias", bias, "int32 or float"))?;
                Some(self.parameter(p.names[1], &[filters], Data::I32(sums), None)?)
            }
        };
        // Weights of four bits stay so, if their zero points leave them there.
        let four = matches!(constant.data, Data::I4(_)) && weights.iter().all(|w| (-8..8).contains(w));
        let weights = if four { Data::I4(weights) } else { Data::I8(weights) };
        let weights = self.parameter(p.names[0], &shape, weights, Some(quant))?;
        Ok((weights, bias))
    }
}

/// A layer's constants in the file.
pub(super) struct Parameters<'c> {
    /// Of weights and bias.
    pub names: [&'c str; 2],
    pub weights: &'c Constant,
    /// The weights' shape: `[out, in, h, w]`, or `[out, in]`.
    pub shape: &'c [usize],
    pub bias: Option<&'c Rc<Constant>>,
    /// One input channel for each filter.
    pub depthwise: bool,
}

/// A bias as integers of the sum's scale, which is that of the input times that of the weights.
fn bias_sums(bias: &Constant, input_scale: f32, scales: &[f32]) -> Option<Vec<i32>> {
    let scale = |channel: usize| {
        let weight = scales.get(channel).or(scales.first()).copied().unwrap_or(1.0);
        f64::from(input_scale) * f64::from(weight)
    };
    let round = |(channel, real): (usize, f64)| {
        (real / scale(channel)).round().clamp(f64::from(i32::MIN), f64::from(i32::MAX)) as i32
    };
    let integers = Constant { quant: None, ..bias.clone() }.integers();
    match (&bias.quant, integers) {
        // Up to 32 bits: a float would lose some.
        (Some(quant), Some(integers)) => {
            let real = |(channel, q): (usize, &i64)| {
                let channel_of = if quant.axis.is_some() { channel } else { 0 };
                let zero_point = quant.zero_points.get(channel_of).copied().unwrap_or(0);
                (q - i64::from(zero_point)) as f64 * f64::from(quant.scale(channel_of))
            };
            Some(integers.iter().enumerate().map(real).enumerate().map(round).collect())
        }
        _ => {
            let reals = bias.reals()?;
            Some(reals.iter().map(|r| f64::from(*r)).enumerate().map(round).collect())
        }
    }
}

/// `[height, width, channels]` of an image in the graph.
pub(super) fn image_shape(shape: &[usize]) -> [usize; 3] {
    <[usize; 3]>::try_from(shape).unwrap_or([1, 1, 1])
}

/// Whether an activation is quantised.
pub(super) fn is_quantized(converter: &Converter<'_, '_>, value: &Value) -> bool {
    converter.dtype(value) == DType::I8
}
