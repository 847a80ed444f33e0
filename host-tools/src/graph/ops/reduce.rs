//! One value in place of those along some axes.

use super::super::error::OpError;
use super::{Operation, Port, movement};
use serde::{Deserialize, Serialize};

/// What becomes of the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reduction {
    /// Their sum, divided by how many they are.
    Mean,
    /// Their sum, in index order.
    Sum,
    /// The greatest.
    Max,
}

/// Mean, sum or maximum over axes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reduce {
    /// Which of them.
    pub reduction: Reduction,
    /// The axes that vanish, each once, from 0 within one sample.
    pub axes: Vec<usize>,
    /// Whether they stay, with one value.
    #[serde(default)]
    pub keepdims: bool,
}

impl Operation for Reduce {
    fn kind(&self) -> &'static str {
        match self.reduction {
            Reduction::Mean => "reduce_mean",
            Reduction::Sum => "reduce_sum",
            Reduction::Max => "reduce_max",
        }
    }

    fn check(&self) -> Result<(), OpError> {
        let twice = |i: usize| self.axes[..i].contains(&self.axes[i]);
        if self.axes.is_empty() || (0..self.axes.len()).any(twice) {
            let found = format!("{:?}", self.axes);
            return Err(OpError::Attribute { what: "axes", found, expected: "at least one, each once" });
        }
        Ok(())
    }

    fn output(&self, inputs: &[Port<'_>]) -> Result<Vec<usize>, OpError> {
        for &axis in &self.axes {
            movement::axis("axes", axis, &inputs[0])?;
        }
        let kept = |(axis, dim): (usize, &usize)| match (self.axes.contains(&axis), self.keepdims) {
            (false, _) => Some(*dim),
            (true, true) => Some(1),
            (true, false) => None,
        };
        Ok(inputs[0].shape.iter().enumerate().filter_map(kept).collect())
    }
}
