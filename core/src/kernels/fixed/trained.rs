//! Parameters that a step trains, and where their optimiser state lies.

use super::block::stride;
use super::update::Update;
use crate::memory::Slices;
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
    /// Bias; none if absent or frozen.
    pub b: Ref,
    /// Its state.
    pub b_first: Ref,
    /// Its second moments.
    pub b_second: Ref,
    /// Values of state for each parameter, as the optimiser has them.
    pub slots: u32,
}

impl Trained {
    /// Whether there is a parameter, and what it needs of state.
    pub fn is_valid(&self) -> bool {
        let stated = |p: Ref, first: Ref, second: Ref| {
            p.is_none() || (self.slots == 0 || !first.is_none()) && (self.slots < 2 || !second.is_none())
        };
        self.slots <= 2
            && stated(self.w, self.w_first, self.w_second)
            && stated(self.b, self.b_first, self.b_second)
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
}

impl<'a> Parameter<'a> {
    /// The next three operands that the step writes.
    pub fn take(len: usize, at: &mut Slices<'a>) -> Self {
        Self { len, block: at.write(), first: at.write(), second: at.write() }
    }

    /// How it is updated from sums in units of `2^exponent`; `None` if it is absent.
    pub fn update(self, context: &Context, exponent: i32) -> Option<Update<'a>> {
        (self.block.len() >= stride(self.len)).then(|| Update::new(&context.optimizer, self, exponent))
    }
}
