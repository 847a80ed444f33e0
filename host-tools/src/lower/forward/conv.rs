//! Convolutions and depthwise convolutions.

use super::super::loops::Shape;
use super::super::program::Places;
use super::super::{BufferId, Emit, LowerError, stream, word};
use super::layer::{FloatLayer, IntegerLayer};
use super::weighted::Weighted;
use super::{Site, bounds};
use crate::graph::ops;
use crate::graph::{DType, Data, Node, Op};
use embernet_core::kernels::conv2d::Scratch;
use embernet_core::kernels::dense::Dense;
use embernet_core::kernels::window::{Axis, Window2d};
use embernet_core::kernels::{conv2d, depthwise_conv2d};

/// RAM for unpacked int4 filters, if one filter does not take more: enough that gathering a patch again for every
/// such block of filters costs little.
const UNPACKED_BYTES: usize = 2048;

/// Scratch of a float convolution.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Gathered {
    buffer: Option<BufferId>,
    elements: u32,
}

impl Gathered {
    /// As a record has it.
    pub fn at(self, p: Places<'_>) -> Scratch {
        Scratch { at: p.opt(self.buffer), elements: self.elements }
    }
}

/// The dense layer that a convolution is whose one window sees all of its input: what every core has loops for.
fn as_dense(shape: &conv2d::Conv2d) -> Option<Dense> {
    let whole = |axis: &Axis| {
        let near = axis.dilation == 1 || axis.kernel == 1;
        (axis.output, axis.pad, axis.kernel) == (1, 0, axis.input) && near
    };
    let Window2d { height, width } = &shape.window;
    let dense = Dense { inputs: word(shape.patch()), outputs: shape.out_c };
    (whole(height) && whole(width) && shape.groups == 1).then_some(dense)
}

impl Emit<'_, '_> {
    pub(super) fn conv2d(&mut self, site: Site<'_>, op: &ops::Conv2d) -> Result<(), LowerError> {
        let shape = self.conv2d_shape(site.node, op)?;
        let bytes = (site.dtype, self.tensor(site.node.inputs[1]).dtype) == (DType::I8, DType::I8);
        match as_dense(&shape).filter(|_| bytes) {
            Some(shape) => self.whole_input(site, shape),
            None => self.convolve(site, shape),
        }
    }

    /// The steps of a convolution, or of a dense layer that is one.
    pub(super) fn convolve(&mut self, site: Site<'_>, shape: conv2d::Conv2d) -> Result<(), LowerError> {
        let Site { node, dtype, .. } = site;
        match (dtype, self.tensor(node.inputs[1]).dtype) {
            (DType::F32, DType::I8 | DType::I4) => self.convolve_weights_i8(site, shape)?,
            (DType::F32, _) => {
                if self.pooled_block(site, &shape)? || self.constant_convolution(site, &shape)? {
                    return Ok(());
                }
                let scratch = self.conv2d_scratch(node, &shape);
                self.float_layer(site, move |FloatLayer { x, w, b, y, lo, hi }, p| conv2d::ForwardF32 {
                    shape,
                    x,
                    w,
                    b,
                    y,
                    scratch: scratch.at(p),
                    lo,
                    hi,
                })?;
            }
            (DType::I8, DType::I4) => {
                let pad_value = self.affine(node, node.inputs[0])?.zero_point();
                let t = self.weighted(site)?;
                let scratch_bytes = conv2d::scratch_bytes_i4(&shape, UNPACKED_BYTES);
                let scratch = self.scratch(node, scratch_bytes);
                self.integer_layer(site, t, move |IntegerLayer { x, w, b, y, requantize }, p| conv2d::ForwardI4 {
                    shape,
                    x,
                    w,
                    b,
                    y,
                    scratch: p.opt(scratch),
                    scratch_bytes: word(scratch_bytes),
                    pad_value,
                    requantize,
                });
            }
            (DType::I8, _) => {
                let t = self.weighted_for(site, &Shape::Conv2d(shape))?;
                self.convolve_int8(site, t.widened.unwrap_or(shape), t)?;
            }
            (DType::I16, _) => {
                let t = self.weighted(site)?;
                self.integer_layer(site, t, move |IntegerLayer { x, w, b, y, requantize }, _| conv2d::ForwardI16 {
                    shape,
                    x,
                    w,
                    b,
                    y,
                    requantize,
                });
            }
            _ => return Err(self.no_kernel(site)),
        }
        Ok(())
    }

    /// The step of an int8 convolution with these tables.
    fn convolve_int8(&mut self, site: Site<'_>, shape: conv2d::Conv2d, t: Weighted) -> Result<(), LowerError> {
        let pad_value = self.affine(site.node, site.node.inputs[0])?.zero_point();
        let order = t.order;
        let scratch_bytes = if order.is_plain() { conv2d::scratch_bytes_i8(&shape) } else { t.scratch_bytes };
        let scratch = self.scratch(site.node, scratch_bytes);
        self.integer_layer(site, t, move |IntegerLayer { x, w, b, y, requantize }, p| conv2d::ForwardI8 {
            shape,
            x,
            w,
            b,
            y,
            scratch: p.opt(scratch),
            scratch_bytes: word(scratch_bytes),
            pad_value,
            requantize,
            order,
        });
        Ok(())
    }

    pub(super) fn depthwise_conv2d(&mut self, site: Site<'_>, op: &ops::DepthwiseConv2d) -> Result<(), LowerError> {
        let Site { node, dtype, .. } = site;
        let shape = self.depthwise_shape(node, op)?;
        match (dtype, self.tensor(node.inputs[1]).dtype) {
            (DType::F32, DType::I8 | DType::I4) => {
                // Every input channel is a group of its own.
                let depthwise_conv2d::DepthwiseConv2d { window, in_c, out_c, .. } = shape;
                self.convolve_weights_i8(site, conv2d::Conv2d { window, in_c, out_c, groups: in_c })?;
            }
            (DType::F32, _) => {
                if self.single_channel(site, &shape)? {
                    return Ok(());
                }
                self.float_layer(site, move |FloatLayer { x, w, b, y, lo, hi }, _| depthwise_conv2d::ForwardF32 {
                    shape,
                    x,
                    w,
                    b,
                    y,
                    lo,
                    hi,
                })?;
            }
            (DType::I8, DType::I4) => {
                let pad_value = self.affine(node, node.inputs[0])?.zero_point();
                let t = self.weighted(site)?;
                let scratch = self.lowering.program.transient(format!("{}/scratch", node.name));
                self.integer_layer(site, t, move |IntegerLayer { x, w, b, y, requantize }, p| {
                    depthwise_conv2d::ForwardI4 { shape, x, w, b, y, scratch: p.at(scratch), pad_value, requantize }
                });
            }
            (DType::I8, _) => {
                let pad_value = self.affine(node, node.inputs[0])?.zero_point();
                // Along which axis its loops go may depend on how many rows there are at a time.
                let mut usual = shape;
                if let Some(rows) = self.lowering.bands.get(&site.id) {
                    usual.window.height = stream::middle(&shape.window.height, *rows);
                }
                let t = self.weighted_for(site, &Shape::Depthwise(usual))?;
                if let Some(conv) = t.widened {
                    return self.convolve_int8(site, conv2d::Conv2d { window: shape.window, ..conv }, t);
                }
                let (order, scratch_bytes) = (t.order, t.scratch_bytes);
                let scratch = self.scratch(node, scratch_bytes);
                self.integer_layer(site, t, move |IntegerLayer { x, w, b, y, requantize }, p| {
                    depthwise_conv2d::ForwardI8 {
                        shape,
                        x,
                        w,
                        b,
                        y,
                        scratch: p.opt(scratch),
                        scratch_bytes: word(scratch_bytes),
                        pad_value,
                        requantize,
                        order,
                    }
                });
            }
            (DType::I16, _) => {
                let t = self.weighted(site)?;
                self.integer_layer(site, t, move |IntegerLayer { x, w, b, y, requantize }, _| {
                    depthwise_conv2d::ForwardI16 { shape, x, w, b, y, requantize }
                });
            }
            _ => return Err(self.no_kernel(site)),
        }
        Ok(())
    }

    /// Lowers a depthwise convolution of one channel that nobody trains as the convolution that it is: devices have better
    /// loops for those. False if it is none.
    fn single_channel(
        &mut self,
        site: Site<'_>,
        shape: &depthwise_conv2d::DepthwiseConv2d,
    ) -> Result<bool, LowerError> {
        let node = site.node;
        let options = &self.lowering.options;
        let free = shape.in_c == 1 && !options.isa.has_room() && options.train.is_none();
        let weights = self.tensor(node.inputs[1]).data.as_ref().and_then(Data::as_f32);
        let Some(weights) = weights.filter(|_| free) else { return Ok(false) };
        let outputs = shape.out_c as usize;
        let of = |output: usize| weights.iter().skip(output).step_by(outputs).copied();
        let w = self.table(node, "kernel", &Data::F32((0..outputs).flat_map(of).collect()));
        let shape = conv2d::Conv2d { window: shape.window, in_c: 1, out_c: shape.out_c, groups: 1 };
        self.float_layer(site, move |FloatLayer { x, b, y, lo, hi, .. }, p| conv2d::ForwardF32 {
            shape,
            x,
            w: p.at(w),
            b,
            y,
            scratch: Scratch::NONE,
            lo,
            hi,
        })?;
        Ok(true)
    }

    /// f32 activations with int8 weights.
    fn convolve_weights_i8(&mut self, site: Site<'_>, shape: conv2d::Conv2d) -> Result<(), LowerError> {
        let node = site.node;
        let (lo, hi) = bounds(node.op.fused());
        let x = self.value(node.inputs[0]);
        let t = self.weights_i8(node)?;
        let y = self.output(node);
        self.sequence.push(&node.name, Some(site.id), move |p| conv2d::ForwardWeightsI8 {
            shape,
            x: p.at(x),
            w: p.at(t.w),
            scale: p.at(t.scale),
            scales: t.scales,
            b: p.opt(t.b),
            y: p.at(y),
            lo,
            hi,
        });
        Ok(())
    }

    /// The convolution that a node is: a convolution, or a dense layer over the rows of its input. The latter's
    /// filters see one pixel.
    pub(in super::super) fn convolution(&self, node: &Node) -> Result<Option<conv2d::Conv2d>, LowerError> {
        match &node.op {
            Op::Conv2d(op) => self.conv2d_shape(node, op).map(Some),
            Op::Dense(_) if self.tensor(node.inputs[0]).shape.len() > 1 => Ok(Some(self.pointwise_shape(node))),
            _ => Ok(None),
        }
    }

    /// A dense layer as a convolution.
    pub(in super::super) fn pointwise_shape(&self, node: &Node) -> conv2d::Conv2d {
        let shape = self.dense_shape(node);
        let rows = self.tensor(node.inputs[0]).elements() / (shape.inputs.max(1) as usize);
        conv2d::Conv2d { window: Window2d::pointwise(word(rows)), in_c: shape.inputs, out_c: shape.outputs, groups: 1 }
    }

    pub(in super::super) fn conv2d_shape(&self, node: &Node, op: &ops::Conv2d) -> Result<conv2d::Conv2d, LowerError> {
        let [.., in_c] = self.image(node.inputs[0]);
        let [.., out_c] = self.image(node.outputs[0]);
        let window = self.window(node, &op.window())?;
        Ok(conv2d::Conv2d { window, in_c, out_c, groups: word(op.groups) })
    }

    /// Scratch for a convolution on the target.
    pub(in super::super) fn conv2d_scratch(&mut self, node: &Node, shape: &conv2d::Conv2d) -> Gathered {
        let elements = conv2d::scratch_elements(shape, self.lowering.options.isa);
        Gathered { buffer: self.scratch(node, elements), elements: word(elements) }
    }

    /// A buffer for a node's scratch, if it takes any; its length comes from the step.
    fn scratch(&mut self, node: &Node, len: usize) -> Option<BufferId> {
        (len > 0).then(|| self.lowering.program.transient(format!("{}/scratch", node.name)))
    }

    pub(in super::super) fn depthwise_shape(
        &self,
        node: &Node,
        op: &ops::DepthwiseConv2d,
    ) -> Result<depthwise_conv2d::DepthwiseConv2d, LowerError> {
        let [.., in_c] = self.image(node.inputs[0]);
        let [.., out_c] = self.image(node.outputs[0]);
        let window = self.window(node, &op.window())?;
        Ok(depthwise_conv2d::DepthwiseConv2d { window, in_c, out_c, multiplier: word(op.depth_multiplier) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_over_the_whole_input_is_a_dense_layer() {
        let axis = |input, kernel, pad, output| Axis { input, output, kernel, stride: 1, dilation: 1, pad };
        let shape = |height, width, groups| {
            as_dense(&conv2d::Conv2d { window: Window2d { height, width }, in_c: 4, out_c: 6, groups })
        };
        let whole = axis(3, 3, 0, 1);
        assert_eq!(shape(whole, axis(5, 5, 0, 1), 1), Some(Dense { inputs: 60, outputs: 6 }));
        assert_eq!(shape(axis(1, 1, 0, 1), axis(1, 1, 0, 1), 1), Some(Dense { inputs: 4, outputs: 6 }));
        // Two pixels, a border, a part of the input, groups, gaps.
        assert_eq!(shape(whole, axis(4, 3, 0, 2), 1), None);
        assert_eq!(shape(whole, axis(1, 3, 1, 1), 1), None);
        assert_eq!(shape(whole, axis(4, 3, 0, 1), 1), None);
        assert_eq!(shape(whole, whole, 2), None);
        assert_eq!(shape(whole, Axis { dilation: 2, ..axis(5, 3, 0, 1) }, 1), None);
    }
}
