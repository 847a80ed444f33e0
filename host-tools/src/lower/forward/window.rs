//! Windows and images in the words of records.

use super::super::{Emit, LowerError, unsupported, word};
use crate::graph::ops::Window;
use crate::graph::{Node, TensorId};
use embernet_core::kernels::window::{Axis, Window2d};

impl Emit<'_, '_> {
    /// The window in the image's words: how it walks over the node's input.
    pub(super) fn window(&self, node: &Node, window: &Window) -> Result<Window2d, LowerError> {
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

    /// `[height, width, channels]`; validation has seen that there are three.
    pub(in super::super) fn image(&self, id: TensorId) -> [u32; 3] {
        let shape = &self.tensor(id).shape;
        [0, 1, 2].map(|axis| shape.get(axis).copied().map_or(1, word))
    }
}
