//! Operations on equal shapes, and changes of type.

use super::super::error::OpError;
use super::super::tensor::shape_text;
use super::{Activation, Operation, Port, check_fused};
use serde::{Deserialize, Serialize};

/// `y = activation(a + b)`, equal shapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Add {
    /// Applied to the result; in a graph only clamps.
    #[serde(default)]
    pub activation: Activation,
}

impl Operation for Add {
    fn kind(&self) -> &'static str {
        "add"
    }

    fn arity(&self) -> (usize, usize) {
        (2, 2)
    }

    fn check(&self) -> Result<(), OpError> {
        check_fused(self.activation)
    }

    fn output(&self, inputs: &[Port<'_>]) -> Result<Vec<usize>, OpError> {
        if inputs[1].shape != inputs[0].shape {
            return Err(inputs[1].expected(format!("{} as the first input", shape_text(inputs[0].shape))));
        }
        Ok(inputs[0].shape.to_vec())
    }

    fn fused(&self) -> Activation {
        self.activation
    }

    fn set_fused(&mut self, activation: Activation) -> bool {
        self.activation = activation;
        true
    }
}

/// Real to integer, or integer to integer of another scale; the output tensor says which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantize {}

impl Operation for Quantize {
    fn kind(&self) -> &'static str {
        "quantize"
    }

    fn output(&self, inputs: &[Port<'_>]) -> Result<Vec<usize>, OpError> {
        Ok(inputs[0].shape.to_vec())
    }
}

/// Integer to real.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dequantize {}

impl Operation for Dequantize {
    fn kind(&self) -> &'static str {
        "dequantize"
    }

    fn output(&self, inputs: &[Port<'_>]) -> Result<Vec<usize>, OpError> {
        Ok(inputs[0].shape.to_vec())
    }
}
