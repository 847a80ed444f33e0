//! Transposed convolutions: steps are described by the convolution that goes the other way.

use super::super::{Emit, LowerError, unsupported, word};
use super::Site;
use super::layer::{FloatLayer, IntegerLayer};
use crate::graph::ops;
use crate::graph::{DType, Node};
use embernet_core::kernels::conv2d::Conv2d;
use embernet_core::kernels::integer::Width;
use embernet_core::kernels::transpose_conv2d::{ForwardF32, ForwardInt};
use embernet_core::kernels::window::{Axis, Window2d};

impl Emit<'_, '_> {
    pub(super) fn transpose_conv2d(&mut self, site: Site<'_>, op: &ops::TransposeConv2d) -> Result<(), LowerError> {
        let Site { node, dtype, .. } = site;
        let conv = self.transposed_shape(node, op)?;
        let width = match dtype {
            DType::F32 => {
                let scratch = self.conv2d_scratch(node, &conv);
                return self.float_layer(site, move |FloatLayer { x, w, b, y, lo, hi }, p| ForwardF32 {
                    conv,
                    x,
                    w,
                    b,
                    y,
                    scratch: scratch.at(p),
                    lo,
                    hi,
                });
            }
            DType::I8 => Width::I8,
            DType::I16 => Width::I16,
            _ => return Err(self.no_kernel(site)),
        };
        // The integer kernel knows no gaps: they hold taps of zero, which add nothing.
        let conv = dense(&conv);
        let zero_point = self.affine(node, node.inputs[0])?.zero_point();
        let t = self.weighted(site)?;
        self.integer_layer(site, t, move |IntegerLayer { x, w, b, y, requantize }, _| ForwardInt {
            conv,
            width,
            x,
            w,
            b,
            y,
            zero_point,
            requantize,
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
