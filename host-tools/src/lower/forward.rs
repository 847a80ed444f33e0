//! Forward steps, f32. Integer tensors go to `forward_i8.rs`.

use super::error::LowerError;
use super::{BufferId, Emit, unsupported, word};
use crate::graph::ops::{self, Window};
use crate::graph::{Activation, DType, Node, NodeId, Op, TensorId};
use embernet_core::kernels::conv2d::Scratch;
use embernet_core::kernels::pool::Pool2d;
use embernet_core::kernels::window::{Axis, Window2d};
use embernet_core::kernels::{activation, add, average_pool, conv2d, dense, depthwise_conv2d, max_pool, softmax};

impl Emit<'_, '_> {
    /// Appends the steps that compute a node's output.
    pub(super) fn forward(&mut self, id: NodeId) -> Result<(), LowerError> {
        let node = self.graph().node(id);
        if let Op::Flatten(_) | Op::Reshape(_) = node.op {
            let value = self.value(node.inputs[0]);
            self.values[node.outputs[0].index()] = Some(value);
            return Ok(());
        }
        let wide = |t: &TensorId| self.tensor(*t).dtype == DType::I16;
        if node.data_inputs().iter().chain(&node.outputs).any(wide) {
            return self.forward_i16(id, node);
        }
        let integer = |t: &TensorId| self.tensor(*t).dtype != DType::F32;
        if node.inputs.iter().chain(&node.outputs).any(integer) {
            return self.forward_i8(id, node);
        }
        self.forward_f32(id, node)
    }

    fn forward_f32(&mut self, id: NodeId, node: &Node) -> Result<(), LowerError> {
        for t in node.inputs.iter().chain(&node.outputs) {
            self.expect_type(node, *t, DType::F32)?;
        }
        let (lo, hi) = bounds(node.op.fused());
        let len = word(self.tensor(node.outputs[0]).elements());
        let x = self.value(node.inputs[0]);
        let w = node.parameters().first().map(|t| self.value(*t));
        let b = node.parameters().get(1).map(|t| self.value(*t));
        let y = self.output(node);
        let (name, node_id) = (&node.name, Some(id));
        match &node.op {
            Op::Dense(_) => {
                let shape = self.dense_shape(node);
                self.sequence.push(name, node_id, move |p| dense::ForwardF32 {
                    shape,
                    x: p.at(x),
                    w: p.opt(w),
                    b: p.opt(b),
                    y: p.at(y),
                    lo,
                    hi,
                });
            }
            Op::Conv2d(op) => {
                let shape = self.conv2d_shape(node, op)?;
                let scratch = self.conv2d_scratch(node, &shape);
                self.sequence.push(name, node_id, move |p| conv2d::ForwardF32 {
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
            Op::DepthwiseConv2d(op) => {
                let shape = self.depthwise_shape(node, op)?;
                self.sequence.push(name, node_id, move |p| depthwise_conv2d::ForwardF32 {
                    shape,
                    x: p.at(x),
                    w: p.opt(w),
                    b: p.opt(b),
                    y: p.at(y),
                    lo,
                    hi,
                });
            }
            Op::MaxPool2d(_) | Op::GlobalMaxPool2d(_) => {
                let shape = self.pool_shape(node)?;
                self.sequence.push(name, node_id, move |p| max_pool::ForwardF32 {
                    shape,
                    x: p.at(x),
                    y: p.at(y),
                    lo,
                    hi,
                });
            }
            Op::AveragePool2d(_) | Op::GlobalAveragePool2d(_) => {
                let shape = self.pool_shape(node)?;
                self.sequence.push(name, node_id, move |p| average_pool::ForwardF32 {
                    shape,
                    x: p.at(x),
                    y: p.at(y),
                    lo,
                    hi,
                });
            }
            Op::Activation(layer) => {
                let (lo, hi) = bounds(layer.function);
                let kind = activation_kind(node, layer.function)?;
                self.sequence.push_in_place(name, node_id, &[(x, y)], move |p| activation::ForwardF32 {
                    kind,
                    len,
                    lo,
                    hi,
                    x: p.at(x),
                    y: p.at(y),
                });
            }
            Op::Softmax(_) => {
                let (rows, len) = self.softmax_rows(node);
                self.sequence.push_in_place(name, node_id, &[(x, y)], move |p| softmax::ForwardF32 {
                    rows,
                    len,
                    x: p.at(x),
                    y: p.at(y),
                });
            }
            Op::Add(_) => {
                let other = self.value(node.inputs[1]);
                self.sequence.push_in_place(name, node_id, &[(x, y), (other, y)], move |p| add::ForwardF32 {
                    len,
                    a: p.at(x),
                    b: p.at(other),
                    y: p.at(y),
                    lo,
                    hi,
                });
            }
            _ => return Err(unsupported(node, "f32")),
        }
        Ok(())
    }

    /// The shape as the kernel wants it.
    pub(super) fn dense_shape(&self, node: &Node) -> dense::Dense {
        let dims = &self.tensor(node.inputs[1]).shape;
        dense::Dense { inputs: word(dims[1]), outputs: word(dims[0]) }
    }

    pub(super) fn conv2d_shape(&self, node: &Node, op: &ops::Conv2d) -> Result<conv2d::Conv2d, LowerError> {
        let [.., in_c] = self.image(node.inputs[0]);
        let [.., out_c] = self.image(node.outputs[0]);
        let window = self.window(node, &op.window())?;
        Ok(conv2d::Conv2d { window, in_c, out_c, groups: word(op.groups) })
    }

    /// Scratch for a convolution on the target, and its elements.
    pub(super) fn conv2d_scratch(&mut self, node: &Node, shape: &conv2d::Conv2d) -> (Option<BufferId>, u32) {
        let elements = conv2d::scratch_elements(shape, self.sequence.samples, self.lowering.options.isa);
        let buffer = (elements > 0).then(|| self.lowering.program.transient(format!("{}/scratch", node.name)));
        (buffer, word(elements))
    }

    pub(super) fn depthwise_shape(
        &self,
        node: &Node,
        op: &ops::DepthwiseConv2d,
    ) -> Result<depthwise_conv2d::DepthwiseConv2d, LowerError> {
        let [.., in_c] = self.image(node.inputs[0]);
        let [.., out_c] = self.image(node.outputs[0]);
        let window = self.window(node, &op.window())?;
        Ok(depthwise_conv2d::DepthwiseConv2d { window, in_c, out_c, multiplier: word(op.depth_multiplier) })
    }

    pub(super) fn pool_shape(&self, node: &Node) -> Result<Pool2d, LowerError> {
        let [in_h, in_w, channels] = self.image(node.inputs[0]);
        let window = match &node.op {
            Op::MaxPool2d(op) => op.window(),
            Op::AveragePool2d(op) => op.window(),
            // Global: a window as large as the input.
            _ => Window {
                kernel: [in_h as usize, in_w as usize],
                strides: [1, 1],
                dilation: [1, 1],
                padding: ops::Padding::Valid,
            },
        };
        Ok(Pool2d { window: self.window(node, &window)?, channels })
    }

    /// The window in the image's words: how it walks over the node's input.
    fn window(&self, node: &Node, window: &Window) -> Result<Window2d, LowerError> {
        let [in_h, in_w, _] = self.image(node.inputs[0]);
        let spans = window.spans([in_h, in_w].map(|d| d as usize)).map_err(|_| unsupported(node, "this window"))?;
        let axis = |axis: usize, input| Axis {
            input,
            output: word(spans[axis].output),
            kernel: word(window.kernel[axis]),
            stride: word(window.strides[axis]),
            dilation: word(window.dilation[axis]),
            pad: word(spans[axis].before),
        };
        Ok(Window2d { height: axis(0, in_h), width: axis(1, in_w) })
    }

    /// Rows and their length: softmax runs over the last axis.
    pub(super) fn softmax_rows(&self, node: &Node) -> (u32, u32) {
        let shape = &self.tensor(node.outputs[0]).shape;
        let len = shape.last().copied().unwrap_or(1);
        (word(shape.iter().product::<usize>() / len.max(1)), word(len))
    }

    /// `[height, width, channels]`; validation has seen that there are three.
    fn image(&self, id: TensorId) -> [u32; 3] {
        let shape = &self.tensor(id).shape;
        [0, 1, 2].map(|axis| shape.get(axis).copied().map_or(1, word))
    }

    pub(super) fn expect_type(&self, node: &Node, id: TensorId, expected: DType) -> Result<(), LowerError> {
        let tensor = self.tensor(id);
        if tensor.dtype == expected {
            return Ok(());
        }
        Err(LowerError::Type { node: node.name.clone(), tensor: tensor.name.clone(), found: tensor.dtype, expected })
    }
}

/// The limits of a clamp; none for other functions.
pub(super) fn bounds(activation: Activation) -> (f32, f32) {
    activation.clamp().unwrap_or((f32::NEG_INFINITY, f32::INFINITY))
}

/// The kernel's number for an activation function.
pub(super) fn activation_kind(node: &Node, function: Activation) -> Result<u32, LowerError> {
    let kind = match function {
        Activation::Sigmoid => activation::Kind::Sigmoid,
        Activation::Tanh => activation::Kind::Tanh,
        Activation::Softmax => return Err(unsupported(node, "softmax as an activation")),
        _ => activation::Kind::Clamp,
    };
    Ok(kind as u32)
}
