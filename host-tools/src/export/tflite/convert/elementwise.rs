//! Operations on single values, and softmax.

use super::{Writer, fused, unsupported};
use crate::export::tflite::ExportError;
use crate::export::tflite::flat::{Table, Value};
use crate::graph::ops::Activation;
use crate::graph::{DType, Node};
use crate::import::tflite::schema::op;
use crate::import::tflite::schema::option::{binary, gelu, leaky_relu, softmax};

impl Writer<'_> {
    /// ADD, SUB, MUL or DIV, whose options have this number.
    pub(super) fn binary(
        &mut self,
        node: &Node,
        code: i32,
        options: u8,
        activation: Activation,
    ) -> Result<(), ExportError> {
        let mut table = Table::new().with(binary::ACTIVATION, Value::U8(fused(node, activation)?));
        if matches!(code, op::ADD | op::SUB) && self.tensor(node.outputs[0]).dtype == DType::I16 {
            // Otherwise runtimes may add by shifts, where all scales are powers of two.
            table = table.with(binary::POT_SCALE, Value::U8(0));
        }
        self.plain(node, code, Some((options, table)))
    }

    /// MINIMUM or MAXIMUM, which carry no activation.
    pub(super) fn extremum(&mut self, node: &Node, code: i32, activation: Activation) -> Result<(), ExportError> {
        match activation {
            Activation::Linear => self.plain(node, code, Some((39, Table::new()))),
            other => Err(unsupported(node, format!("extremum with fused {}", other.name()))),
        }
    }

    pub(super) fn softmax(&mut self, node: &Node, beta: f32) -> Result<(), ExportError> {
        let options = Table::new().with(softmax::BETA, Value::F32(beta));
        self.plain(node, op::SOFTMAX, Some((9, options)))
    }

    pub(super) fn prelu(&mut self, node: &Node) -> Result<(), ExportError> {
        let slopes = self.tensor(node.inputs[1]).clone();
        let inputs =
            vec![self.operand(node.inputs[0])?, self.shaped(node.inputs[1], &slopes.shape, None, slopes.quant)?];
        self.operator(node, op::PRELU, inputs, None)
    }

    pub(super) fn activation(&mut self, node: &Node, function: Activation) -> Result<(), ExportError> {
        let (code, options) = match function {
            Activation::Relu => (op::RELU, None),
            Activation::Relu6 => (op::RELU6, None),
            Activation::ReluN1To1 => (op::RELU_N1_TO_1, None),
            Activation::Sigmoid => (op::LOGISTIC, None),
            Activation::Tanh => (op::TANH, None),
            Activation::LeakyRelu { alpha } => {
                (op::LEAKY_RELU, Some((75, Table::new().with(leaky_relu::ALPHA, Value::F32(alpha)))))
            }
            Activation::Elu { alpha: 1.0 } => (op::ELU, None),
            Activation::HardSwish => (op::HARD_SWISH, Some((91, Table::new()))),
            Activation::Gelu { approximate } => {
                (op::GELU, Some((116, Table::new().with(gelu::APPROXIMATE, Value::U8(approximate.into())))))
            }
            Activation::Exp => (op::EXP, Some((33, Table::new()))),
            Activation::Log => (op::LOG, None),
            Activation::Sqrt => (op::SQRT, None),
            Activation::Abs => (op::ABS, Some((78, Table::new()))),
            Activation::Neg => (op::NEG, Some((42, Table::new()))),
            // Nothing happens to reals; integers may change their scale.
            Activation::Linear if self.tensor(node.inputs[0]).quant.is_some() => {
                (op::QUANTIZE, Some((89, Table::new())))
            }
            Activation::Linear => return self.reshape(node),
            Activation::Elu { .. } | Activation::HardSigmoid { .. } | Activation::Reciprocal | Activation::Softmax => {
                return Err(unsupported(node, format!("operator for this {}", function.name())));
            }
        };
        self.plain(node, code, options)
    }
}
