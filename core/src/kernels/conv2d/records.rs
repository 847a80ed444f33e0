//! The f32 step records.

use super::float::{backward_input_f32, cost, forward_f32, gradient_of};
use super::{Conv2d, packed};
use crate::arch::Isa;
use crate::kernels::trained::Trained;
use crate::kernels::util::bias_backward;
use crate::memory::{Memory, view, view_mut};
use crate::optim::Update;
use crate::plan::{Access, Context, Operand, Operands, Ref, StepRecord};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Scratch for packed filters, shared by all steps of this layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Scratch {
    /// Place, or none.
    pub at: Ref,
    /// Its f32 elements; see [`super::scratch_elements`].
    pub elements: u32,
}

impl Scratch {
    /// For targets that do not pack.
    pub const NONE: Scratch = Scratch { at: Ref::NONE, elements: 0 };

    /// As an operand.
    pub fn place(&self) -> Operand {
        Operand::f32(self.at, self.elements as usize, Access::Scratch)
    }
}

/// Forward step, f32, with the activation's limits fused.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ForwardF32 {
    /// Shape.
    pub shape: Conv2d,
    /// Input.
    pub x: Ref,
    /// Weights.
    pub w: Ref,
    /// Bias, or none.
    pub b: Ref,
    /// Output.
    pub y: Ref,
    /// For packed filters.
    pub scratch: Scratch,
    /// Least output.
    pub lo: f32,
    /// Greatest output.
    pub hi: f32,
}

impl ForwardF32 {
    fn places(&self, samples: usize) -> ([Operand; 3], [Operand; 2]) {
        let shape = &self.shape;
        let reads = [
            Operand::f32(self.x, samples.saturating_mul(shape.in_elements()), Access::Read),
            Operand::f32(self.w, shape.weights(), Access::Read),
            Operand::f32(self.b, shape.out_c as usize, Access::Read),
        ];
        let y = Operand::f32(self.y, samples.saturating_mul(shape.out_elements()), Access::Write);
        (reads, [self.scratch.place(), y])
    }
}

impl StepRecord for ForwardF32 {
    fn operands(&self, samples: usize) -> Operands {
        let ([x, w, b], [scratch, y]) = self.places(samples);
        Operands::of([x, w, b, scratch, y])
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid()
    }

    fn run<I: Isa>(&self, isa: I, memory: &mut Memory<'_>, context: &mut Context) {
        let (reads, writes) = self.places(context.samples);
        let ([x, w, b], [scratch, y]) = memory.carve(reads, writes);
        let (lo, hi) = (self.lo, self.hi);
        forward_f32(isa, &self.shape, view(x), view(w), view(b), lo, hi, view_mut(scratch), view_mut(y));
    }
}

/// Backward step for the input, f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BackwardInputF32 {
    /// Shape.
    pub shape: Conv2d,
    /// Gradient of the output.
    pub dy: Ref,
    /// Weights.
    pub w: Ref,
    /// Gradient of the input.
    pub dx: Ref,
    /// For packed filters.
    pub scratch: Scratch,
}

impl BackwardInputF32 {
    fn places(&self, samples: usize) -> ([Operand; 2], [Operand; 2]) {
        let shape = &self.shape;
        let reads = [
            Operand::f32(self.dy, samples.saturating_mul(shape.out_elements()), Access::Read),
            Operand::f32(self.w, shape.weights(), Access::Read),
        ];
        let dx = Operand::f32(self.dx, samples.saturating_mul(shape.in_elements()), Access::Write);
        (reads, [self.scratch.place(), dx])
    }
}

impl StepRecord for BackwardInputF32 {
    fn operands(&self, samples: usize) -> Operands {
        let ([dy, w], [scratch, dx]) = self.places(samples);
        Operands::of([dy, w, scratch, dx])
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid()
    }

    fn run<I: Isa>(&self, isa: I, memory: &mut Memory<'_>, context: &mut Context) {
        let (reads, writes) = self.places(context.samples);
        let ([dy, w], [scratch, dx]) = memory.carve(reads, writes);
        backward_input_f32(isa, &self.shape, view(dy), view(w), view_mut(scratch), view_mut(dx));
    }
}

/// Backward step for the parameters, f32: computes gradients and updates in one go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BackwardWeightsF32 {
    /// Shape.
    pub shape: Conv2d,
    /// Input of the forward step.
    pub x: Ref,
    /// Gradient of the output.
    pub dy: Ref,
    /// Parameters and their state.
    pub trained: Trained,
}

impl BackwardWeightsF32 {
    fn places(&self, samples: usize) -> ([Operand; 2], [Operand; 5]) {
        let shape = &self.shape;
        let reads = [
            Operand::f32(self.x, samples.saturating_mul(shape.in_elements()), Access::Read),
            Operand::f32(self.dy, samples.saturating_mul(shape.out_elements()), Access::Read),
        ];
        (reads, self.trained.places(shape.weights(), shape.out_c as usize))
    }
}

impl StepRecord for BackwardWeightsF32 {
    fn operands(&self, samples: usize) -> Operands {
        let ([x, dy], [w, b, w_state, b_state, tile]) = self.places(samples);
        Operands::of([x, dy, w, b, w_state, b_state, tile])
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid() && self.trained.is_valid()
    }

    fn optimizer_slots(&self) -> Option<u32> {
        Some(self.trained.slots)
    }

    fn run<I: Isa>(&self, isa: I, memory: &mut Memory<'_>, context: &mut Context) {
        let (reads, writes) = self.places(context.samples);
        let ([x, dy], [w, b, w_state, b_state, tile]) = memory.carve(reads, writes);
        let (x, dy, tile): (&[f32], &[f32], &mut [f32]) = (view(x), view(dy), view_mut(tile));
        let optimizer = context.optimizer;
        if !self.trained.w.is_none() {
            let (shape, filters) = (&self.shape, self.shape.out_c as usize);
            let mut update = Update { isa, optimizer, w: view_mut(w), state: view_mut(w_state) };
            if packed::turns::<I>(shape, tile) {
                packed::backward_weights_turned(isa, shape, x, dy, tile, &mut update);
            } else {
                let cost = cost(shape).saturating_mul(context.samples).checked_div(filters).unwrap_or(0);
                update.split(filters, cost, tile, |of, tile, part| {
                    gradient_of(isa.alone(), shape, of, x, dy, tile, part);
                });
            }
        }
        if !self.trained.b.is_none() {
            let mut sink = Update { isa, optimizer, w: view_mut(b), state: view_mut(b_state) };
            bias_backward(self.shape.out_c as usize, dy, tile, &mut sink);
        }
    }
}
