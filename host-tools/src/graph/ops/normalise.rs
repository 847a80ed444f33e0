//! Inputs brought back to what a model was trained on.

use super::super::error::OpError;
use super::{Init, Operation, Parameter, Port};
use embernet_core::adapt::normalise::{Moments, Seen};
use embernet_core::kernels::lookup::ENTRIES;
use serde::{Deserialize, Serialize};

/// Looks int8 values up in a table for each channel, which a device makes of samples that it sees: mean and deviation
/// of every channel are brought back to the reference ([`embernet_core::adapt::normalise`]).
///
/// Element `i` of a sample is of channel `i % channels`. Parameters: `tables [channels][256]` and `seen
/// [channels][4]`, what was seen since tables were made. Both are kept and changed where the model works, whether it
/// trains there or not; training by gradients leaves them alone.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalise {
    /// Mean of each channel, in steps of the input.
    #[serde(with = "crate::exact::tagged_list")]
    pub means: Vec<f32>,
    /// Standard deviation of each channel, in steps of the input.
    #[serde(with = "crate::exact::tagged_list")]
    pub deviations: Vec<f32>,
}

impl Normalise {
    /// Back to these.
    pub fn new(reference: &[Moments]) -> Self {
        let part = |of: fn(&Moments) -> f32| reference.iter().map(of).collect();
        Self { means: part(|moments| moments.mean), deviations: part(|moments| moments.deviation) }
    }

    /// How many channels there are.
    pub fn channels(&self) -> usize {
        self.means.len()
    }
}

impl Operation for Normalise {
    fn kind(&self) -> &'static str {
        "normalise"
    }

    fn check(&self) -> Result<(), OpError> {
        let wrong = |what, found: String, expected| Err(OpError::Attribute { what, found, expected });
        let (means, deviations) = (self.means.len(), self.deviations.len());
        if means == 0 || means != deviations {
            let found = format!("{means} means and {deviations} deviations");
            return wrong("reference", found, "one mean and one deviation for each channel");
        }
        if let Some(mean) = self.means.iter().find(|mean| !mean.is_finite()) {
            return wrong("mean", mean.to_string(), "finite");
        }
        match self.deviations.iter().find(|deviation| !(deviation.is_finite() && **deviation >= 0.0)) {
            Some(deviation) => wrong("deviation", deviation.to_string(), "finite, and not below 0"),
            None => Ok(()),
        }
    }

    fn output(&self, inputs: &[Port<'_>]) -> Result<Vec<usize>, OpError> {
        let last = inputs[0].shape.last().copied().unwrap_or(1);
        if self.channels() == 0 || !last.is_multiple_of(self.channels()) {
            return Err(inputs[0].expected(format!("a last axis of {} channels", self.channels())));
        }
        Ok(inputs[0].shape.to_vec())
    }

    fn parameters(&self, _: &[usize]) -> Vec<Parameter> {
        let parameter = |(role, each)| Parameter { role, shape: vec![self.channels(), each], init: Init::Zeros };
        [("tables", ENTRIES), ("seen", size_of::<Seen>() / 4)].map(parameter).to_vec()
    }

    fn parameter_count(&self) -> usize {
        2
    }

    fn statistics(&self) -> usize {
        2
    }
}
