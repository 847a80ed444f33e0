//! The singular value decomposition filter, a layer with a memory between runs.

use super::super::error::OpError;
use super::dense::yes;
use super::{Activation, Init, Operation, Parameter, Port, at_least_one, check_fused};
use serde::{Deserialize, Serialize};

/// A dense layer over the last `memory` runs, in factors of `rank`.
///
/// Parameters: `kernel [units * rank][features]`, `time [units * rank][memory]`, `bias [units]` and the `state`
/// `[units * rank][memory]` to start from, which every run changes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Svdf {
    /// Features of the output.
    pub units: usize,
    /// Filters of a unit.
    pub rank: usize,
    /// Runs that a filter remembers.
    pub memory: usize,
    /// Whether a bias is added.
    #[serde(default = "yes")]
    pub use_bias: bool,
    /// Applied to the result; in a graph only clamps.
    #[serde(default)]
    pub activation: Activation,
}

impl Operation for Svdf {
    fn kind(&self) -> &'static str {
        "svdf"
    }

    fn check(&self) -> Result<(), OpError> {
        at_least_one("units", self.units)?;
        at_least_one("rank", self.rank)?;
        at_least_one("memory", self.memory)?;
        check_fused(self.activation)
    }

    fn output(&self, inputs: &[Port<'_>]) -> Result<Vec<usize>, OpError> {
        match inputs[0].shape {
            [_] => Ok(vec![self.units]),
            _ => Err(inputs[0].expected("one axis of features")),
        }
    }

    fn parameters(&self, input: &[usize]) -> Vec<Parameter> {
        let filters = self.units.saturating_mul(self.rank);
        let features = input.iter().product();
        let zeros = |role, shape| Parameter { role, shape, init: Init::Zeros };
        let glorot = |role, fan_in, fan_out| Parameter {
            role,
            shape: vec![filters, fan_in],
            init: Init::GlorotUniform { fan_in, fan_out },
        };
        let mut all = vec![glorot("kernel", features, filters), glorot("time", self.memory, self.units)];
        all.extend(self.use_bias.then(|| zeros("bias", vec![self.units])));
        all.push(zeros("state", vec![filters, self.memory]));
        all
    }

    fn parameter_count(&self) -> usize {
        3 + usize::from(self.use_bias)
    }

    fn statistics(&self) -> usize {
        1
    }

    fn macs(&self, input: &[usize], _output: &[usize]) -> u64 {
        let features: usize = input.iter().product();
        (self.units * self.rank) as u64 * (features + self.memory) as u64
    }

    fn fused(&self) -> Activation {
        self.activation
    }

    fn set_fused(&mut self, activation: Activation) -> bool {
        self.activation = activation;
        true
    }
}
