//! Optimisers behind one small interface: a sink that takes gradients a tile at a time.
//!
//! A backward kernel computes the gradient of a contiguous tile of parameters and hands it to a [`GradSink`].
//! [`Update`] applies it to those parameters at once, so no parameter-sized gradient ever exists. Formulas are
//! Keras's (Keras 3 documentation); the results do not depend on how tiles are cut.

use crate::kernels::util::clear;
use crate::math;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

pub mod quantized;
pub mod state;
mod update;

use crate::plan::STATES;
use state::StateFormat;
pub use update::{Parameters, Update, UpdatePart};

/// Below this, in size, Adam's gradients and first moments count as zero: 2^-55, which no weight can notice beside
/// `epsilon`. Moments of weights that no longer learn would otherwise fade through the subnormal numbers, for hundreds
/// of updates or for ever, and a PC takes a hundred times as long for those.
pub const TINY: f32 = f32::from_bits((127 - 55) << 23);
/// The same for second moments and for velocities: 2^-110.
pub const TINY_SQUARE: f32 = TINY * TINY;

/// Takes the gradient of parameters `start..start + gradient.len()`, in tiles of ascending order.
pub trait GradSink {
    /// What the sums of the tile that begins at `start` start from: 0, or what passes before this one have left.
    fn begin(&mut self, start: usize, tile: &mut [f32]) {
        let _ = start;
        clear(tile);
    }

    /// Consumes one tile.
    fn tile(&mut self, start: usize, gradient: &[f32]);
}

/// Stores gradients in a buffer: for tests and for whoever wants to look at them.
#[derive(Debug)]
pub struct Store<'a>(pub &'a mut [f32]);

impl GradSink for Store<'_> {
    fn tile(&mut self, start: usize, gradient: &[f32]) {
        for (to, from) in self.0.iter_mut().skip(start).zip(gradient) {
            *to = *from;
        }
    }
}

/// Which update rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// `w -= lr * g`; no state.
    Sgd,
    /// `v = momentum * v - lr * g`, then `w += v` (or, Nesterov, `w += momentum * v - lr * g`); one slot.
    Momentum {
        /// Nesterov's variant.
        nesterov: bool,
    },
    /// Kingma and Ba 2015 in Keras's form; two slots, `m` then `v`. See [`TINY`].
    Adam,
    /// Duchi, Hazan and Singer 2011 in Keras's form; one slot.
    AdaGrad,
}

impl Rule {
    /// Values of state for each parameter.
    pub const fn slots(self) -> usize {
        match self {
            Rule::Sgd => 0,
            Rule::Momentum { .. } | Rule::AdaGrad => 1,
            Rule::Adam => 2,
        }
    }

    const fn decode(kind: u32) -> Option<Self> {
        Some(match kind {
            0 => Rule::Sgd,
            1 => Rule::Momentum { nesterov: false },
            2 => Rule::Momentum { nesterov: true },
            3 => Rule::Adam,
            4 => Rule::AdaGrad,
            _ => return None,
        })
    }

    const fn encode(self) -> u32 {
        match self {
            Rule::Sgd => 0,
            Rule::Momentum { nesterov: false } => 1,
            Rule::Momentum { nesterov: true } => 2,
            Rule::Adam => 3,
            Rule::AdaGrad => 4,
        }
    }
}

/// An optimiser's settings as they lie in the image.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct OptimizerRecord {
    kind: u32,
    /// Learning rate.
    pub lr: f32,
    /// Momentum, or Adam's `beta_1`.
    pub momentum: f32,
    /// Adam's `beta_2`.
    pub beta_2: f32,
    /// Keeps divisions finite: Adam and AdaGrad.
    pub epsilon: f32,
    /// L2 penalty added to every gradient: `g += weight_decay * w`; no such sum is made where it is 0.
    pub weight_decay: f32,
    /// What every state slot starts from (AdaGrad's accumulator; 0 otherwise).
    pub state_init: f32,
    /// How state is kept ([`StateFormat`]). What is not f32 starts from 0.
    pub state: u32,
    /// Passes over samples that make one update, at least 1: their gradients are added up.
    pub passes: u32,
}

impl OptimizerRecord {
    /// Plain gradient descent.
    pub const fn sgd(lr: f32) -> Self {
        let (momentum, beta_2, epsilon, weight_decay, state_init) = (0.0, 0.0, 0.0, 0.0, 0.0);
        Self { kind: 0, lr, momentum, beta_2, epsilon, weight_decay, state_init, state: 0, passes: 1 }
    }

    /// Gradient descent with momentum.
    pub const fn momentum(lr: f32, momentum: f32, nesterov: bool) -> Self {
        Self { kind: Rule::Momentum { nesterov }.encode(), momentum, ..Self::sgd(lr) }
    }

    /// Adam with Keras's defaults for the rest: 0.9, 0.999, 1e-7.
    pub const fn adam(lr: f32) -> Self {
        Self { kind: Rule::Adam.encode(), momentum: 0.9, beta_2: 0.999, epsilon: 1e-7, ..Self::sgd(lr) }
    }

    /// AdaGrad with Keras's defaults for the rest: accumulator from 0.1, epsilon 1e-7.
    pub const fn adagrad(lr: f32) -> Self {
        Self { kind: Rule::AdaGrad.encode(), epsilon: 1e-7, state_init: 0.1, ..Self::sgd(lr) }
    }

    /// The same with state in this format.
    #[must_use]
    pub const fn with_state(self, format: StateFormat) -> Self {
        Self { state: format as u32, ..self }
    }

    /// The same with an update after so many passes.
    #[must_use]
    pub const fn with_passes(self, passes: u32) -> Self {
        Self { passes, ..self }
    }

    /// The update rule; `None` if the number is unknown.
    pub const fn rule(&self) -> Option<Rule> {
        Rule::decode(self.kind)
    }
}

/// The settings of one update: the record and what follows from the step number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Optimizer {
    /// The rule.
    pub rule: Rule,
    /// How its state is kept.
    pub format: StateFormat,
    /// Its settings.
    pub settings: OptimizerRecord,
    /// Adam's `lr * sqrt(1 - beta_2^t) / (1 - beta_1^t)`; plain `lr` otherwise.
    pub rate: f32,
    /// The update's number, from 1.
    pub step: u32,
    /// Whether this is the first of the passes that make it.
    pub first: bool,
    /// Whether this is the last of them.
    pub last: bool,
}

impl Optimizer {
    /// For update number `step`, counted from 1, in one pass.
    pub fn at_step(settings: OptimizerRecord, step: u32) -> Self {
        let mut optimizer = Self::idle(settings);
        optimizer.step = step;
        optimizer.rule = settings.rule().unwrap_or(Rule::Sgd);
        optimizer.rate = match optimizer.rule {
            Rule::Adam => {
                let correction = math::sqrt(1.0 - math::powi(settings.beta_2, step));
                settings.lr * correction / (1.0 - math::powi(settings.momentum, step))
            }
            _ => settings.lr,
        };
        if STATES {
            optimizer.format = StateFormat::from_u32(settings.state).unwrap_or_default();
        }
        optimizer
    }

    /// For runs that update nothing.
    pub const fn idle(settings: OptimizerRecord) -> Self {
        let (rule, format) = (Rule::Sgd, StateFormat::F32);
        Self { rule, format, settings, rate: 0.0, step: 0, first: true, last: true }
    }

    /// The gradient `g` of a weight, with the penalty on its size where there is one.
    #[inline(always)]
    pub fn decayed(&self, g: f32, w: f32) -> f32 {
        if self.settings.weight_decay == 0.0 { g } else { g + self.settings.weight_decay * w }
    }

    /// Whether state is not f32. Rules without state have none that is.
    fn is_narrow(&self) -> bool {
        STATES && self.format != StateFormat::F32 && self.rule.slots() > 0
    }

    /// Whether gradients of several passes are added up.
    fn adds(&self) -> bool {
        STATES && self.settings.passes > 1
    }

    /// Whether gradients come in one pass and state is f32.
    pub fn is_plain(&self) -> bool {
        !self.is_narrow() && !self.adds()
    }
}

#[cfg(test)]
mod tests;
