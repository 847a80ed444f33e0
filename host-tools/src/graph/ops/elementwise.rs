//! Operations element by element, and changes of type.

use super::super::error::OpError;
use super::super::tensor::shape_text;
use super::{Activation, Init, Operation, Parameter, Port, check_fused};
use serde::{Deserialize, Serialize};

/// Shape of `a` and `b` together: aligned at their last axes; an axis of one value, or none, takes the other's.
pub fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let dim = |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |i| shape[i]);
    let together = |axis| match (dim(a, axis), dim(b, axis)) {
        (a, b) if a == b || b == 1 => Some(a),
        (1, b) => Some(b),
        _ => None,
    };
    (0..rank).map(together).collect()
}

/// Operations on two inputs, element by element.
macro_rules! binary {
    ($($(#[$doc:meta])* $name:ident $kind:literal)*) => {$(
        $(#[$doc])*
        ///
        /// Shapes are [`broadcast`]; an input may be a constant, which is the same for all samples.
        #[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            /// Applied to the result; in a graph only clamps.
            #[serde(default)]
            pub activation: Activation,
        }

        impl Operation for $name {
            fn kind(&self) -> &'static str {
                $kind
            }

            fn arity(&self) -> (usize, usize) {
                (2, 2)
            }

            fn check(&self) -> Result<(), OpError> {
                check_fused(self.activation)
            }

            fn output(&self, inputs: &[Port<'_>]) -> Result<Vec<usize>, OpError> {
                let [a, b] = [inputs[0].shape, inputs[1].shape];
                broadcast(a, b).ok_or_else(|| inputs[1].expected(format!("{} or what broadcasts to it", shape_text(a))))
            }

            fn fused(&self) -> Activation {
                self.activation
            }

            fn set_fused(&mut self, activation: Activation) -> bool {
                self.activation = activation;
                true
            }
        }
    )*};
}

binary! {
    /// `y = activation(a + b)`
    Add "add"
    /// `y = activation(a - b)`
    Sub "sub"
    /// `y = activation(a * b)`
    Mul "mul"
    /// `y = activation(a / b)`
    Div "div"
    /// `y = activation(min(a, b))`
    Minimum "minimum"
    /// `y = activation(max(a, b))`
    Maximum "maximum"
}

/// `x` where it is positive, `slope * x` elsewhere; one slope for each value of the last axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PRelu {}

impl Operation for PRelu {
    fn kind(&self) -> &'static str {
        "prelu"
    }

    fn output(&self, inputs: &[Port<'_>]) -> Result<Vec<usize>, OpError> {
        if inputs[0].shape.is_empty() {
            return Err(inputs[0].expected("at least one axis"));
        }
        Ok(inputs[0].shape.to_vec())
    }

    fn parameters(&self, input: &[usize]) -> Vec<Parameter> {
        let shape = input.last().copied().into_iter().collect();
        vec![Parameter { role: "slope", shape, init: Init::Zeros }]
    }

    fn parameter_count(&self) -> usize {
        1
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
