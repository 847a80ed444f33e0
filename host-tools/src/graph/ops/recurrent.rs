//! Recurrent layers over sequences `[time, features]`.

use super::super::error::OpError;
use super::dense::yes;
use super::{Init, Operation, Parameter, Port, at_least_one};
use serde::{Deserialize, Serialize};

/// Long short-term memory; gates in the order input, forget, cell, output.
///
/// Data inputs: `x`, and optionally the hidden and the cell state to start from, `[units]` each; else they are zeros.
/// Outputs: the hidden state of every step `[time, units]`, the last hidden state `[units]`, the last cell state
/// `[units]`. Parameters: `kernel [4 units][features]`, `recurrent [4 units][units]`, `bias [4 units]` and
/// `peepholes [3 units]` for the input, the forget and the output gate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lstm {
    /// Features of the state.
    pub units: usize,
    /// Whether it walks from the last step to the first. Outputs are numbered as the input's steps all the same.
    #[serde(default)]
    pub reverse: bool,
    /// Whether there is a bias.
    #[serde(default = "yes")]
    pub use_bias: bool,
    /// Whether gates see the cell (f32 only): input and forget gate before the step, the output gate after.
    #[serde(default)]
    pub peepholes: bool,
    /// Limit of the cell's magnitude (integers only), 0 for none.
    #[serde(default, with = "crate::exact::tagged")]
    pub cell_clip: f32,
}

/// Gated recurrent unit; gates in the order update, reset, new, as ONNX has them.
///
/// Data inputs: `x`, and optionally the state to start from, `[units]`; else it is zeros. Outputs: the state of every
/// step `[time, units]`, the last state `[units]`. Parameters: `kernel [3 units][features]`,
/// `recurrent [3 units][units]`, `bias [3 units]`, `recurrent_bias [3 units]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gru {
    /// Features of the state.
    pub units: usize,
    /// Whether it walks from the last step to the first. Outputs are numbered as the input's steps all the same.
    #[serde(default)]
    pub reverse: bool,
    /// Whether the reset gate acts on the product with the state (ONNX's `linear_before_reset`), not on the state. Keras
    /// and PyTorch do so; only such layers can be trained.
    #[serde(default = "yes")]
    pub reset_after: bool,
    /// Whether there are biases.
    #[serde(default = "yes")]
    pub use_bias: bool,
}

/// Shapes of the outputs: every step, then the last state so often.
fn outputs(units: usize, states: usize, inputs: &[Port<'_>]) -> Result<Vec<Vec<usize>>, OpError> {
    let [time, _] = inputs[0].shape else {
        return Err(inputs[0].expected("a sequence of time x features"));
    };
    if inputs.len() != 1 && inputs.len() != 1 + states {
        let expected = format!("1 or {}", 1 + states);
        return Err(OpError::Inputs { found: inputs.len(), expected });
    }
    if let Some(state) = inputs[1..].iter().find(|port| port.shape != [units]) {
        return Err(state.expected(format!("a state of {units} features")));
    }
    let mut shapes = vec![vec![*time, units]];
    shapes.resize(1 + states, vec![units]);
    Ok(shapes)
}

/// Kernel, recurrent kernel and the biases that `roles` names.
fn parameters(gates: usize, units: usize, input: &[usize], roles: &[&'static str]) -> Vec<Parameter> {
    let rows = gates.saturating_mul(units);
    let matrix = |role, columns| Parameter {
        role,
        shape: vec![rows, columns],
        init: Init::GlorotUniform { fan_in: columns, fan_out: units },
    };
    let bias = |role: &&'static str| Parameter { role, shape: vec![rows], init: Init::Zeros };
    let kernels = [matrix("kernel", input.last().copied().unwrap_or(0)), matrix("recurrent", units)];
    kernels.into_iter().chain(roles.iter().map(bias)).collect()
}

fn macs(gates: usize, units: usize, input: &[usize]) -> u64 {
    let [time, features] = input else { return 0 };
    (time * gates * units) as u64 * (features + units) as u64
}

impl Operation for Lstm {
    fn kind(&self) -> &'static str {
        "lstm"
    }

    fn arity(&self) -> (usize, usize) {
        (1, 3)
    }

    fn check(&self) -> Result<(), OpError> {
        at_least_one("units", self.units)
    }

    fn output(&self, inputs: &[Port<'_>]) -> Result<Vec<usize>, OpError> {
        Ok(self.outputs(inputs)?.swap_remove(0))
    }

    fn output_count(&self) -> usize {
        3
    }

    fn outputs(&self, inputs: &[Port<'_>]) -> Result<Vec<Vec<usize>>, OpError> {
        outputs(self.units, 2, inputs)
    }

    fn parameters(&self, input: &[usize]) -> Vec<Parameter> {
        let mut all = parameters(4, self.units, input, if self.use_bias { &["bias"] } else { &[] });
        if self.peepholes {
            let shape = vec![self.units.saturating_mul(3)];
            all.push(Parameter { role: "peepholes", shape, init: Init::Zeros });
        }
        all
    }

    fn parameter_count(&self) -> usize {
        2 + usize::from(self.use_bias) + usize::from(self.peepholes)
    }

    fn macs(&self, input: &[usize], _output: &[usize]) -> u64 {
        macs(4, self.units, input)
    }
}

impl Operation for Gru {
    fn kind(&self) -> &'static str {
        "gru"
    }

    fn arity(&self) -> (usize, usize) {
        (1, 2)
    }

    fn check(&self) -> Result<(), OpError> {
        at_least_one("units", self.units)
    }

    fn output(&self, inputs: &[Port<'_>]) -> Result<Vec<usize>, OpError> {
        Ok(self.outputs(inputs)?.swap_remove(0))
    }

    fn output_count(&self) -> usize {
        2
    }

    fn outputs(&self, inputs: &[Port<'_>]) -> Result<Vec<Vec<usize>>, OpError> {
        outputs(self.units, 1, inputs)
    }

    fn parameters(&self, input: &[usize]) -> Vec<Parameter> {
        parameters(3, self.units, input, if self.use_bias { &["bias", "recurrent_bias"] } else { &[] })
    }

    fn parameter_count(&self) -> usize {
        2 + 2 * usize::from(self.use_bias)
    }

    fn macs(&self, input: &[usize], _output: &[usize]) -> u64 {
        macs(3, self.units, input)
    }
}
