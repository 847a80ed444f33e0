//! Activation functions, fused or as a node of their own, and softmax.

use super::super::error::OpError;
use super::{Operation, Port};
use serde::{Deserialize, Serialize};

/// A function of one value (softmax: of a vector).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
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
    /// `x` where it is positive, `alpha * x` elsewhere
    LeakyRelu {
        /// Slope of the negative side.
        #[serde(with = "crate::exact::tagged")]
        alpha: f32,
    },
    /// `x` where it is positive, `alpha * (exp(x) - 1)` elsewhere
    Elu {
        /// What the negative side ends at, negated.
        #[serde(with = "crate::exact::tagged")]
        alpha: f32,
    },
    /// `min(max(alpha * x + beta, 0), 1)`
    HardSigmoid {
        /// Slope.
        #[serde(with = "crate::exact::tagged")]
        alpha: f32,
        /// Value at 0.
        #[serde(with = "crate::exact::tagged")]
        beta: f32,
    },
    /// `x * min(max(x + 3, 0), 6) / 6`
    HardSwish,
    /// `x * P(X <= x)` for a standard normal `X`
    Gelu {
        /// By tanh: `x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) / 2`.
        approximate: bool,
    },
    /// `e^x`
    Exp,
    /// Natural logarithm.
    Log,
    /// Square root.
    Sqrt,
    /// Magnitude.
    Abs,
    /// `-x`
    Neg,
    /// `1 / x`
    Reciprocal,
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
            Self::LeakyRelu { .. } => "leaky_relu",
            Self::Elu { .. } => "elu",
            Self::HardSigmoid { .. } => "hard_sigmoid",
            Self::HardSwish => "hard_swish",
            Self::Gelu { .. } => "gelu",
            Self::Exp => "exp",
            Self::Log => "log",
            Self::Sqrt => "sqrt",
            Self::Abs => "abs",
            Self::Neg => "neg",
            Self::Reciprocal => "reciprocal",
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
            _ => None,
        }
    }

    /// Whether it can be fused into the operation before it.
    pub const fn is_clamp(self) -> bool {
        self.clamp().is_some()
    }
}

/// An activation function as a node of its own; softmax is [`Softmax`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
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
        let numbers = match self.function {
            Activation::LeakyRelu { alpha } | Activation::Elu { alpha } => [alpha, 0.0],
            Activation::HardSigmoid { alpha, beta } => [alpha, beta],
            _ => [0.0; 2],
        };
        match numbers.iter().find(|n| !n.is_finite()) {
            Some(n) => {
                Err(OpError::Attribute { what: "alpha, beta", found: n.to_string(), expected: "finite numbers" })
            }
            None => Ok(()),
        }
    }

    fn output(&self, inputs: &[Port<'_>]) -> Result<Vec<usize>, OpError> {
        Ok(inputs[0].shape.to_vec())
    }
}

/// `exp(beta * x_i) / sum exp(beta * x_j)` over the last axis.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Softmax {
    /// Sharpness; positive.
    #[serde(default = "one", with = "crate::exact::tagged")]
    pub beta: f32,
}

fn one() -> f32 {
    1.0
}

impl Default for Softmax {
    fn default() -> Self {
        Self { beta: 1.0 }
    }
}

impl Operation for Softmax {
    fn kind(&self) -> &'static str {
        "softmax"
    }

    fn check(&self) -> Result<(), OpError> {
        if self.beta.is_finite() && self.beta > 0.0 {
            return Ok(());
        }
        Err(OpError::Attribute { what: "beta", found: self.beta.to_string(), expected: "a positive, finite number" })
    }

    fn output(&self, inputs: &[Port<'_>]) -> Result<Vec<usize>, OpError> {
        over_last_axis(&inputs[0])
    }
}

/// `x_i - log sum exp(x_j)` over the last axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSoftmax {}

impl Operation for LogSoftmax {
    fn kind(&self) -> &'static str {
        "log_softmax"
    }

    fn output(&self, inputs: &[Port<'_>]) -> Result<Vec<usize>, OpError> {
        over_last_axis(&inputs[0])
    }
}

fn over_last_axis(input: &Port<'_>) -> Result<Vec<usize>, OpError> {
    if input.shape.is_empty() {
        return Err(input.expected("at least one axis"));
    }
    Ok(input.shape.to_vec())
}
