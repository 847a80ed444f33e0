//! The f32 step records.

use super::Conv2d;
use super::float::{backward_input_f32, cost, forward_f32, gradient_of};
use crate::arch::Isa;
use crate::kernels::trained::{Trained, update_bias};
use crate::memory::Slices;
use crate::optim::Update;
use crate::plan::{Context, Ref, StepRecord, operands};
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

impl StepRecord for ForwardF32 {
    operands! {
        x: read f32 [samples, shape => Conv2d::INPUT],
        w: read f32 [shape => Conv2d::WEIGHTS],
        b: read f32 [shape.out_c],
        scratch.at: scratch f32 [scratch.elements],
        y: write f32 [samples, shape => Conv2d::OUTPUT],
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid()
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, _: &mut Context) {
        let (x, w, b) = (at.read(), at.read(), at.read());
        let (scratch, y) = (at.write(), at.write());
        let (lo, hi) = (self.lo, self.hi);
        forward_f32(isa, &self.shape, x, w, b, lo, hi, scratch, y);
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

impl StepRecord for BackwardInputF32 {
    operands! {
        dy: read f32 [samples, shape => Conv2d::OUTPUT],
        w: read f32 [shape => Conv2d::WEIGHTS],
        scratch.at: scratch f32 [scratch.elements],
        dx: write f32 [samples, shape => Conv2d::INPUT],
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid()
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, _: &mut Context) {
        let (dy, w) = (at.read(), at.read());
        let (scratch, dx) = (at.write(), at.write());
        backward_input_f32(isa, &self.shape, dy, w, scratch, dx);
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

impl StepRecord for BackwardWeightsF32 {
    operands! {
        x: read f32 [samples, shape => Conv2d::INPUT],
        dy: read f32 [samples, shape => Conv2d::OUTPUT],
        trained.w: update f32 [shape => Conv2d::WEIGHTS],
        trained.b: update f32 [shape.out_c],
        trained.w_state: update state(trained.slots) [shape => Conv2d::WEIGHTS],
        trained.b_state: update state(trained.slots) [shape.out_c],
        trained.tile: scratch f32 [trained.tile_elements],
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid() && self.trained.is_valid()
    }

    fn optimizer_slots(&self) -> Option<u32> {
        Some(self.trained.slots)
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, context: &mut Context) {
        let (x, dy) = (at.read(), at.read());
        let (w, b, w_state, b_state, tile) = (at.write(), at.write(), at.write(), at.write(), at.write());
        let optimizer = &context.optimizer;
        if !self.trained.w.is_none() {
            let (shape, filters) = (&self.shape, self.shape.out_c as usize);
            let update = Update { isa, optimizer, w, state: w_state };
            let cost = cost(shape).saturating_mul(context.samples).checked_div(filters).unwrap_or(0);
            update.split(filters, cost, tile, |of, tile, part| {
                gradient_of(isa.alone(), shape, of, x, dy, tile, part);
            });
        }
        if !self.trained.b.is_none() {
            let update = Update { isa, optimizer, w: b, state: b_state };
            update_bias(update, self.shape.out_c as usize, dy, tile);
        }
    }
}
