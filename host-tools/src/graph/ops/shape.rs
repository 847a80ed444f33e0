//! Operations that only rename axes; they cost nothing at run time.

use super::super::error::OpError;
use super::super::tensor::{elements, shape_text};
use super::{Operation, Port};
use serde::{Deserialize, Serialize};

/// All axes become one, row-major.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flatten {}

impl Operation for Flatten {
    fn kind(&self) -> &'static str {
        "flatten"
    }

    fn output(&self, inputs: &[Port<'_>]) -> Result<Vec<usize>, OpError> {
        Ok(vec![elements(inputs[0].shape).ok_or(OpError::Overflow)?])
    }
}

/// The same values, in row-major order, under another shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reshape {
    /// Without the batch axis.
    pub shape: Vec<usize>,
}

impl Reshape {
    /// To this shape of one sample.
    pub fn new(shape: impl Into<Vec<usize>>) -> Self {
        Self { shape: shape.into() }
    }
}

impl Operation for Reshape {
    fn kind(&self) -> &'static str {
        "reshape"
    }

    fn output(&self, inputs: &[Port<'_>]) -> Result<Vec<usize>, OpError> {
        let wanted = elements(&self.shape).ok_or(OpError::Overflow)?;
        if elements(inputs[0].shape) != Some(wanted) {
            let target = shape_text(&self.shape);
            return Err(inputs[0].expected(format!("{wanted} elements (to become {target})")));
        }
        Ok(self.shape.clone())
    }
}
