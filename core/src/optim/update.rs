//! The sink that trains.

use super::state::{BLOCK, Block, is_square};
use super::{GradSink, Optimizer, Rule};
use crate::arch::Isa;
use crate::kernels::util::{clear, copy, from_mut, sub, sub_mut};
use crate::plan::STATES;
use core::ops::Range;

/// Updates parameters as their gradients arrive.
#[derive(Debug)]
pub struct Update<'a, I, W = &'a mut [f32]> {
    /// Instruction set.
    pub isa: I,
    /// Settings of this update.
    pub optimizer: &'a Optimizer,
    /// All parameters of one tensor.
    pub w: W,
    /// Their state, slot after slot; see [`super::state::layout`].
    pub state: &'a mut [f32],
}

/// All parameters of one tensor, as an update changes them.
pub trait Parameters {
    /// How many.
    fn count(&self) -> usize;

    /// Has `rule` change the real values of parameters `range`, all at once or in pieces: it gets the numbers of a
    /// piece, and its values. `update` is the update's number.
    fn change(&mut self, update: u32, range: Range<usize>, rule: impl FnMut(Range<usize>, &mut [f32]));
}

impl Parameters for &mut [f32] {
    #[inline(always)]
    fn count(&self) -> usize {
        self.len()
    }

    #[inline(always)]
    fn change(&mut self, _: u32, range: Range<usize>, mut rule: impl FnMut(Range<usize>, &mut [f32])) {
        if let Some(w) = self.get_mut(range.clone()) {
            rule(range, w);
        }
    }
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
        if cfg!(target_os = "none") || self.optimizer.is_narrow() {
            // A device has one thread. Blocks do not end where rows do.
            let (pending, tile) = self.cut(tile);
            return task(0..rows, tile, &mut UpdatePart { pending, ..self.part() });
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

    /// Updates parameters `[dy.len()][x.len()]` by the gradient of one sample, `dy[r] * x[c]`, if the token can do that
    /// without a tile.
    #[must_use = "if it is false, nothing was done"]
    pub fn outer(&mut self, dy: &[f32], x: &[f32]) -> bool {
        if self.optimizer.adds() || self.optimizer.is_narrow() {
            return false;
        }
        self.isa.update_outer_f32(self.optimizer, dy, x, self.w, self.state)
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
}

impl<'a, I: Isa, W: Parameters> Update<'a, I, W> {
    /// Calls `task` with what is left of `tile` and the sink for all parameters.
    pub fn whole(self, tile: &mut [f32], task: impl FnOnce(&mut [f32], &mut UpdatePart<'_, I, W>)) {
        let (pending, tile) = self.cut(tile);
        task(tile, &mut UpdatePart { pending, ..self.part() });
    }

    /// Room for an incomplete block, if there is any, and the rest.
    fn cut<'t>(&self, tile: &'t mut [f32]) -> (&'t mut [f32], &'t mut [f32]) {
        let taken = if self.optimizer.is_narrow() { BLOCK } else { 0 };
        tile.split_at_mut_checked(taken).unwrap_or_default()
    }

    // One copy for all layers.
    #[cfg_attr(target_os = "none", inline(never))]
    fn part(self) -> UpdatePart<'a, I, W> {
        let Self { isa, optimizer, w, state } = self;
        let (sum, slots) = (if optimizer.adds() { w.count() } else { 0 }, optimizer.rule.slots());
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
pub struct UpdatePart<'a, I, W = &'a mut [f32]> {
    isa: I,
    optimizer: &'a Optimizer,
    w: W,
    /// Those that the rule lacks are empty.
    slots: [&'a mut [f32]; 2],
    /// Gradients of the passes before.
    sum: &'a mut [f32],
    /// The gradient of a block of narrow state that is not complete.
    pending: &'a mut [f32],
}

impl<I: Isa, W: Parameters> GradSink for UpdatePart<'_, I, W> {
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
            let Self { isa, optimizer, w, slots: [first, second], .. } = self;
            let range = start..start.saturating_add(gradient.len());
            w.change(optimizer.step, range, |range, w| {
                let gradient = sub(gradient, range.start.wrapping_sub(start), w.len());
                let first = first.get_mut(range.clone()).unwrap_or_default();
                let second = second.get_mut(range).unwrap_or_default();
                apply(*isa, optimizer, gradient, w, first, second);
            });
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

impl<I: Isa, W: Parameters> UpdatePart<'_, I, W> {
    /// A tile of parameters with narrow state: whole blocks at once; what begins or ends within one waits for its rest.
    #[inline(never)]
    fn narrow(&mut self, start: usize, gradient: &[f32]) {
        let pending = core::mem::take(&mut self.pending);
        let (mut at, mut rest) = (start, gradient);
        while !rest.is_empty() && at < self.w.count() {
            let within = at % BLOCK;
            let (now, later) = rest.split_at_checked(BLOCK - within).unwrap_or((rest, &[]));
            let end = at + now.len();
            let ends = end.is_multiple_of(BLOCK) || end == self.w.count();
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
        let (optimizer, elements) = (self.optimizer, self.w.count());
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
        let isa = self.isa;
        // No tensor gives less than a block at once.
        self.w.change(optimizer.step, start..start + gradient.len(), |_, w| {
            apply(isa, optimizer, gradient, w, first, second);
        });
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
