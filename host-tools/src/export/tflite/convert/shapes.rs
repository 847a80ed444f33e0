//! Operations that only give the values another shape.

use super::Writer;
use crate::export::tflite::ExportError;
use crate::export::tflite::flat::{Table, Value};
use crate::graph::Node;
use crate::import::tflite::schema::op;
use crate::import::tflite::schema::option::reshape;

impl Writer<'_> {
    pub(super) fn reshape(&mut self, node: &Node) -> Result<(), ExportError> {
        let input = self.operand(node.inputs[0])?;
        self.reshape_from(node, input)
    }

    /// From a tensor of the file to the node's output.
    pub(super) fn reshape_from(&mut self, node: &Node, input: i32) -> Result<(), ExportError> {
        let shape: Vec<usize> = std::iter::once(1).chain(self.tensor(node.outputs[0]).shape.iter().copied()).collect();
        let list = self.integers(node, "shape", shape.iter().copied());
        let option = Value::I32s(shape.iter().map(|d| *d as i32).collect());
        let options = Table::new().with(reshape::NEW_SHAPE, option);
        self.operator(node, op::RESHAPE, vec![input, list], Some((17, options)))
    }
}
