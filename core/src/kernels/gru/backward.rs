//! Backward through time, f32, for cells whose reset gate acts on the product with the state.
//!
//! As for [`crate::kernels::lstm`], each sequence runs again and then backwards. What is left are the gradients of the
//! gates' sums for the input and for the state, `da` and `ds [samples][time][3 units]`, which differ in the new gate
//! alone, and the states before each step: `dx = da w`, `dw = da^T x`, `db = sum of da`, `dr = ds^T previous` and
//! `dr_bias = sum of ds` are steps of a pointwise convolution.

use super::{GATES, Weights, step};
use crate::arch::Isa;
use crate::kernels::recurrent::{Recurrent, add_product_back_f32, row, row_mut, start_state};
use crate::kernels::util::{copy, rows, rows_mut};
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
    /// States before each step, `[samples][time][units]`.
    pub previous: &'a mut [f32],
    /// Of the state to start from, `[samples][units]`.
    pub dh0: &'a mut [f32],
}

/// Runs all sequences again from the state `h0`, then backwards from the gradients of every state, `dy`, and of the last
/// one, `dh_last`. Empty states and gradients count as zeros. The reset gate acts on the product, whatever `weights` say.
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
    let (gates, weights) = (GATES * units, &Weights { reset_after: true, ..*weights });
    // The place of the gradient of the first state serves as the state while the sequence runs again.
    start_state(h0, 0.0, units, to.dh0);
    let samples = rows(x, shape.in_elements()).zip(rows_mut(to.da, time * gates)).zip(rows_mut(to.ds, time * gates));
    let samples = samples.zip(rows_mut(to.previous, shape.out_elements())).zip(rows_mut(to.dh0, units));
    for (sample, ((((x, da), ds), previous), dh)) in samples.enumerate() {
        for t in shape.steps() {
            copy(dh, row_mut(previous, t, units));
            let (da, ds) = (row_mut(da, t, gates), row_mut(ds, t, gates));
            step(isa, maths, row(x, t, inputs), weights, da, ds, &mut [], dh);
        }
        start_state(row(dh_last, sample, units), 0.0, units, dh);
        let dy = row(dy, sample, shape.out_elements());
        for t in shape.steps().rev() {
            isa.accumulate_f32(row(dy, t, units), dh);
            let (da, ds) = (row_mut(da, t, gates), row_mut(ds, t, gates));
            let (both, n) = da.split_at_mut_checked(2 * units).unwrap_or_default();
            let (z, r) = both.split_at_mut_checked(units).unwrap_or_default();
            let (both_of_state, s) = ds.split_at_mut_checked(2 * units).unwrap_or_default();
            let gates = z.iter_mut().zip(r).zip(n.iter_mut().zip(s));
            for (((z, r), (n, s)), (dh, before)) in gates.zip(dh.iter_mut().zip(row(previous, t, units))) {
                let d_n = *dh * (1.0 - *z) * (1.0 - *n * *n);
                let d_z = *dh * (before - *n) * *z * (1.0 - *z);
                let d_r = d_n * *s * *r * (1.0 - *r);
                *dh *= *z;
                (*s, *z, *r, *n) = (d_n * *r, d_z, d_r, d_n);
            }
            copy(both, both_of_state);
            add_product_back_f32(isa, ds, weights.r, dh);
        }
    }
}

/// Backward step, f32, but for the parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BackwardF32 {
    /// Shape.
    pub shape: Recurrent,
    /// Input of the forward step.
    pub x: Ref,
    /// Weights for the input.
    pub w: Ref,
    /// Weights for the state.
    pub r: Ref,
    /// Bias of the input's products, or none.
    pub b: Ref,
    /// Bias of the state's products, or none.
    pub r_bias: Ref,
    /// State that the forward step started from, or none for zeros.
    pub h0: Ref,
    /// Gradient of the state of every step, or none for zeros.
    pub dy: Ref,
    /// Gradient of the last state, or none for zeros.
    pub dh: Ref,
    /// Gradient of the gates' sums for the input.
    pub da: Ref,
    /// Gradient of those for the state.
    pub ds: Ref,
    /// State before every step.
    pub previous: Ref,
    /// Gradient of the state to start from.
    pub dh0: Ref,
}

impl StepRecord for BackwardF32 {
    operands! {
        x: read f32 [samples, shape.time, shape.inputs],
        w: read f32 [const GATES, shape.units, shape.inputs],
        r: read f32 [const GATES, shape.units, shape.units],
        b: read f32 [const GATES, shape.units],
        r_bias: read f32 [const GATES, shape.units],
        h0: read f32 [samples, shape.units],
        dy: read f32 [samples, shape.time, shape.units],
        dh: read f32 [samples, shape.units],
        da: write f32 [samples, shape.time, const GATES, shape.units],
        ds: write f32 [samples, shape.time, const GATES, shape.units],
        previous: write f32 [samples, shape.time, shape.units],
        dh0: write f32 [samples, shape.units],
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid(GATES as u32) && self.shape.gates_are_valid(GATES as u32)
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, context: &mut Context) {
        let (x, w, r, b, r_bias, h0) = (at.read(), at.read(), at.read(), at.read(), at.read(), at.read());
        let (dy, dh) = (at.read(), at.read());
        let to = Gradients { da: at.write(), ds: at.write(), previous: at.write(), dh0: at.write() };
        let weights = Weights { w, r, b, r_bias, reset_after: true };
        backward_f32(isa, Maths::of(context.training), &self.shape, x, &weights, h0, dy, dh, to);
    }
}
