//! Gated recurrent unit.
//!
//! Gates stand in the order update (`z`), reset (`r`), new (`n`): `w [3 units][inputs]`, `r [3 units][units]`,
//! `b [3 units]` for the input and `r_bias [3 units]` for the state. With `z` and `r = sigmoid(w x + b + r h + r_bias)`:
//! `n = tanh(w x + b + r_gate * (r h + r_bias))` if the reset comes after the product, else
//! `n = tanh(w x + b + r (r_gate * h) + r_bias)`; then `h = (1 - z) n + z h`.
//! See [`super::recurrent`] for the layout of sequences.

mod backward;

pub use backward::{BackwardF32, Gradients, backward_f32};

use super::recurrent::{Recurrent, add_product_f32, start_state};
use super::util::{copy, from, rows, rows_mut, start_from_bias, sub, sub_mut};
use crate::arch::Isa;
use crate::math::Maths;
use crate::memory::Slices;
use crate::plan::{Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Gates of a cell.
const GATES: usize = 3;

/// Scratch in units: the gates of the input, those of the state, the state behind the reset.
const SCRATCH: usize = 2 * GATES + 1;

/// What a cell computes with.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a> {
    /// For the input.
    pub w: &'a [f32],
    /// For the state.
    pub r: &'a [f32],
    /// Bias of the input's products; empty counts as zeros.
    pub b: &'a [f32],
    /// Bias of the state's products; empty counts as zeros.
    pub r_bias: &'a [f32],
    /// Whether the reset gate acts on the product with the state, not on the state itself.
    pub reset_after: bool,
}

/// Runs all sequences; `h` (`[samples][units]`) holds the state before and after.
///
/// Products are summed from their bias in index order; the sum for the state is then added to that for the input.
pub fn forward_f32<I: Isa>(
    isa: I,
    maths: Maths,
    shape: &Recurrent,
    x: &[f32],
    weights: &Weights<'_>,
    scratch: &mut [f32],
    h: &mut [f32],
    y: &mut [f32],
) {
    let units = shape.units as usize;
    for ((x, y), h) in rows(x, shape.in_elements()).zip(rows_mut(y, shape.out_elements())).zip(rows_mut(h, units)) {
        let (of_input, rest) = scratch.split_at_mut_checked(GATES * units).unwrap_or_default();
        let (of_state, reset) = rest.split_at_mut_checked(GATES * units).unwrap_or_default();
        shape.walk(x, y, |x, y| {
            step(isa, maths, x, weights, of_input, of_state, reset, h);
            copy(h, y);
        });
    }
}

/// One step of a cell. Leaves the gates behind their functions in `of_input`, and in the last third of `of_state` what the
/// new gate had from the state.
// One copy for the forward pass and for the backward one, which takes it again.
#[cfg_attr(target_os = "none", inline(never))]
fn step<I: Isa>(
    isa: I,
    maths: Maths,
    x: &[f32],
    weights: &Weights<'_>,
    of_input: &mut [f32],
    of_state: &mut [f32],
    reset: &mut [f32],
    h: &mut [f32],
) {
    let units = h.len();
    start_from_bias(weights.b, GATES * units, of_input);
    add_product_f32(isa, x, weights.w, of_input);
    start_from_bias(weights.r_bias, GATES * units, of_state);
    // The last gate waits for the reset if that acts on the state.
    let now = if weights.reset_after { GATES } else { 2 } * units;
    add_product_f32(isa, h, weights.r, sub_mut(of_state, 0, now));
    for (gate, of_state) in sub_mut(of_input, 0, 2 * units).iter_mut().zip(of_state.iter()) {
        *gate = maths.sigmoid(*gate + of_state);
    }
    let (gates, n) = of_input.split_at_mut_checked(2 * units).unwrap_or_default();
    let (z, r) = gates.split_at_checked(units).unwrap_or_default();
    if !weights.reset_after {
        for ((reset, h), r) in reset.iter_mut().zip(h.iter()).zip(r) {
            *reset = r * h;
        }
        let weights = from(weights.r, 2 * units * units);
        add_product_f32(isa, sub(reset, 0, units), weights, sub_mut(of_state, 2 * units, units));
    }
    for ((h, (n, s)), (z, r)) in h.iter_mut().zip(n.iter_mut().zip(from(of_state, 2 * units))).zip(z.iter().zip(r)) {
        let scale = if weights.reset_after { *r } else { 1.0 };
        *n = maths.tanh(*n + scale * s);
        *h = (1.0 - z) * *n + z * *h;
    }
}

/// Shape, parameters and what a cell reads: the same forward and backward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Cell {
    /// Shape.
    pub shape: Recurrent,
    /// 1 if the reset gate acts on the product with the state, 0 if on the state.
    pub reset_after: u32,
    /// Input.
    pub x: Ref,
    /// Weights for the input.
    pub w: Ref,
    /// Weights for the state.
    pub r: Ref,
    /// Bias of the input's products, or none.
    pub b: Ref,
    /// Bias of the state's products, or none.
    pub r_bias: Ref,
    /// State to start from, or none for zeros.
    pub h0: Ref,
}

impl Cell {
    fn is_valid(&self) -> bool {
        self.reset_after <= 1 && self.shape.is_valid(SCRATCH as u32)
    }

    /// What it computes with, and the state to start from.
    fn take<'a>(&self, at: &mut Slices<'a>) -> (&'a [f32], Weights<'a>, &'a [f32]) {
        let (x, w, r, b, r_bias, h0) = (at.read(), at.read(), at.read(), at.read(), at.read(), at.read());
        (x, Weights { w, r, b, r_bias, reset_after: self.reset_after == 1 }, h0)
    }
}

/// Forward step, f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ForwardF32 {
    /// The cell.
    pub cell: Cell,
    /// State of every step.
    pub y: Ref,
    /// State after the last step.
    pub h: Ref,
    /// Scratch for one step, `7 * units`.
    pub scratch: Ref,
}

impl StepRecord for ForwardF32 {
    operands! {
        cell.x: read f32 [samples, cell.shape.time, cell.shape.inputs],
        cell.w: read f32 [const GATES, cell.shape.units, cell.shape.inputs],
        cell.r: read f32 [const GATES, cell.shape.units, cell.shape.units],
        cell.b: read f32 [const GATES, cell.shape.units],
        cell.r_bias: read f32 [const GATES, cell.shape.units],
        cell.h0: read f32 [samples, cell.shape.units],
        y: write f32 [samples, cell.shape.time, cell.shape.units],
        h: write f32 [samples, cell.shape.units],
        scratch: scratch f32 [const SCRATCH, cell.shape.units],
    }

    fn shape_is_valid(&self) -> bool {
        self.cell.is_valid()
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, context: &mut Context) {
        let (x, weights, h0) = self.cell.take(at);
        let (y, h, scratch) = (at.write(), at.write(), at.write());
        let shape = &self.cell.shape;
        start_state(h0, 0.0, shape.units as usize, h);
        let maths = Maths::of(context.training);
        forward_f32(isa, maths, shape, x, &weights, scratch, h, y);
    }
}
