//! Operations on single values, and softmax.

use super::{Writer, fused, unsupported};
use crate::export::tflite::ExportError;
use crate::export::tflite::flat::{Table, Value};
use crate::graph::Node;
use crate::graph::ops::Activation;
use crate::import::tflite::schema::op;
use crate::import::tflite::schema::option::{add, softmax};

impl Writer<'_> {
    pub(super) fn add(&mut self, node: &Node, activation: Activation) -> Result<(), ExportError> {
        let options = Table::new().with(add::ACTIVATION, Value::U8(fused(node, activation)?));
        self.plain(node, op::ADD, Some((11, options)))
    }

    pub(super) fn softmax(&mut self, node: &Node) -> Result<(), ExportError> {
        let options = Table::new().with(softmax::BETA, Value::F32(1.0));
        self.plain(node, op::SOFTMAX, Some((9, options)))
    }

    pub(super) fn activation(&mut self, node: &Node, function: Activation) -> Result<(), ExportError> {
        let code = match function {
            Activation::Relu => op::RELU,
            Activation::Relu6 => op::RELU6,
            Activation::ReluN1To1 => op::RELU_N1_TO_1,
            Activation::Sigmoid => op::LOGISTIC,
            Activation::Tanh => op::TANH,
            // Nothing happens to reals; integers may change their scale.
            Activation::Linear if self.tensor(node.inputs[0]).quant.is_some() => {
                return self.plain(node, op::QUANTIZE, Some((89, Table::new())));
            }
            Activation::Linear => return self.reshape(node),
            other => return Err(unsupported(node, other.name())),
        };
        self.plain(node, code, None)
    }
}
