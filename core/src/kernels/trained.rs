//! Parameters that a step trains, and where their optimiser state lies.

use super::util::bias_backward;
use crate::arch::Isa;
use crate::optim::Update;
use crate::optim::state::{is_layout, least_tile};
use crate::plan::Ref;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Where the parameters of one layer and their optimiser state lie; shared by all layers with weights and bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Trained {
    /// Weights; none if they are frozen.
    pub w: Ref,
    /// Bias; none if absent or frozen.
    pub b: Ref,
    /// Optimiser state of the weights; none if there is none.
    pub w_state: Ref,
    /// Optimiser state of the bias.
    pub b_state: Ref,
    /// Scratch for gradient tiles; none where `with_tile` suffices.
    pub tile: Ref,
    /// Elements of that scratch.
    pub tile_elements: u32,
    /// What the optimiser has of state; see [`crate::optim::state::layout`].
    pub slots: u32,
}

impl Trained {
    /// Whether tile and slots are usable.
    pub fn is_valid(&self) -> bool {
        self.tile_elements as usize >= least_tile(self.slots) && !self.tile.is_none() && self.is_stated()
    }

    /// The same for a layer that may go without a tile, unless state is narrow.
    pub fn is_valid_without_tile(&self) -> bool {
        self.is_valid() || (self.tile.is_none() && least_tile(self.slots) == 1 && self.is_stated())
    }

    /// Whether there is state as the slots say.
    fn is_stated(&self) -> bool {
        let stated = |p: Ref, state: Ref| p.is_none() || self.slots == 0 || !state.is_none();
        is_layout(self.slots) && stated(self.w, self.w_state) && stated(self.b, self.b_state)
    }
}

/// Elements of a tile on the stack.
const SMALL_TILE: usize = 32;

/// Calls `task` with `tile`, or, if that is empty, with a small one on the stack.
#[inline(always)]
pub(super) fn with_tile(tile: &mut [f32], task: impl FnOnce(&mut [f32])) {
    let mut small = [0.0; SMALL_TILE];
    task(if tile.is_empty() { &mut small } else { tile });
}

/// Updates a bias that is added to the last axis, by the gradient that comes from `dy`, `[rows][outputs]`.
// One copy for all layers.
#[cfg_attr(target_os = "none", inline(never))]
pub(super) fn update_bias<I: Isa>(update: Update<'_, I>, outputs: usize, dy: &[f32], tile: &mut [f32]) {
    update.whole(tile, |tile, part| with_tile(tile, |tile| bias_backward(outputs, dy, tile, part)));
}
