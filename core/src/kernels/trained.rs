//! Parameters that a step trains, and where their optimiser state lies.

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
    /// Scratch for gradient tiles.
    pub tile: Ref,
    /// Elements of that scratch.
    pub tile_elements: u32,
    /// What the optimiser has of state; see [`crate::optim::state::layout`].
    pub slots: u32,
}

impl Trained {
    /// Whether tile and slots are usable.
    pub fn is_valid(&self) -> bool {
        let stated = |p: Ref, state: Ref| p.is_none() || self.slots == 0 || !state.is_none();
        self.tile_elements as usize >= least_tile(self.slots)
            && !self.tile.is_none()
            && is_layout(self.slots)
            && stated(self.w, self.w_state)
            && stated(self.b, self.b_state)
    }
}
