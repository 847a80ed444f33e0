//! Batch normalisation.

use super::super::error::OpError;
use super::{Activation, Init, Operation, Parameter, Port, check_fused};
use serde::{Deserialize, Serialize};

fn epsilon() -> f32 {
    1e-3
}

fn momentum() -> f32 {
    0.99
}

/// `y = activation(gamma (x - mean) / sqrt(variance + epsilon) + beta)`, for each channel (last axis).
///
/// Training takes mean and variance of the batch, over samples and positions, and moves the kept
/// ones towards them: `kept = momentum kept + (1 - momentum) batch`. Inference takes the kept ones.
/// Keras 3's definition and defaults. Parameters: `gamma`, `beta`, `moving_mean`, `moving_variance`,
/// each `[channels]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchNorm {
    /// Added to the variance; positive.
    #[serde(default = "epsilon", with = "crate::exact::tagged")]
    pub epsilon: f32,
    /// How much of the kept statistics stays in one update, 0 to 1.
    #[serde(default = "momentum", with = "crate::exact::tagged")]
    pub momentum: f32,
    /// Applied to the result; in a graph only clamps.
    #[serde(default)]
    pub activation: Activation,
}

impl Default for BatchNorm {
    fn default() -> Self {
        Self { epsilon: epsilon(), momentum: momentum(), activation: Activation::Linear }
    }
}

impl BatchNorm {
    /// With Keras' defaults: epsilon 0.001, momentum 0.99.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the activation.
    #[must_use]
    pub const fn activation(self, activation: Activation) -> Self {
        Self { activation, ..self }
    }

    /// `scale` and `shift` of every channel, so that `y = x scale + shift`; computed in f64.
    pub fn factors(&self, [gamma, beta, mean, variance]: [&[f32]; 4]) -> (Vec<f64>, Vec<f64>) {
        let wide = |values: &[f32]| values.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
        let deviations = wide(variance).into_iter().map(|v| (v + f64::from(self.epsilon)).sqrt());
        let scale: Vec<f64> =
            wide(gamma).into_iter().zip(deviations).map(|(gamma, deviation)| gamma / deviation).collect();
        let shift = wide(beta).into_iter().zip(wide(mean)).zip(&scale).map(|((beta, mean), scale)| beta - mean * scale);
        let shift = shift.collect();
        (scale, shift)
    }
}

impl Operation for BatchNorm {
    fn kind(&self) -> &'static str {
        "batch_norm"
    }

    fn check(&self) -> Result<(), OpError> {
        let wrong = |what, found: f32, expected| Err(OpError::Attribute { what, found: found.to_string(), expected });
        if !(self.epsilon.is_finite() && self.epsilon > 0.0) {
            return wrong("epsilon", self.epsilon, "positive");
        }
        if !(0.0..=1.0).contains(&self.momentum) {
            return wrong("momentum", self.momentum, "from 0 to 1");
        }
        check_fused(self.activation)
    }

    fn output(&self, inputs: &[Port<'_>]) -> Result<Vec<usize>, OpError> {
        if inputs[0].shape.is_empty() {
            return Err(inputs[0].expected("at least one axis"));
        }
        Ok(inputs[0].shape.to_vec())
    }

    fn parameters(&self, input: &[usize]) -> Vec<Parameter> {
        let shape = vec![input.last().copied().unwrap_or(0)];
        let parameter = |(role, init)| Parameter { role, shape: shape.clone(), init };
        [("gamma", Init::Ones), ("beta", Init::Zeros), ("moving_mean", Init::Zeros), ("moving_variance", Init::Ones)]
            .map(parameter)
            .to_vec()
    }

    fn parameter_count(&self) -> usize {
        4
    }

    fn statistics(&self) -> usize {
        2
    }

    fn fused(&self) -> Activation {
        self.activation
    }

    fn set_fused(&mut self, activation: Activation) -> bool {
        self.activation = activation;
        true
    }
}
