//! Operations: what a node does, with its parameters.
//!
//! One struct per operation serves the graph, the Keras-like builder and the experiment file.
//! A node's inputs are the operation's data inputs, then its parameters in the order of
//! [`Operation::parameters`]. Layouts of the parameters:
//!
//! | operation | kernel | bias |
//! |---|---|---|
//! | dense | `[out][in]` | `[out]` |
//! | conv2d | `[out][kh][kw][in / groups]` | `[out]` |
//! | transpose_conv2d | `[in][kh][kw][out / groups]` | `[out]` |
//! | depthwise_conv2d | `[kh][kw][channels * multiplier]`, output channel `c * multiplier + m` | `[channels * multiplier]` |
//! | prelu | `[last axis]` slopes | |
//! | normalise | `[channels][256]` tables, `[channels][4]` sums | |
//!
//! The depthwise kernel lies as TFLite and CMSIS-NN store it: all output channels of one tap are
//! neighbours, so that a kernel runs along channels.

mod activation;
mod batch_norm;
mod conv;
mod dense;
mod elementwise;
mod layer_norm;
mod matmul;
mod movement;
mod normalise;
mod pool;
mod recurrent;
mod reduce;
mod shape;
mod svdf;
mod transpose_conv;
mod window;

#[cfg(test)]
mod tests;

pub use activation::{Activation, ActivationLayer, LogSoftmax, Softmax};
pub use batch_norm::BatchNorm;
pub use conv::{Conv2d, DepthwiseConv2d};
pub use dense::Dense;
pub use elementwise::{Add, Dequantize, Div, Maximum, Minimum, Mul, PRelu, Quantize, Sub, broadcast};
pub use layer_norm::LayerNorm;
pub use matmul::{MatMul, MatMulSizes};
pub use movement::{Concat, Pad, ResizeNearest, Slice, Transpose};
pub use normalise::Normalise;
pub use pool::{AveragePool2d, GlobalAveragePool2d, GlobalMaxPool2d, MaxPool2d};
pub use recurrent::{Gru, Lstm};
pub use reduce::{Reduce, Reduction};
pub use shape::{Flatten, Reshape};
pub use svdf::Svdf;
pub use transpose_conv::TransposeConv2d;
pub use window::{Padding, Span, Window};

use super::error::OpError;
use serde::{Deserialize, Serialize};

/// How the builder fills a new parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Init {
    /// All 0.
    Zeros,
    /// All 1.
    Ones,
    /// Uniform in `±sqrt(6 / (fan_in + fan_out))` (Glorot and Bengio 2010), Keras' default.
    GlorotUniform {
        /// Products that go into one output.
        fan_in: usize,
        /// Products that one input goes into.
        fan_out: usize,
    },
}

/// A constant input that an operation needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// `kernel` or `bias`: the end of the tensor's name.
    pub role: &'static str,
    /// The whole shape.
    pub shape: Vec<usize>,
    /// How a new one is filled.
    pub init: Init,
}

/// What every operation can tell about itself. Shapes are without the batch axis.
pub trait Operation {
    /// The name in files, tables and messages: `conv2d`.
    fn kind(&self) -> &'static str;

    /// How many data inputs (without parameters): smallest and largest number.
    fn arity(&self) -> (usize, usize) {
        (1, 1)
    }

    /// Checks the attributes that do not depend on inputs.
    fn check(&self) -> Result<(), OpError> {
        Ok(())
    }

    /// Shape of the (first) output for these data inputs; checks that they fit.
    fn output(&self, inputs: &[Port<'_>]) -> Result<Vec<usize>, OpError>;

    /// How many outputs.
    fn output_count(&self) -> usize {
        1
    }

    /// Shapes of all outputs.
    fn outputs(&self, inputs: &[Port<'_>]) -> Result<Vec<Vec<usize>>, OpError> {
        Ok(vec![self.output(inputs)?])
    }

    /// The constants it needs, given the shape of its first data input, which fits.
    fn parameters(&self, _input: &[usize]) -> Vec<Parameter> {
        Vec::new()
    }

    /// Number of parameters, whatever the input.
    fn parameter_count(&self) -> usize {
        0
    }

    /// How many of the parameters, the last ones, are statistics: training moves them without gradient.
    fn statistics(&self) -> usize {
        0
    }

    /// Multiply-accumulates of one sample. Only products with weights count, as is the custom.
    fn macs(&self, _input: &[usize], _output: &[usize]) -> u64 {
        0
    }

    /// The clamp that the operation applies to its result.
    fn fused(&self) -> Activation {
        Activation::Linear
    }

    /// Sets the fused clamp; false if the operation cannot carry one.
    fn set_fused(&mut self, _activation: Activation) -> bool {
        false
    }
}

/// A data input as [`Operation::output`] sees it.
#[derive(Debug, Clone, Copy)]
pub struct Port<'a> {
    /// The tensor's name.
    pub name: &'a str,
    /// Its shape, without the batch axis.
    pub shape: &'a [usize],
}

impl Port<'_> {
    pub(crate) fn expected(&self, expected: impl Into<String>) -> OpError {
        OpError::InputShape { tensor: self.name.into(), found: self.shape.into(), expected: expected.into() }
    }

    /// `[height, width, channels]`.
    pub(crate) fn image(&self) -> Result<[usize; 3], OpError> {
        <[usize; 3]>::try_from(self.shape).map_err(|_| self.expected("height x width x channels"))
    }
}

/// What a node does; each variant holds the [`Operation`] of the same name.
#[allow(missing_docs)]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Op {
    Dense(Dense),
    #[serde(rename = "conv2d")]
    Conv2d(Conv2d),
    #[serde(rename = "depthwise_conv2d")]
    DepthwiseConv2d(DepthwiseConv2d),
    #[serde(rename = "max_pool2d")]
    MaxPool2d(MaxPool2d),
    #[serde(rename = "average_pool2d")]
    AveragePool2d(AveragePool2d),
    #[serde(rename = "global_average_pool2d")]
    GlobalAveragePool2d(GlobalAveragePool2d),
    #[serde(rename = "global_max_pool2d")]
    GlobalMaxPool2d(GlobalMaxPool2d),
    Flatten(Flatten),
    Reshape(Reshape),
    Activation(ActivationLayer),
    Softmax(Softmax),
    Add(Add),
    #[serde(alias = "batch_normalization")]
    BatchNorm(BatchNorm),
    Quantize(Quantize),
    Dequantize(Dequantize),
    LogSoftmax(LogSoftmax),
    Sub(Sub),
    Mul(Mul),
    Div(Div),
    Minimum(Minimum),
    Maximum(Maximum),
    #[serde(rename = "prelu")]
    PRelu(PRelu),
    Pad(Pad),
    Concat(Concat),
    Slice(Slice),
    Transpose(Transpose),
    ResizeNearest(ResizeNearest),
    Reduce(Reduce),
    #[serde(rename = "transpose_conv2d")]
    TransposeConv2d(TransposeConv2d),
    #[serde(rename = "matmul")]
    MatMul(MatMul),
    LayerNorm(LayerNorm),
    Lstm(Lstm),
    Gru(Gru),
    Svdf(Svdf),
    Normalise(Normalise),
}

/// The one list of variants; everything else asks the [`Operation`].
macro_rules! each {
    ($self:expr, $o:ident => $body:expr) => {
        match $self {
            Op::Dense($o) => $body,
            Op::Conv2d($o) => $body,
            Op::DepthwiseConv2d($o) => $body,
            Op::MaxPool2d($o) => $body,
            Op::AveragePool2d($o) => $body,
            Op::GlobalAveragePool2d($o) => $body,
            Op::GlobalMaxPool2d($o) => $body,
            Op::Flatten($o) => $body,
            Op::Reshape($o) => $body,
            Op::Activation($o) => $body,
            Op::Softmax($o) => $body,
            Op::Add($o) => $body,
            Op::BatchNorm($o) => $body,
            Op::Quantize($o) => $body,
            Op::Dequantize($o) => $body,
            Op::LogSoftmax($o) => $body,
            Op::Sub($o) => $body,
            Op::Mul($o) => $body,
            Op::Div($o) => $body,
            Op::Minimum($o) => $body,
            Op::Maximum($o) => $body,
            Op::PRelu($o) => $body,
            Op::Pad($o) => $body,
            Op::Concat($o) => $body,
            Op::Slice($o) => $body,
            Op::Transpose($o) => $body,
            Op::ResizeNearest($o) => $body,
            Op::Reduce($o) => $body,
            Op::TransposeConv2d($o) => $body,
            Op::MatMul($o) => $body,
            Op::LayerNorm($o) => $body,
            Op::Lstm($o) => $body,
            Op::Gru($o) => $body,
            Op::Svdf($o) => $body,
            Op::Normalise($o) => $body,
        }
    };
}

impl core::ops::Deref for Op {
    type Target = dyn Operation;

    fn deref(&self) -> &Self::Target {
        each!(self, o => o)
    }
}

impl core::ops::DerefMut for Op {
    fn deref_mut(&mut self) -> &mut Self::Target {
        each!(self, o => o)
    }
}

macro_rules! from {
    ($($layer:ident => $variant:ident),*) => {
        $(impl From<$layer> for Op {
            fn from(layer: $layer) -> Self {
                Self::$variant(layer)
            }
        })*
    };
}
from!(
    Dense => Dense, Conv2d => Conv2d, DepthwiseConv2d => DepthwiseConv2d, MaxPool2d => MaxPool2d,
    AveragePool2d => AveragePool2d, GlobalAveragePool2d => GlobalAveragePool2d,
    GlobalMaxPool2d => GlobalMaxPool2d, Flatten => Flatten, Reshape => Reshape,
    ActivationLayer => Activation, Softmax => Softmax, Add => Add, BatchNorm => BatchNorm, Quantize => Quantize,
    Dequantize => Dequantize, LogSoftmax => LogSoftmax, Sub => Sub, Mul => Mul, Div => Div, Minimum => Minimum, Maximum => Maximum, PRelu => PRelu, Pad => Pad, Concat => Concat, Slice => Slice, Transpose => Transpose, ResizeNearest => ResizeNearest, Reduce => Reduce,
    TransposeConv2d => TransposeConv2d, MatMul => MatMul, LayerNorm => LayerNorm, Lstm => Lstm, Gru => Gru, Svdf => Svdf, Normalise => Normalise
);

impl From<Activation> for Op {
    fn from(function: Activation) -> Self {
        match function {
            Activation::Softmax => Self::Softmax(Softmax::default()),
            function => Self::Activation(ActivationLayer { function }),
        }
    }
}

/// Checks that a fused activation is a clamp.
pub(crate) fn check_fused(activation: Activation) -> Result<(), OpError> {
    if activation.is_clamp() { Ok(()) } else { Err(OpError::NotFusable { activation: activation.name() }) }
}

/// Checks that an attribute is at least one.
pub(crate) fn at_least_one(what: &'static str, value: usize) -> Result<(), OpError> {
    if value >= 1 { Ok(()) } else { Err(OpError::Attribute { what, found: value.to_string(), expected: "at least 1" }) }
}
