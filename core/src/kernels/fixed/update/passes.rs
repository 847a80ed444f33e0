//! Gradients of several passes for one update: 32-bit sums of a whole parameter, in a unit that follows the passes. It
//! stands in the mark of the parameter's block until the last pass.

use super::Update;
use crate::arch::Isa;
use crate::kernels::fixed::block::{exponent, mark, set_head};
use crate::kernels::fixed::number::log2_up;
use crate::kernels::fixed::trained::Parameter;
use crate::kernels::util::from_mut;
use crate::optim::Optimizer;
use crate::plan::STATES;

/// Takes the gradient of a parameter, tile by tile: adds it to that of the passes before and updates with the last one.
#[derive(Debug)]
pub struct Sink<'a> {
    /// Sums so far; empty if one pass makes an update.
    sum: &'a mut [i32],
    /// Whether they begin.
    begins: bool,
    /// How far the gradient is shifted right to their unit.
    right: u32,
    update: Option<Update<'a>>,
}

impl<'a> Sink<'a> {
    /// For sums in units of `2^gradient`, at most 2^30 in size.
    pub fn new(optimizer: &Optimizer, mut parameter: Parameter<'a>, gradient: i32) -> Self {
        let (sum, begins) = (core::mem::take(&mut parameter.sum), optimizer.first);
        let mut unit = gradient;
        if STATES && !sum.is_empty() {
            // The passes' sums fit together.
            let before = i32::from(mark(parameter.block));
            unit = gradient.saturating_add(log2_up(optimizer.settings.passes as usize) as i32);
            if !begins {
                unit = unit.max(before);
                let coarser = (unit - before).min(31);
                sum.iter_mut().for_each(|sum| *sum >>= coarser);
            }
            let kept = if optimizer.last { 0 } else { unit as i16 };
            set_head(parameter.block, exponent(parameter.block), kept);
        }
        let right = unit.saturating_sub(gradient).clamp(0, 31) as u32;
        let updates = !STATES || optimizer.last;
        Self { sum, begins, right, update: updates.then(|| Update::new(optimizer, parameter, unit)) }
    }

    /// Takes the gradient of the parameters from `start` on: at most [`super::TILE`] of them.
    pub fn tile<I: Isa>(&mut self, isa: I, start: usize, gradient: &mut [i32]) {
        if STATES {
            for (sum, gradient) in from_mut(self.sum, start).iter_mut().zip(gradient.iter_mut()) {
                let before = if self.begins { 0 } else { *sum };
                *sum = before.wrapping_add(*gradient >> self.right);
                *gradient = *sum;
            }
        }
        if let Some(update) = &mut self.update {
            update.tile(isa, start, gradient);
        }
    }

    /// Brings weights and state to exponents that fit them.
    pub fn finish(self) {
        if let Some(update) = self.update {
            update.finish();
        }
    }
}
