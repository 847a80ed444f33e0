//! The sink that trains.

use super::state::{BLOCK, Block, is_square};
use super::{GradSink, Optimizer, Rule};
use crate::arch::Isa;
use crate::kernels::util::{clear, copy, from_mut, sub_mut};
use crate::plan::STATES;
use core::ops::Range;

/// Updates parameters as their gradients arrive.
#[derive(Debug)]
pub struct Update<'a, I> {
    /// Instruction set.
    pub isa: I,
    /// Settings of this update.
    pub optimizer: &'a Optimizer,
    /// All parameters of one tensor.
    pub w: &'a mut [f32],
    /// Their state, slot after slot; see [`super::state::layout`].
    pub state: &'a mut [f32],
}

impl<'a, I: Isa> Update<'a, I> {
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
        if self.optimizer.is_narrow() {
            // Blocks do not end where rows do.
            return self.whole(tile, |tile, part| task(0..rows, tile, part));
        }
        let row = self.w.len().checked_div(rows).unwrap_or(0);
        let tile_row = tile.len().checked_div(rows).unwrap_or(0);
        let UpdatePart { isa, optimizer, w, slots: [first, second], sum, .. } = self.part();
        let slices = [(w, row), (first, row), (second, row), (sum, row), (tile, tile_row)];
        isa.split(
            rows,
            row.saturating_mul(UPDATE_COST).saturating_add(cost),
            slices,
            |range, [w, first, second, sum, tile]| {
                let isa = isa.alone();
                let pending = Default::default();
                task(range, tile, &mut UpdatePart { isa, optimizer, w, slots: [first, second], sum, pending });
            },
        );
    }

    /// Calls `task` with what is left of `tile` and the sink for all parameters.
    pub fn whole(self, tile: &mut [f32], task: impl FnOnce(&mut [f32], &mut UpdatePart<'_, I>)) {
        let taken = if self.optimizer.is_narrow() { BLOCK } else { 0 };
        let (pending, tile) = tile.split_at_mut_checked(taken).unwrap_or_default();
        task(tile, &mut UpdatePart { pending, ..self.part() });
    }

    /// Updates parameters `[dy.len()][x.len()]` by the gradient of one sample, `dy[r] * x[c]`, if the token can do that
    /// without a tile.
    #[must_use = "if it is false, nothing was done"]
    pub fn outer(&mut self, dy: &[f32], x: &[f32]) -> bool {
        if self.optimizer.adds() || self.optimizer.is_narrow() {
            return false;
        }
        // Of a rule with one slot, for which no token has a loop, it would be all of the state.
        let (first, second) = self.state.split_at_mut_checked(self.state.len() / 2).unwrap_or_default();
        self.isa.update_outer_f32(self.optimizer, dy, x, self.w, [first, second])
    }

    /// The gradient of all parameters at once, of this pass alone.
    pub fn gradient(self, gradient: &[f32]) {
        let mut part = self.part();
        if !STATES || part.optimizer.settings.passes == 1 {
            return part.tile(0, gradient);
        }
        let sum = core::mem::take(&mut part.sum);
        if part.optimizer.first {
            copy(gradient, sum);
        } else {
            part.isa.accumulate_f32(gradient, sum);
        }
        if part.optimizer.last {
            part.tile(0, sum);
        }
    }

    fn part(self) -> UpdatePart<'a, I> {
        let Self { isa, optimizer, w, state } = self;
        let (sum, slots) = (if optimizer.adds() { w.len() } else { 0 }, optimizer.rule.slots());
        let (state, sum) = state.split_at_mut_checked(state.len().wrapping_sub(sum)).unwrap_or_default();
        let len = if slots == 2 { state.len() / 2 } else { state.len() };
        let (first, second) = state.split_at_mut_checked(len).unwrap_or_default();
        UpdatePart { isa, optimizer, w, slots: [first, second], sum, pending: Default::default() }
    }
}

/// What an update costs beside moving an element: a root and a division.
const UPDATE_COST: usize = 8;

/// [`Update`] for some of the parameters.
#[derive(Debug)]
pub struct UpdatePart<'a, I> {
    isa: I,
    optimizer: &'a Optimizer,
    w: &'a mut [f32],
    /// Those that the rule lacks are empty.
    slots: [&'a mut [f32]; 2],
    /// Gradients of the passes before.
    sum: &'a mut [f32],
    /// The gradient of a block of narrow state that is not complete.
    pending: &'a mut [f32],
}

impl<I: Isa> GradSink for UpdatePart<'_, I> {
    fn begin(&mut self, start: usize, tile: &mut [f32]) {
        if STATES && !self.optimizer.first {
            copy(self.sum.get(start..).unwrap_or_default(), tile);
        } else {
            clear(tile);
        }
    }

    fn tile(&mut self, start: usize, gradient: &[f32]) {
        if STATES && !self.optimizer.last {
            copy(gradient, from_mut(self.sum, start));
        } else if self.optimizer.is_narrow() {
            self.narrow(start, gradient);
        } else {
            let range = start..start.saturating_add(gradient.len());
            let Some(w) = self.w.get_mut(range.clone()) else { return };
            let [first, second] = &mut self.slots;
            let first = first.get_mut(range.clone()).unwrap_or_default();
            let second = second.get_mut(range).unwrap_or_default();
            apply(self.isa, self.optimizer, gradient, w, first, second);
        }
    }
}

/// The rule, on parameters and f32 state.
// One copy for both ways.
#[cfg_attr(target_os = "none", inline)]
fn apply<I: Isa>(isa: I, o: &Optimizer, gradient: &[f32], w: &mut [f32], first: &mut [f32], second: &mut [f32]) {
    match o.rule {
        Rule::Sgd => isa.sgd_f32(o, gradient, w),
        Rule::Momentum { nesterov } => isa.momentum_f32(o, nesterov, gradient, w, first),
        Rule::AdaGrad => isa.adagrad_f32(o, gradient, w, first),
        Rule::Adam => isa.adam_f32(o, gradient, w, first, second),
    }
}

impl<I: Isa> UpdatePart<'_, I> {
    /// A tile of parameters with narrow state: whole blocks at once; what begins or ends within one waits for its rest.
    #[inline(never)]
    fn narrow(&mut self, start: usize, gradient: &[f32]) {
        let pending = core::mem::take(&mut self.pending);
        let (mut at, mut rest) = (start, gradient);
        while !rest.is_empty() && at < self.w.len() {
            let within = at % BLOCK;
            let (now, later) = rest.split_at_checked(BLOCK - within).unwrap_or((rest, &[]));
            let end = at + now.len();
            let ends = end.is_multiple_of(BLOCK) || end == self.w.len();
            if within == 0 && ends {
                self.block(at, now);
            } else {
                copy(now, from_mut(pending, within));
                if ends {
                    self.block(at - within, sub_mut(pending, 0, end - (at - within)));
                }
            }
            (at, rest) = (end, later);
        }
        self.pending = pending;
    }

    /// One block.
    fn block(&mut self, start: usize, gradient: &[f32]) {
        let (optimizer, elements) = (self.optimizer, self.w.len());
        let format = optimizer.format;
        let block = |slot| Block { format, elements, start, slot, square: is_square(optimizer.rule, slot) };
        let mut values = [[0.0; BLOCK]; 2];
        let [first, second] = &mut values;
        let (first, second) = (sub_mut(first, 0, gradient.len()), sub_mut(second, 0, gradient.len()));
        let [first_slot, second_slot] = &mut self.slots;
        let two = !second_slot.is_empty();
        block(0).load(first_slot, first);
        if two {
            block(1).load(second_slot, second);
        }
        apply(self.isa, optimizer, gradient, sub_mut(self.w, start, gradient.len()), first, second);
        block(0).store(optimizer.step, first, first_slot);
        if two {
            block(1).store(optimizer.step, second, second_slot);
        }
    }
}

/// For whoever has the whole gradient, or tiles of whole blocks.
impl<I: Isa> GradSink for Update<'_, I> {
    fn begin(&mut self, start: usize, tile: &mut [f32]) {
        self.reborrow().part().begin(start, tile);
    }

    fn tile(&mut self, start: usize, gradient: &[f32]) {
        self.reborrow().part().tile(start, gradient);
    }
}

impl<I: Isa> Update<'_, I> {
    fn reborrow(&mut self) -> Update<'_, I> {
        Update { isa: self.isa, optimizer: self.optimizer, w: self.w, state: self.state }
    }
}
