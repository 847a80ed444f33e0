//! The f32 step records.

use super::DepthwiseConv2d;
use super::float::{backward_input_f32, cost, forward_f32, gradient_of_taps};
use crate::arch::Isa;
use crate::kernels::trained::Trained;
use crate::kernels::util::bias_backward;
use crate::memory::{Memory, view, view_mut};
use crate::optim::Update;
use crate::plan::{Access, Context, Operand, Operands, Ref, StepRecord};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Forward step, f32, with the activation's limits fused.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ForwardF32 {
    /// Shape.
    pub shape: DepthwiseConv2d,
    /// Input.
    pub x: Ref,
    /// Weights.
    pub w: Ref,
    /// Bias, or none.
    pub b: Ref,
    /// Output.
    pub y: Ref,
    /// Least output.
    pub lo: f32,
    /// Greatest output.
    pub hi: f32,
}

impl ForwardF32 {
    fn places(&self, samples: usize) -> ([Operand; 3], Operand) {
        let shape = &self.shape;
        let reads = [
            Operand::f32(self.x, samples.saturating_mul(shape.in_elements()), Access::Read),
            Operand::f32(self.w, shape.weights(), Access::Read),
            Operand::f32(self.b, shape.out_c as usize, Access::Read),
        ];
        let y = Operand::f32(self.y, samples.saturating_mul(shape.out_elements()), Access::Write);
        (reads, y)
    }
}

impl StepRecord for ForwardF32 {
    fn operands(&self, samples: usize) -> Operands {
        let ([x, w, b], y) = self.places(samples);
        Operands::of([x, w, b, y])
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid()
    }

    fn run<I: Isa>(&self, isa: I, memory: &mut Memory<'_>, context: &mut Context) {
        let (reads, y) = self.places(context.samples);
        let ([x, w, b], [y]) = memory.carve(reads, [y]);
        let (lo, hi) = (self.lo, self.hi);
        forward_f32(isa, &self.shape, view(x), view(w), view(b), lo, hi, view_mut(y));
    }
}

/// Backward step for the input, f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BackwardInputF32 {
    /// Shape.
    pub shape: DepthwiseConv2d,
    /// Gradient of the output.
    pub dy: Ref,
    /// Weights.
    pub w: Ref,
    /// Gradient of the input.
    pub dx: Ref,
}

impl BackwardInputF32 {
    fn places(&self, samples: usize) -> ([Operand; 2], Operand) {
        let shape = &self.shape;
        let reads = [
            Operand::f32(self.dy, samples.saturating_mul(shape.out_elements()), Access::Read),
            Operand::f32(self.w, shape.weights(), Access::Read),
        ];
        let dx = Operand::f32(self.dx, samples.saturating_mul(shape.in_elements()), Access::Write);
        (reads, dx)
    }
}

impl StepRecord for BackwardInputF32 {
    fn operands(&self, samples: usize) -> Operands {
        let ([dy, w], dx) = self.places(samples);
        Operands::of([dy, w, dx])
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid()
    }

    fn run<I: Isa>(&self, isa: I, memory: &mut Memory<'_>, context: &mut Context) {
        let (reads, dx) = self.places(context.samples);
        let ([dy, w], [dx]) = memory.carve(reads, [dx]);
        backward_input_f32(isa, &self.shape, view(dy), view(w), view_mut(dx));
    }
}

/// Backward step for the parameters, f32: computes gradients and updates in one go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BackwardWeightsF32 {
    /// Shape.
    pub shape: DepthwiseConv2d,
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
            let update = Update { isa, optimizer, w: view_mut(w), state: view_mut(w_state) };
            let (shape, taps) = (&self.shape, self.shape.window.taps());
            let cost = cost(shape).saturating_mul(context.samples).checked_div(taps).unwrap_or(0);
            update.split(taps, cost, tile, |of, tile, part| {
                gradient_of_taps(isa.alone(), shape, of, x, dy, tile, part);
            });
        }
        if !self.trained.b.is_none() {
            let mut sink = Update { isa, optimizer, w: view_mut(b), state: view_mut(b_state) };
            bias_backward(self.shape.out_c as usize, dy, tile, &mut sink);
        }
    }
}
