//! The step records of [`super::block`].

use super::Conv2d;
use super::block::{self, Block, Filters};
use crate::arch::Isa;
use crate::kernels::trained::Trained;
use crate::kernels::util::sub_mut;
use crate::memory::Slices;
use crate::optim::Update;
use crate::plan::{Context, Operands, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Forward step: convolution, limits, max pool.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BlockF32 {
    /// Shape.
    pub shape: Block,
    /// Input.
    pub x: Ref,
    /// Weights.
    pub w: Ref,
    /// Whether the weights lie in panels, see [`super::pack_panels`]: 1 if they do, 0 if filter by filter.
    pub panels: u32,
    /// Bias, or none.
    pub b: Ref,
    /// Output of the pool.
    pub y: Ref,
    /// Which pixels were the greatest, for the way back; or none.
    pub places: Ref,
    /// [`Block::forward_scratch`]; may be none if it has no elements.
    pub scratch: Ref,
    /// Least output.
    pub lo: f32,
    /// Greatest output.
    pub hi: f32,
}

impl StepRecord for BlockF32 {
    operands! {
        x: read f32 [samples, shape.conv => Conv2d::INPUT],
        w: read f32 [shape.conv => Conv2d::WEIGHTS],
        b: read f32 [shape.conv.out_c],
        y: write f32 [shape => Block::OUTPUT, samples],
        places: write f32 [shape => Block::OUTPUT, samples],
        scratch: scratch f32 [],
    }

    const MORE: Option<fn(&Self, usize, Operands) -> Operands> =
        Some(|record, _, operands| operands.with_last(record.scratch_elements()));

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid() && self.panels <= 1 && self.scratch.is_none() == (self.scratch_elements() == 0)
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, _: &mut Context) {
        let (x, w, b) = (at.read(), at.read(), at.read());
        let (y, places, scratch) = (at.write(), at.write(), at.write());
        let filters = if self.panels == 1 { Filters::Panels(w) } else { Filters::Plain(w) };
        block::forward_f32(isa, &self.shape, x, filters, b, (self.lo, self.hi), scratch, y, places);
    }
}

impl BlockF32 {
    fn scratch_elements(&self) -> usize {
        self.shape.forward_scratch(self.panels == 1)
    }
}

/// Backward step: the gradient of the input, and the update of the parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BlockBackwardF32 {
    /// Shape.
    pub shape: Block,
    /// Input of the forward step.
    pub x: Ref,
    /// Gradient of the block's output.
    pub dy: Ref,
    /// What the forward step left, if there is a pool.
    pub places: Ref,
    /// Gradient of the input, or none.
    pub dx: Ref,
    /// Whether it is added to what is there (1), or takes its place (0).
    pub adds: u32,
    /// Parameters and their state; weights may not be frozen. The tile is as large as [`Block::backward_scratch`] says.
    pub trained: Trained,
}

impl StepRecord for BlockBackwardF32 {
    operands! {
        x: read f32 [samples, shape.conv => Conv2d::INPUT],
        dy: read f32 [shape => Block::OUTPUT, samples],
        places: read f32 [shape => Block::OUTPUT, samples],
        dx: update f32 [samples, shape.conv => Conv2d::INPUT],
        trained.w: update f32 [shape.conv => Conv2d::WEIGHTS],
        trained.b: update f32 [shape.conv.out_c],
        trained.w_state: update state(trained.slots) [shape.conv => Conv2d::WEIGHTS],
        trained.b_state: update state(trained.slots) [shape.conv.out_c],
        trained.tile: scratch f32 [],
    }

    const MORE: Option<fn(&Self, usize, Operands) -> Operands> =
        Some(|record, samples, operands| operands.with_last(record.shape.backward_scratch(samples)));

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid()
            && self.trained.is_valid()
            && !self.trained.w.is_none()
            && self.adds <= 1
            && self.shape.pools() != self.places.is_none()
    }

    fn optimizer_slots(&self) -> Option<u32> {
        Some(self.trained.slots)
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, context: &mut Context) {
        let (x, dy, places) = (at.read(), at.read(), at.read());
        let (dx, w, b, w_state, b_state) = (at.write(), at.write::<f32>(), at.write(), at.write(), at.write());
        let scratch = sub_mut(at.write(), 0, self.shape.backward_scratch(context.samples));
        block::backward_f32(isa, &self.shape, x, w, dy, places, scratch, self.adds == 1, dx);
        let optimizer = &context.optimizer;
        let w = Update { isa, optimizer, w, state: w_state };
        let b = Update { isa, optimizer, w: b, state: b_state };
        block::update(&self.shape, context.samples, scratch, w, b);
    }
}
