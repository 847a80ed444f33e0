//! Convolutions and depthwise convolutions.

use super::super::{BufferId, Emit, LowerError, word};
use super::{Site, bounds};
use crate::graph::ops;
use crate::graph::{DType, Node};
use embernet_core::kernels::conv2d::Scratch;
use embernet_core::kernels::{conv2d, depthwise_conv2d};

impl Emit<'_, '_> {
    pub(super) fn conv2d(&mut self, site: Site<'_>, op: &ops::Conv2d) -> Result<(), LowerError> {
        let Site { id, node, dtype } = site;
        let shape = self.conv2d_shape(node, op)?;
        let x = self.value(node.inputs[0]);
        let name = &node.name;
        match dtype {
            DType::F32 => {
                let (lo, hi) = bounds(node.op.fused());
                let (w, b) = self.float_weights(node)?;
                let y = self.output(node);
                let scratch = self.conv2d_scratch(node, &shape);
                self.sequence.push(name, Some(id), move |p| conv2d::ForwardF32 {
                    shape,
                    x: p.at(x),
                    w: p.opt(w),
                    b: p.opt(b),
                    y: p.at(y),
                    scratch: Scratch { at: p.opt(scratch.0), elements: scratch.1 },
                    lo,
                    hi,
                });
            }
            DType::I8 => {
                let pad_value = self.affine(node, node.inputs[0])?.zero_point();
                let y = self.output(node);
                let t = self.weighted(site)?;
                let scratch_bytes = conv2d::scratch_bytes_i8(&shape);
                let scratch =
                    (scratch_bytes > 0).then(|| self.lowering.program.transient(format!("{}/scratch", node.name)));
                self.sequence.push(name, Some(id), move |p| conv2d::ForwardI8 {
                    shape,
                    x: p.at(x),
                    w: p.at(t.w),
                    b: p.opt(t.b),
                    y: p.at(y),
                    scratch: p.opt(scratch),
                    scratch_bytes: word(scratch_bytes),
                    pad_value,
                    requantize: t.requantize(p),
                });
            }
            DType::I16 => {
                let t = self.weighted(site)?;
                let y = self.output(node);
                self.sequence.push(name, Some(id), move |p| conv2d::ForwardI16 {
                    shape,
                    x: p.at(x),
                    w: p.at(t.w),
                    b: p.opt(t.b),
                    y: p.at(y),
                    requantize: t.requantize(p),
                });
            }
            _ => return Err(self.no_kernel(site)),
        }
        Ok(())
    }

    pub(super) fn depthwise_conv2d(&mut self, site: Site<'_>, op: &ops::DepthwiseConv2d) -> Result<(), LowerError> {
        let Site { id, node, dtype } = site;
        let shape = self.depthwise_shape(node, op)?;
        let x = self.value(node.inputs[0]);
        let name = &node.name;
        match dtype {
            DType::F32 => {
                let (lo, hi) = bounds(node.op.fused());
                let (w, b) = self.float_weights(node)?;
                let y = self.output(node);
                self.sequence.push(name, Some(id), move |p| depthwise_conv2d::ForwardF32 {
                    shape,
                    x: p.at(x),
                    w: p.opt(w),
                    b: p.opt(b),
                    y: p.at(y),
                    lo,
                    hi,
                });
            }
            DType::I8 => {
                let pad_value = self.affine(node, node.inputs[0])?.zero_point();
                let y = self.output(node);
                let t = self.weighted(site)?;
                self.sequence.push(name, Some(id), move |p| depthwise_conv2d::ForwardI8 {
                    shape,
                    x: p.at(x),
                    w: p.at(t.w),
                    b: p.opt(t.b),
                    y: p.at(y),
                    pad_value,
                    requantize: t.requantize(p),
                });
            }
            DType::I16 => {
                let t = self.weighted(site)?;
                let y = self.output(node);
                self.sequence.push(name, Some(id), move |p| depthwise_conv2d::ForwardI16 {
                    shape,
                    x: p.at(x),
                    w: p.at(t.w),
                    b: p.opt(t.b),
                    y: p.at(y),
                    requantize: t.requantize(p),
                });
            }
            _ => return Err(self.no_kernel(site)),
        }
        Ok(())
    }

    pub(in super::super) fn conv2d_shape(&self, node: &Node, op: &ops::Conv2d) -> Result<conv2d::Conv2d, LowerError> {
        let [.., in_c] = self.image(node.inputs[0]);
        let [.., out_c] = self.image(node.outputs[0]);
        let window = self.window(node, &op.window())?;
        Ok(conv2d::Conv2d { window, in_c, out_c, groups: word(op.groups) })
    }

    /// Scratch for a convolution on the target, and its elements.
    pub(in super::super) fn conv2d_scratch(&mut self, node: &Node, shape: &conv2d::Conv2d) -> (Option<BufferId>, u32) {
        let elements = conv2d::scratch_elements(shape, self.sequence.samples, self.lowering.options.isa);
        let buffer = (elements > 0).then(|| self.lowering.program.transient(format!("{}/scratch", node.name)));
        (buffer, word(elements))
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
