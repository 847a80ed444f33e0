//! Activation functions, fused or as a node of their own, and softmax.

use super::super::error::OpError;
use super::{Operation, Port};
use serde::{Deserialize, Serialize};

/// A function of one value (softmax: of a vector).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// No change.
    #[default]
    #[serde(alias = "none")]
    Linear,
    /// `max(x, 0)`
    Relu,
    /// `min(max(x, 0), 6)`
    Relu6,
    /// `min(max(x, -1), 1)`
    ReluN1To1,
    /// `1 / (1 + exp(-x))`
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// `exp(x_i) / sum exp(x_j)` over the last axis. In the builder only: becomes its own node.
    Softmax,
}

impl Activation {
    /// The name in files and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Relu => "relu",
            Self::Relu6 => "relu6",
            Self::ReluN1To1 => "relu_n1_to_1",
            Self::Sigmoid => "sigmoid",
            Self::Tanh => "tanh",
            Self::Softmax => "softmax",
        }
    }

    /// Bounds `(low, high)` when the function only clamps; infinite where it does not.
    pub const fn clamp(self) -> Option<(f32, f32)> {
        match self {
            Self::Linear => Some((f32::NEG_INFINITY, f32::INFINITY)),
            Self::Relu => Some((0.0, f32::INFINITY)),
            Self::Relu6 => Some((0.0, 6.0)),
            Self::ReluN1To1 => Some((-1.0, 1.0)),
            Self::Sigmoid | Self::Tanh | Self::Softmax => None,
        }
    }

    /// Whether it can be fused into the operation before it.
    pub const fn is_clamp(self) -> bool {
        self.clamp().is_some()
    }
}

/// An activation function as a node of its own; softmax is [`Softmax`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActivationLayer {
    /// Any but softmax.
    pub function: Activation,
}

impl Operation for ActivationLayer {
    fn kind(&self) -> &'static str {
        self.function.name()
    }

    fn check(&self) -> Result<(), OpError> {
        if self.function == Activation::Softmax {
            return Err(OpError::Attribute {
                what: "function",
                found: "softmax".into(),
                expected: "written as the operation `softmax`",
            });
        }
        Ok(())
    }

    fn output(&self, inputs: &[Port<'_>]) -> Result<Vec<usize>, OpError> {
        Ok(inputs[0].shape.to_vec())
    }
}

/// Softmax over the last axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Softmax {}

impl Operation for Softmax {
    fn kind(&self) -> &'static str {
        "softmax"
    }

    fn output(&self, inputs: &[Port<'_>]) -> Result<Vec<usize>, OpError> {
        if inputs[0].shape.is_empty() {
            return Err(inputs[0].expected("at least one axis"));
        }
        Ok(inputs[0].shape.to_vec())
    }
}
