//! Backward through time, f32.
//!
//! As for [`crate::kernels::lstm`], each sequence runs again and then backwards. What is left are the gradients of the
//! gates' sums for the input and for the state, `da` and `ds [samples][time][3 units]`, which differ in the new gate
//! alone, and what the gates saw of the state at each step: `dx = da w`, `dw = da^T x`, `db = sum of da`,
//! `dr = ds^T previous` and `dr_bias = sum of ds` are steps of a pointwise convolution. Where the reset gate acts on the
//! state, the new gate saw another one than the other two: that convolution has a group for each gate then.

use super::{Cell, GATES, Weights, step};
use crate::arch::Isa;
use crate::kernels::recurrent::{Recurrent, add_product_back_f32, row, row_mut, start_state};
use crate::kernels::util::{copy, from, from_mut, rows, rows_mut, sub};
use crate::math::Maths;
use crate::memory::Slices;
use crate::plan::{Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What a backward pass leaves.
#[derive(Debug)]
pub struct Gradients<'a> {
    /// Of the gates' sums for the input, `[samples][time][3 units]`.
    pub da: &'a mut [f32],
    /// Of those for the state, likewise.
    pub ds: &'a mut [f32],
    /// What the gates saw of the state at each step: `[samples][time][units]`, or `[samples][time][3 units]` where the
    /// reset gate acts on the state.
    pub previous: &'a mut [f32],
    /// Of the state to start from, `[samples][units]`.
    pub dh0: &'a mut [f32],
}

/// Runs all sequences again from the state `h0`, then backwards from the gradients of every state, `dy`, and of the last
/// one, `dh_last`. Empty states and gradients count as zeros.
pub fn backward_f32<I: Isa>(
    isa: I,
    maths: Maths,
    shape: &Recurrent,
    x: &[f32],
    weights: &Weights<'_>,
    h0: &[f32],
    dy: &[f32],
    dh_last: &[f32],
    to: Gradients<'_>,
) {
    let (time, inputs, units) = shape.sizes();
    let (gates, seen) = (GATES * units, if weights.reset_after { units } else { GATES * units });
    // Gates whose gradients reach the state at once.
    let direct = if weights.reset_after { GATES } else { 2 } * units;
    // The place of the gradient of the first state serves as the state while the sequence runs again.
    start_state(h0, 0.0, units, to.dh0);
    let samples = rows(x, shape.in_elements()).zip(rows_mut(to.da, time * gates)).zip(rows_mut(to.ds, time * gates));
    let samples = samples.zip(rows_mut(to.previous, time * seen)).zip(rows_mut(to.dh0, units));
    for (sample, ((((x, da), ds), previous), dh)) in samples.enumerate() {
        for t in shape.steps() {
            let previous = row_mut(previous, t, seen);
            rows_mut(previous, units).for_each(|previous| copy(dh, previous));
            let (da, ds) = (row_mut(da, t, gates), row_mut(ds, t, gates));
            step(isa, maths, row(x, t, inputs), weights, da, ds, from_mut(previous, 2 * units), dh);
        }
        start_state(row(dh_last, sample, units), 0.0, units, dh);
        let dy = row(dy, sample, shape.out_elements());
        for t in shape.steps().rev() {
            isa.accumulate_f32(row(dy, t, units), dh);
            let (da, ds) = (row_mut(da, t, gates), row_mut(ds, t, gates));
            let (both, n) = da.split_at_mut_checked(2 * units).unwrap_or_default();
            let (z, r) = both.split_at_mut_checked(units).unwrap_or_default();
            let (both_of_state, s) = ds.split_at_mut_checked(2 * units).unwrap_or_default();
            let before = row(previous, t, seen);
            for ((z, n), (dh, before)) in z.iter_mut().zip(n.iter_mut()).zip(dh.iter_mut().zip(before)) {
                let d_n = *dh * (1.0 - *z) * (1.0 - *n * *n);
                let d_z = *dh * (before - *n) * *z * (1.0 - *z);
                *dh *= *z;
                (*z, *n) = (d_z, d_n);
            }
            if !weights.reset_after {
                // What the new gate saw of the state hands its gradient on to both factors.
                s.fill(0.0);
                add_product_back_f32(isa, n, from(weights.r, 2 * units * units), s);
                isa.vectorize(|| {
                    dh.iter_mut().zip(s.iter().zip(r.iter())).for_each(|(dh, (s, r))| *dh += s * r);
                });
            }
            for ((r, s), (n, before)) in r.iter_mut().zip(s).zip(n.iter().zip(before)) {
                let (reset, passed) = if weights.reset_after { (n * *s, n * *r) } else { (*s * before, *n) };
                (*r, *s) = (reset * *r * (1.0 - *r), passed);
            }
            copy(both, both_of_state);
            add_product_back_f32(isa, sub(ds, 0, direct), sub(weights.r, 0, direct * units), dh);
        }
    }
}

/// Backward step, f32, but for the parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BackwardF32 {
    /// The forward step's cell.
    pub cell: Cell,
    /// States that the gates see at each step: 1, or 3 where the reset gate acts on the state.
    pub seen: u32,
    /// Gradient of the state of every step, or none for zeros.
    pub dy: Ref,
    /// Gradient of the last state, or none for zeros.
    pub dh: Ref,
    /// Gradient of the gates' sums for the input.
    pub da: Ref,
    /// Gradient of those for the state.
    pub ds: Ref,
    /// What the gates saw of the state at every step.
    pub previous: Ref,
    /// Gradient of the state to start from.
    pub dh0: Ref,
}

impl StepRecord for BackwardF32 {
    operands! {
        cell.x: read f32 [samples, cell.shape.time, cell.shape.inputs],
        cell.w: read f32 [const GATES, cell.shape.units, cell.shape.inputs],
        cell.r: read f32 [const GATES, cell.shape.units, cell.shape.units],
        cell.b: read f32 [const GATES, cell.shape.units],
        cell.r_bias: read f32 [const GATES, cell.shape.units],
        cell.h0: read f32 [samples, cell.shape.units],
        dy: read f32 [samples, cell.shape.time, cell.shape.units],
        dh: read f32 [samples, cell.shape.units],
        da: write f32 [samples, cell.shape.time, const GATES, cell.shape.units],
        ds: write f32 [samples, cell.shape.time, const GATES, cell.shape.units],
        previous: write f32 [samples, cell.shape.time, seen, cell.shape.units],
        dh0: write f32 [samples, cell.shape.units],
    }

    fn shape_is_valid(&self) -> bool {
        let seen = if self.cell.reset_after == 1 { 1 } else { GATES as u32 };
        self.cell.is_valid() && self.cell.shape.gates_are_valid(GATES as u32) && self.seen == seen
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, context: &mut Context) {
        let (x, weights, h0) = self.cell.take(at);
        let (dy, dh) = (at.read(), at.read());
        let to = Gradients { da: at.write(), ds: at.write(), previous: at.write(), dh0: at.write() };
        backward_f32(isa, Maths::of(context.training), &self.cell.shape, x, &weights, h0, dy, dh, to);
    }
}
