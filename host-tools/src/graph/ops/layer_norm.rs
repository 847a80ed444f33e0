//! Layer normalisation.

use super::super::error::OpError;
use super::{Init, Operation, Parameter, Port, at_least_one};
use serde::{Deserialize, Serialize};

/// `y = (x - mean) / sqrt(variance + epsilon) * gamma + beta`, over the last `axes` axes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerNorm {
    /// How many of the last axes are normalised together.
    #[serde(default = "super::conv::one")]
    pub axes: usize,
    /// Added to the variance.
    #[serde(with = "crate::exact::tagged")]
    pub epsilon: f32,
    /// Whether there is a `beta`.
    #[serde(default = "super::dense::yes")]
    pub use_bias: bool,
}

impl LayerNorm {
    /// Over the last axis, with `beta`.
    pub const fn new(epsilon: f32) -> Self {
        Self { axes: 1, epsilon, use_bias: true }
    }
}

impl Operation for LayerNorm {
    fn kind(&self) -> &'static str {
        "layer_norm"
    }

    fn check(&self) -> Result<(), OpError> {
        at_least_one("axes", self.axes)?;
        if self.epsilon.is_finite() && self.epsilon > 0.0 {
            return Ok(());
        }
        let found = self.epsilon.to_string();
        Err(OpError::Attribute { what: "epsilon", found, expected: "a positive, finite number" })
    }

    fn output(&self, inputs: &[Port<'_>]) -> Result<Vec<usize>, OpError> {
        if inputs[0].shape.len() < self.axes {
            return Err(inputs[0].expected(format!("at least {} axes", self.axes)));
        }
        Ok(inputs[0].shape.to_vec())
    }

    fn parameters(&self, input: &[usize]) -> Vec<Parameter> {
        let shape = input[input.len().saturating_sub(self.axes)..].to_vec();
        let gamma = Parameter { role: "gamma", shape: shape.clone(), init: Init::Ones };
        let beta = Parameter { role: "beta", shape, init: Init::Zeros };
        if self.use_bias { vec![gamma, beta] } else { vec![gamma] }
    }

    fn parameter_count(&self) -> usize {
        1 + usize::from(self.use_bias)
    }
}
