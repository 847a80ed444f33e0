//! The fully connected layer.

use super::super::error::OpError;
use super::{Activation, Init, Operation, Parameter, Port, at_least_one, check_fused};
use serde::{Deserialize, Serialize};

/// `y[o] = activation(b[o] + sum_i x[i] * w[o][i])`, over the last axis.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dense {
    /// Features of the output.
    pub units: usize,
    /// Whether a bias is added.
    #[serde(default = "yes")]
    pub use_bias: bool,
    /// Applied to the result; in a graph only clamps.
    #[serde(default)]
    pub activation: Activation,
}

pub(super) fn yes() -> bool {
    true
}

impl Dense {
    /// With bias, without activation.
    pub const fn new(units: usize) -> Self {
        Self { units, use_bias: true, activation: Activation::Linear }
    }

    /// Sets the activation.
    #[must_use]
    pub const fn activation(self, activation: Activation) -> Self {
        Self { activation, ..self }
    }

    /// Sets whether there is a bias.
    #[must_use]
    pub const fn use_bias(self, use_bias: bool) -> Self {
        Self { use_bias, ..self }
    }
}

impl Operation for Dense {
    fn kind(&self) -> &'static str {
        "dense"
    }

    fn check(&self) -> Result<(), OpError> {
        at_least_one("units", self.units)?;
        check_fused(self.activation)
    }

    fn output(&self, inputs: &[Port<'_>]) -> Result<Vec<usize>, OpError> {
        match inputs[0].shape {
            [outer @ .., _] => Ok([outer, &[self.units]].concat()),
            [] => Err(inputs[0].expected("at least one axis")),
        }
    }

    fn parameters(&self, input: &[usize]) -> Vec<Parameter> {
        let fan_in = input.last().copied().unwrap_or(0);
        let kernel = Parameter {
            role: "kernel",
            shape: vec![self.units, fan_in],
            init: Init::GlorotUniform { fan_in, fan_out: self.units },
        };
        let bias = Parameter { role: "bias", shape: vec![self.units], init: Init::Zeros };
        if self.use_bias { vec![kernel, bias] } else { vec![kernel] }
    }

    fn parameter_count(&self) -> usize {
        1 + usize::from(self.use_bias)
    }

    fn macs(&self, input: &[usize], _output: &[usize]) -> u64 {
        input.iter().product::<usize>() as u64 * self.units as u64
    }

    fn fused(&self) -> Activation {
        self.activation
    }

    fn set_fused(&mut self, activation: Activation) -> bool {
        self.activation = activation;
        true
    }
}
