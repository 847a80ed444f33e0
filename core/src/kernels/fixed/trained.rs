//! Parameters that a step trains, and where their optimiser state lies.

use super::block::stride;
use super::update::Sink;
use crate::memory::Slices;
use crate::optim::state::{SUM, is_layout};
use crate::plan::{Context, Ref};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Where weights and bias of one layer and their state lie: each a block of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Trained {
    /// Weights; none if they are frozen.
    pub w: Ref,
    /// Their state: velocities or first moments; none if there is none.
    pub w_first: Ref,
    /// Their second moments; none if there are none.
    pub w_second: Ref,
    /// Sums of their gradients over several passes, 32 bits each; none if one pass makes an update.
    pub w_sum: Ref,
    /// Bias; none if absent or frozen.
    pub b: Ref,
    /// Its state.
    pub b_first: Ref,
    /// Its second moments.
    pub b_second: Ref,
    /// Sums of its gradients.
    pub b_sum: Ref,
    /// What the optimiser has of state; see [`crate::optim::state::layout`].
    pub slots: u32,
}

impl Trained {
    /// Whether there is a parameter, and what it needs of state.
    pub fn is_valid(&self) -> bool {
        let slots = self.slots & !SUM;
        let stated = |p: Ref, [first, second, sum]: [Ref; 3]| {
            let needed = [slots > 0, slots > 1, self.slots != slots];
            p.is_none() || needed.into_iter().zip([first, second, sum]).all(|(needed, at)| !needed || !at.is_none())
        };
        slots <= 2
            && is_layout(self.slots)
            && stated(self.w, [self.w_first, self.w_second, self.w_sum])
            && stated(self.b, [self.b_first, self.b_second, self.b_sum])
            && !(self.w.is_none() && self.b.is_none())
    }
}

/// One parameter's memory.
#[derive(Debug, Default)]
pub struct Parameter<'a> {
    /// Elements.
    pub len: usize,
    /// Its block.
    pub block: &'a mut [i16],
    /// Velocities or first moments.
    pub first: &'a mut [i16],
    /// Second moments.
    pub second: &'a mut [i16],
    /// Gradients of the passes before.
    pub sum: &'a mut [i32],
}

impl<'a> Parameter<'a> {
    /// The next four operands that the step writes.
    pub fn take(len: usize, at: &mut Slices<'a>) -> Self {
        Self { len, block: at.write(), first: at.write(), second: at.write(), sum: at.write() }
    }

    /// How it is updated from sums in units of `2^exponent`; `None` if it is absent.
    pub fn update(self, context: &Context, exponent: i32) -> Option<Sink<'a>> {
        (self.block.len() >= stride(self.len)).then(|| Sink::new(&context.optimizer, self, exponent))
    }
}
