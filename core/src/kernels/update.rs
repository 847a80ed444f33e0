//! The optimiser's update of one parameter from a gradient that lies in memory: for layers whose gradients are needed
//! whole before they are used, such as batch normalisation. Others hand theirs over in tiles ([`super::trained`]).

use super::util::elements;
use crate::arch::Isa;
use crate::memory::Slices;
use crate::optim::Update;
use crate::optim::state::is_layout;
use crate::plan::{Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Update step, f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct UpdateF32 {
    /// Elements of the parameter.
    pub len: u32,
    /// What the optimiser has of state; see [`crate::optim::state::layout`].
    pub slots: u32,
    /// Gradient.
    pub gradient: Ref,
    /// Parameter.
    pub w: Ref,
    /// Its optimiser state; none if there is none.
    pub state: Ref,
}

impl StepRecord for UpdateF32 {
    operands! {
        gradient: read f32 [len],
        w: update f32 [len],
        state: update state(slots) [len],
    }

    fn shape_is_valid(&self) -> bool {
        let state = self.slots == 0 || !self.state.is_none();
        state && is_layout(self.slots) && elements([self.len]).is_some()
    }

    fn optimizer_slots(&self) -> Option<u32> {
        Some(self.slots)
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, context: &mut Context) {
        let (gradient, w, state) = (at.read(), at.write(), at.write());
        Update { isa, optimizer: &context.optimizer, w, state }.gradient(gradient);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::run;
    use crate::optim::{GradSink, Optimizer, OptimizerRecord};
    use std::vec::Vec;

    #[test]
    fn it_is_the_optimisers_own_update() {
        let settings = OptimizerRecord::adam(0.01);
        let (gradient, w, state) = ([0.5, -2.0, 0.0], [1.0, 2.0, 3.0], [0.25f32; 6]);
        let mut arena: Vec<f32> = [&gradient[..], &w, &state].concat();
        let place = |elements: u32| Ref::arena(4 * elements);
        let record = UpdateF32 { len: 3, slots: 2, gradient: place(0), w: place(3), state: place(6) };
        run(&record, &mut arena, 7, settings);
        let (mut w, mut state) = (w, state);
        let optimizer = &Optimizer::at_step(settings, 1);
        Update { isa: crate::arch::Scalar, optimizer, w: &mut w[..], state: &mut state }.tile(0, &gradient);
        assert_eq!((&arena[3..6], &arena[6..]), (&w[..], &state[..]));
        assert!(!UpdateF32 { state: Ref::NONE, ..record }.shape_is_valid());
    }
}
