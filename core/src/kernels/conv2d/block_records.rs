//! The step records of [`super::block`].

use super::block::{self, Block};
use crate::arch::Isa;
use crate::kernels::trained::Trained;
use crate::memory::{Memory, view, view_mut};
use crate::optim::Update;
use crate::plan::{Access, Context, Operand, Operands, Ref, StepRecord};
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
    /// Bias, or none.
    pub b: Ref,
    /// Output of the pool.
    pub y: Ref,
    /// Which pixels were the greatest, for the way back; or none.
    pub places: Ref,
    /// [`Block::forward_scratch`].
    pub scratch: Ref,
    /// Least output.
    pub lo: f32,
    /// Greatest output.
    pub hi: f32,
}

impl BlockF32 {
    fn places(&self, samples: usize) -> ([Operand; 3], [Operand; 3]) {
        let Block { conv, .. } = &self.shape;
        let outputs = samples.saturating_mul(self.shape.out_elements());
        let reads = [
            Operand::f32(self.x, samples.saturating_mul(conv.in_elements()), Access::Read),
            Operand::f32(self.w, conv.weights(), Access::Read),
            Operand::f32(self.b, conv.out_c as usize, Access::Read),
        ];
        let scratch = Operand::f32(self.scratch, self.shape.forward_scratch(), Access::Scratch);
        let y = Operand::f32(self.y, outputs, Access::Write);
        (reads, [scratch, y, Operand::f32(self.places, outputs, Access::Write)])
    }
}

impl StepRecord for BlockF32 {
    fn operands(&self, samples: usize) -> Operands {
        let ([x, w, b], [scratch, y, places]) = self.places(samples);
        Operands::of([x, w, b, scratch, y, places])
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid() && !self.scratch.is_none()
    }

    fn run<I: Isa>(&self, isa: I, memory: &mut Memory<'_>, context: &mut Context) {
        let (reads, writes) = self.places(context.samples);
        let ([x, w, b], [scratch, y, places]) = memory.carve(reads, writes);
        let limits = (self.lo, self.hi);
        let (scratch, y, places) = (view_mut(scratch), view_mut(y), view_mut(places));
        block::forward_f32(isa, &self.shape, view(x), view(w), view(b), limits, scratch, y, places);
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
    /// Parameters and their state; weights may not be frozen. The tile is as large as [`Block::backward_scratch`] says.
    pub trained: Trained,
}

impl BlockBackwardF32 {
    fn places(&self, samples: usize) -> ([Operand; 3], Operand, [Operand; 5]) {
        let Block { conv, .. } = &self.shape;
        let inputs = samples.saturating_mul(conv.in_elements());
        let outputs = samples.saturating_mul(self.shape.out_elements());
        let reads = [
            Operand::f32(self.x, inputs, Access::Read),
            Operand::f32(self.dy, outputs, Access::Read),
            Operand::f32(self.places, outputs, Access::Read),
        ];
        let dx = Operand::f32(self.dx, inputs, Access::Write);
        let [w, b, w_state, b_state, _] = self.trained.places(conv.weights(), conv.out_c as usize);
        let scratch = Operand::f32(self.trained.tile, self.shape.backward_scratch(samples), Access::Scratch);
        (reads, dx, [w, b, w_state, b_state, scratch])
    }
}

impl StepRecord for BlockBackwardF32 {
    fn operands(&self, samples: usize) -> Operands {
        let ([x, dy, places], dx, [w, b, w_state, b_state, tile]) = self.places(samples);
        Operands::of([x, dy, places, dx, w, b, w_state, b_state, tile])
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid()
            && self.trained.is_valid()
            && !self.trained.w.is_none()
            && self.shape.pools() != self.places.is_none()
    }

    fn optimizer_slots(&self) -> Option<u32> {
        Some(self.trained.slots)
    }

    fn run<I: Isa>(&self, isa: I, memory: &mut Memory<'_>, context: &mut Context) {
        let (reads, dx, [w, b, w_state, b_state, tile]) = self.places(context.samples);
        let ([x, dy, places], [dx, w, b, w_state, b_state, tile]) =
            memory.carve(reads, [dx, w, b, w_state, b_state, tile]);
        let (scratch, w): (&mut [f32], &mut [f32]) = (view_mut(tile), view_mut(w));
        block::backward_f32(isa, &self.shape, view(x), w, view(dy), view(places), scratch, view_mut(dx));
        let optimizer = context.optimizer;
        let w = Update { isa, optimizer, w, state: view_mut(w_state) };
        let b = Update { isa, optimizer, w: view_mut(b), state: view_mut(b_state) };
        block::update(&self.shape, context.samples, scratch, w, b);
    }
}
