//! A depthwise layer that sees a single input channel becomes a convolution.
//!
//! Both sum the same products. A convolution's loops multiply along the taps and share what they load between filters,
//! where a depthwise loop has one channel's worth of work for each load. Integers only: tokens that fuse multiply and
//! add do so in one of the two layers and not in the other.

use super::editor::Editor;
use crate::graph::ops::Conv2d;
use crate::graph::{DType, Data, NodeId, Op};

/// Gives the number of layers that changed.
pub fn run(editor: &mut Editor) -> usize {
    editor.nodes().into_iter().filter(|id| convert(editor, *id)).count()
}

fn convert(editor: &mut Editor, id: NodeId) -> bool {
    let node = editor.node(id);
    let (Op::DepthwiseConv2d(op), [x, kernel, ..]) = (&node.op, node.inputs.as_slice()) else { return false };
    let (op, kernel) = (*op, *kernel);
    let input = editor.tensor(*x);
    if input.dtype != DType::I8 || input.shape.last() != Some(&1) || editor.only_reader(kernel) != Some(id) {
        return false;
    }
    let Some(Data::I8(weights)) = editor.constant(kernel) else { return false };
    // Taps, then filters: to filters, then taps.
    let filters = op.depth_multiplier;
    let turned = (0..filters).flat_map(|f| weights.iter().skip(f).step_by(filters).copied()).collect();
    let tensor = editor.tensor_mut(kernel);
    tensor.data = Some(Data::I8(turned));
    tensor.shape = vec![filters, op.kernel[0], op.kernel[1], 1];
    if let Some(axis) = tensor.quant.as_mut().and_then(|quant| quant.axis.as_mut()) {
        *axis = 0;
    }
    editor.node_mut(id).op = Op::Conv2d(Conv2d {
        strides: op.strides,
        padding: op.padding,
        dilation: op.dilation,
        use_bias: op.use_bias,
        activation: op.activation,
        ..Conv2d::new(filters, op.kernel)
    });
    true
}
