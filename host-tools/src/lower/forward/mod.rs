//! Forward steps: one file for each family of operations, its types of numbers side by side.
//!
//! Integers are those of TFLite Micro: scales become multipliers, shifts and tables here, never on the device.
//! "int16" means int16 activations with int8 weights.

mod batch_norm;
mod binary;
mod boxes;
mod conv;
mod dense;
mod elementwise;
mod layer;
mod layer_norm;
mod matmul;
mod movement;
mod normalise;
mod pool;
mod quantize;
mod recurrent;
mod reduce;
mod softmax;
mod svdf;
mod transpose_conv;
mod weighted;
mod window;

pub(super) use binary::{Operand, binary_kind};
pub(super) use boxes::{Block, Lay, blocks};
pub(super) use elementwise::{bounds, function};
pub(super) use movement::Move;
pub(super) use weighted::channels;

use super::error::LowerError;
use super::{Emit, unsupported, word};
use crate::graph::{DType, Node, NodeId, Op, TensorId};
use crate::quant::fixed_point::{Affine, FixedPointError, activation_range};

/// A node on its way into steps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Site<'g> {
    /// Its number.
    pub id: NodeId,
    /// The node.
    pub node: &'g Node,
    /// Type of its data inputs and outputs; for changes of type that of the input.
    pub dtype: DType,
}

impl Emit<'_, '_> {
    /// Appends the steps that compute a node's output.
    pub(super) fn forward(&mut self, id: NodeId) -> Result<(), LowerError> {
        let node = self.graph().node(id);
        let site = Site { id, node, dtype: self.tensor(node.inputs[0]).dtype };
        if self.lowering.is_fixed() {
            return self.fixed_forward(site);
        }
        match &node.op {
            Op::Quantize(_) => return self.quantize(site),
            Op::Dequantize(_) => return self.dequantize(site),
            // Its cell state has a type of its own.
            Op::Lstm(op) => return self.lstm(site, op),
            _ => {}
        }
        for t in node.data_inputs().iter().chain(&node.outputs) {
            self.expect_type(node, *t, site.dtype)?;
        }
        match &node.op {
            Op::Flatten(_) | Op::Reshape(_) => {
                self.alias(node);
                Ok(())
            }
            Op::Dense(_) => self.dense(site),
            Op::Conv2d(op) => self.conv2d(site, op),
            Op::DepthwiseConv2d(op) => self.depthwise_conv2d(site, op),
            Op::MaxPool2d(_) if self.is_in_block(id) => Ok(()),
            Op::MaxPool2d(_) | Op::GlobalMaxPool2d(_) => self.max_pool(site),
            Op::AveragePool2d(_) => self.average_pool(site),
            Op::GlobalAveragePool2d(_) => self.global_average_pool(site),
            Op::Activation(layer) => self.activation(site, layer.function),
            Op::Softmax(op) => self.softmax(site, op.beta),
            Op::TransposeConv2d(op) => self.transpose_conv2d(site, op),
            Op::MatMul(op) => self.matmul(site, op),
            Op::LayerNorm(op) => self.layer_norm(site, op),
            Op::Gru(op) => self.gru(site, op),
            Op::Svdf(op) => self.svdf(site, op),
            Op::Normalise(op) => self.normalise(site, op),
            Op::LogSoftmax(_) => self.log_softmax(site),
            Op::PRelu(_) => self.prelu(site),
            Op::Reduce(op) => self.reduce(site, op),
            Op::Pad(op) => self.movement(site, Some(op)),
            Op::Concat(_) | Op::Slice(_) | Op::Transpose(_) => self.movement(site, None),
            Op::ResizeNearest(op) => self.resize_nearest(site, op),
            Op::BatchNorm(op) => self.batch_norm(site, op),
            op => match binary_kind(op) {
                Some(kind) => self.binary(site, kind, op.fused()),
                None => Err(self.no_kernel(site)),
            },
        }
    }

    /// The error of an operation without this type of numbers.
    fn no_kernel(&self, site: Site<'_>) -> LowerError {
        unsupported(site.node, site.dtype.name())
    }

    /// Elements of the node's output.
    pub(super) fn output_len(&self, node: &Node) -> u32 {
        word(self.tensor(node.outputs[0]).elements())
    }

    pub(super) fn expect_type(&self, node: &Node, id: TensorId, expected: DType) -> Result<(), LowerError> {
        let tensor = self.tensor(id);
        if tensor.dtype == expected {
            return Ok(());
        }
        Err(LowerError::Type { node: node.name.clone(), tensor: tensor.name.clone(), found: tensor.dtype, expected })
    }

    /// How the integers of an activation stand for reals.
    pub(super) fn affine(&self, node: &Node, id: TensorId) -> Result<Affine, LowerError> {
        let tensor = self.tensor(id);
        match &tensor.quant {
            Some(quant) => self.fixed(node, Affine::of(quant, tensor.dtype)),
            None => Err(LowerError::NotQuantised { node: node.name.clone(), tensor: tensor.name.clone() }),
        }
    }

    /// [`Emit::affine`] of the first input and of the output.
    fn affines(&self, node: &Node) -> Result<(Affine, Affine), LowerError> {
        Ok((self.affine(node, node.inputs[0])?, self.affine(node, node.outputs[0])?))
    }

    /// Limits of the output of an operation that keeps its input's scale.
    fn same_scale(&self, node: &Node) -> Result<(i32, i32), LowerError> {
        let (from, to) = self.affines(node)?;
        self.expect_scale(node, to, from)?;
        self.fixed(node, activation_range(node.op.fused(), to))
    }

    fn expect_scale(&self, node: &Node, found: Affine, expected: Affine) -> Result<(), LowerError> {
        if found == expected {
            return Ok(());
        }
        let text = |a: Affine| format!("scale {} and zero point {}", a.scale(), a.zero_point());
        Err(unsupported(node, format!("an output with {}; expected {}", text(found), text(expected))))
    }

    pub(super) fn fixed<T>(&self, node: &Node, result: Result<T, FixedPointError>) -> Result<T, LowerError> {
        result.map_err(|source| LowerError::FixedPoint { node: node.name.clone(), source })
    }
}
