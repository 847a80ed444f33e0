//! Transposed convolutions: steps are described by the convolution that goes the other way.

use super::super::{Emit, LowerError, unsupported, word};
use super::{Site, bounds};
use crate::graph::ops;
use crate::graph::{DType, Node};
use embernet_core::kernels::conv2d::{Conv2d, Scratch};
use embernet_core::kernels::integer::Width;
use embernet_core::kernels::transpose_conv2d::{ForwardF32, ForwardInt};
use embernet_core::kernels::window::{Axis, Window2d};

impl Emit<'_, '_> {
    pub(super) fn transpose_conv2d(&mut self, site: Site<'_>, op: &ops::TransposeConv2d) -> Result<(), LowerError> {
        let Site { id, node, dtype } = site;
        let conv = self.transposed_shape(node, op)?;
        let x = self.value(node.inputs[0]);
        let name = &node.name;
        let width = match dtype {
            DType::F32 => {
                let (lo, hi) = bounds(node.op.fused());
                let (w, b) = self.float_weights(node)?;
                let y = self.output(node);
                let scratch = self.conv2d_scratch(node, &conv);
                self.sequence.push(name, Some(id), move |p| ForwardF32 {
                    conv,
                    x: p.at(x),
                    w: p.opt(w),
                    b: p.opt(b),
                    y: p.at(y),
                    scratch: Scratch { at: p.opt(scratch.0), elements: scratch.1 },
                    lo,
                    hi,
                });
                return Ok(());
            }
            DType::I8 => Width::I8,
            DType::I16 => Width::I16,
            _ => return Err(self.no_kernel(site)),
        };
        // The integer kernel knows no gaps: they hold taps of zero, which add nothing.
        let conv = dense(&conv);
        let zero_point = self.affine(node, node.inputs[0])?.zero_point();
        let t = self.weighted(site)?;
        let y = self.output(node);
        self.sequence.push(name, Some(id), move |p| ForwardInt {
            conv,
            width,
            x: p.at(x),
            w: p.at(t.w),
            b: p.opt(t.b),
            y: p.at(y),
            zero_point,
            requantize: t.requantize(p),
        });
        Ok(())
    }

    /// The convolution from the node's output to its input.
    pub(in super::super) fn transposed_shape(
        &self,
        node: &Node,
        op: &ops::TransposeConv2d,
    ) -> Result<Conv2d, LowerError> {
        let [in_h, in_w, in_c] = self.image(node.inputs[0]);
        let spans = op.spans([in_h, in_w].map(|d| d as usize)).map_err(|_| unsupported(node, "this window"))?;
        let axis = |axis: usize, input| Axis {
            input: word(spans[axis].0),
            output: input,
            kernel: word(op.kernel[axis]),
            stride: word(op.strides[axis]),
            dilation: word(op.dilation[axis]),
            pad: word(spans[axis].1),
        };
        let window = Window2d { height: axis(0, in_h), width: axis(1, in_w) };
        Ok(Conv2d { window, in_c: word(op.filters), out_c: in_c, groups: word(op.groups) })
    }
}

/// The same window without gaps between its taps.
fn dense(conv: &Conv2d) -> Conv2d {
    let axis = |axis: Axis| {
        let reach = axis.kernel.saturating_sub(1).saturating_mul(axis.dilation);
        Axis { kernel: reach.saturating_add(1), dilation: 1, ..axis }
    };
    let Window2d { height, width } = conv.window;
    Conv2d { window: Window2d { height: axis(height), width: axis(width) }, ..*conv }
}
