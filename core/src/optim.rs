//! Optimisers behind one small interface: a sink that takes gradients a tile at a time.
//!
//! A backward kernel computes the gradient of a contiguous tile of parameters and hands it to a [`GradSink`].
//! [`Update`] applies it to those parameters at once, so no parameter-sized gradient ever exists. Formulas are
//! Keras's (Keras 3 documentation); the results do not depend on how tiles are cut.

use crate::arch::Isa;
use crate::math;
use core::ops::Range;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Below this, in size, Adam's gradients and first moments count as zero: 2^-55, which no weight can notice beside
/// `epsilon`. Moments of weights that no longer learn would otherwise fade through the subnormal numbers, for hundreds
/// of updates or for ever, and a PC takes a hundred times as long for those.
pub const TINY: f32 = f32::from_bits((127 - 55) << 23);
/// The same for second moments and for velocities: 2^-110.
pub const TINY_SQUARE: f32 = TINY * TINY;

/// Takes the gradient of parameters `start..start + gradient.len()`, in tiles of ascending order.
pub trait GradSink {
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
    /// Floats of state for each parameter.
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
    /// L2 penalty added to every gradient: `g += weight_decay * w`.
    pub weight_decay: f32,
    /// What every state slot starts from (AdaGrad's accumulator; 0 otherwise).
    pub state_init: f32,
}

impl OptimizerRecord {
    /// Plain gradient descent.
    pub const fn sgd(lr: f32) -> Self {
        Self { kind: 0, lr, momentum: 0.0, beta_2: 0.0, epsilon: 0.0, weight_decay: 0.0, state_init: 0.0 }
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
    /// Its settings.
    pub settings: OptimizerRecord,
    /// Adam's `lr * sqrt(1 - beta_2^t) / (1 - beta_1^t)`; plain `lr` otherwise.
    pub rate: f32,
}

impl Optimizer {
    /// For update number `step`, counted from 1.
    pub fn at_step(settings: OptimizerRecord, step: u32) -> Self {
        let rule = settings.rule().unwrap_or(Rule::Sgd);
        let rate = match rule {
            Rule::Adam => {
                let correction = math::sqrt(1.0 - math::powi(settings.beta_2, step));
                settings.lr * correction / (1.0 - math::powi(settings.momentum, step))
            }
            _ => settings.lr,
        };
        Self { rule, settings, rate }
    }
}

/// The sink that trains: updates parameters as their gradients arrive.
#[derive(Debug)]
pub struct Update<'a, I> {
    /// Instruction set.
    pub isa: I,
    /// Settings of this update.
    pub optimizer: Optimizer,
    /// All parameters of one tensor.
    pub w: &'a mut [f32],
    /// `slots * w.len()` floats, slot after slot.
    pub state: &'a mut [f32],
}

impl<I: Isa> Update<'_, I> {
    /// Cuts parameters and state by rows, of which there are `rows`, and calls `task` with ranges of them, a part of
    /// `tile` and the sink for those rows, in which the first of them begins at 0. Threads may do so at the same time.
    ///
    /// `cost` is that of a row's gradient as in [`Isa::split`]; the update comes on top.
    pub fn split(
        self,
        rows: usize,
        cost: usize,
        tile: &mut [f32],
        task: impl Fn(Range<usize>, &mut [f32], &mut UpdatePart<'_, I>) + Sync,
    ) {
        let Self { isa, optimizer, w, state } = self;
        let row = w.len().checked_div(rows).unwrap_or(0);
        let tile_row = tile.len().checked_div(rows).unwrap_or(0);
        let (first, second) = slots(optimizer.rule, state);
        let slices = [(w, row), (first, row), (second, row), (tile, tile_row)];
        isa.split(
            rows,
            row.saturating_mul(UPDATE_COST).saturating_add(cost),
            slices,
            |range, [w, first, second, tile]| {
                task(range, tile, &mut UpdatePart { isa: isa.alone(), optimizer, w, first, second });
            },
        );
    }
}

/// What an update costs beside moving an element: a root and a division.
const UPDATE_COST: usize = 8;

/// An optimiser's state, slot by slot.
fn slots(rule: Rule, state: &mut [f32]) -> (&mut [f32], &mut [f32]) {
    let len = if rule.slots() == 2 { state.len() / 2 } else { state.len() };
    state.split_at_mut_checked(len).unwrap_or_default()
}

/// [`Update`] for some of the parameters.
#[derive(Debug)]
pub struct UpdatePart<'a, I> {
    isa: I,
    optimizer: Optimizer,
    w: &'a mut [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
}

impl<I: Isa> GradSink for UpdatePart<'_, I> {
    fn tile(&mut self, start: usize, gradient: &[f32]) {
        let range = start..start.saturating_add(gradient.len());
        let Some(w) = self.w.get_mut(range.clone()) else { return };
        // Slots that the rule lacks are empty.
        let first = self.first.get_mut(range.clone()).unwrap_or_default();
        let second = self.second.get_mut(range).unwrap_or_default();
        match self.optimizer.rule {
            Rule::Sgd => self.isa.sgd_f32(&self.optimizer, gradient, w),
            Rule::Momentum { nesterov } => self.isa.momentum_f32(&self.optimizer, nesterov, gradient, w, first),
            Rule::AdaGrad => self.isa.adagrad_f32(&self.optimizer, gradient, w, first),
            Rule::Adam => self.isa.adam_f32(&self.optimizer, gradient, w, first, second),
        }
    }
}

impl<I: Isa> GradSink for Update<'_, I> {
    fn tile(&mut self, start: usize, gradient: &[f32]) {
        let (first, second) = slots(self.optimizer.rule, self.state);
        UpdatePart { isa: self.isa, optimizer: self.optimizer, w: self.w, first, second }.tile(start, gradient);
    }
}

#[cfg(test)]
mod tests;
