//! Backward through time, f32, for cells without peepholes.
//!
//! Nothing of the forward pass is kept: the step runs each sequence again (as many operations, no memory between the
//! passes) and walks back over it. It leaves the gradients of the gates' sums, `dz [samples][time][4 units]`, and the
//! states before each step. With these the kernels are layers like any other: `dx = dz w`, `dw = dz^T x`, `db = sum of
//! dz` over samples and time, and `dr = dz^T previous` are steps of a pointwise convolution.

use super::{GATES, Weights, split, step};
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
    /// Of the gates' sums, `[samples][time][4 units]`.
    pub dz: &'a mut [f32],
    /// Hidden states before each step, `[samples][time][units]`.
    pub previous: &'a mut [f32],
    /// Of the hidden state to start from, `[samples][units]`.
    pub dh0: &'a mut [f32],
    /// Of the cell state to start from, `[samples][units]`.
    pub dc0: &'a mut [f32],
}

/// Runs all sequences again from the states `[h0, c0]`, then backwards from the gradients of every hidden state, `dy`,
/// and of the last states, `[dh, dc]`. Empty states and gradients count as zeros. `cells` is scratch, `[time][units]`.
pub fn backward_f32<I: Isa>(
    isa: I,
    maths: Maths,
    shape: &Recurrent,
    x: &[f32],
    weights: &Weights<'_>,
    [h0, c0]: [&[f32]; 2],
    dy: &[f32],
    [dh_last, dc_last]: [&[f32]; 2],
    to: Gradients<'_>,
    cells: &mut [f32],
) {
    let (time, inputs, units) = shape.sizes();
    let gates = GATES * units;
    // The places of the gradients of the first states serve as the states while the sequence runs again.
    start_state(h0, 0.0, units, to.dh0);
    start_state(c0, 0.0, units, to.dc0);
    let samples = rows(x, shape.in_elements()).zip(rows_mut(to.dz, time * gates));
    let samples = samples.zip(rows_mut(to.previous, shape.out_elements()));
    let states = rows_mut(to.dh0, units).zip(rows_mut(to.dc0, units));
    for (sample, (((x, dz), previous), (dh, dc))) in samples.zip(states).enumerate() {
        for t in shape.steps() {
            copy(dh, row_mut(previous, t, units));
            copy(dc, row_mut(cells, t, units));
            step(isa, maths, row(x, t, inputs), weights, row_mut(dz, t, gates), dh, dc);
        }
        start_state(row(dh_last, sample, units), 0.0, units, dh);
        start_state(row(dc_last, sample, units), 0.0, units, dc);
        let dy = row(dy, sample, shape.out_elements());
        for t in shape.steps().rev() {
            isa.accumulate_f32(row(dy, t, units), dh);
            let dz = row_mut(dz, t, gates);
            let [i, f, g, o] = split(units, dz);
            let gates = i.iter_mut().zip(f).zip(g.iter_mut().zip(o));
            for ((((i, f), (g, o)), before), (dh, dc)) in gates.zip(row(cells, t, units)).zip(dh.iter().zip(&mut *dc)) {
                let c = maths.tanh(*f * before + *i * *g);
                let d_c = dh * *o * (1.0 - c * c) + *dc;
                *dc = d_c * *f;
                *o = dh * c * *o * (1.0 - *o);
                *f = d_c * before * *f * (1.0 - *f);
                let of_cell = d_c * *i * (1.0 - *g * *g);
                *i = d_c * *g * *i * (1.0 - *i);
                *g = of_cell;
            }
            dh.fill(0.0);
            add_product_back_f32(isa, dz, weights.r, dh);
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
    /// Bias, or none.
    pub b: Ref,
    /// Hidden state that the forward step started from, or none for zeros.
    pub h0: Ref,
    /// Cell state that it started from, or none for zeros.
    pub c0: Ref,
    /// Gradient of the hidden state of every step, or none for zeros.
    pub dy: Ref,
    /// Gradient of the last hidden state, or none for zeros.
    pub dh: Ref,
    /// Gradient of the last cell state, or none for zeros.
    pub dc: Ref,
    /// Gradient of the gates' sums.
    pub dz: Ref,
    /// Hidden state before every step.
    pub previous: Ref,
    /// Gradient of the hidden state to start from.
    pub dh0: Ref,
    /// Gradient of the cell state to start from.
    pub dc0: Ref,
    /// Scratch for the cells of one sequence.
    pub cells: Ref,
}

impl StepRecord for BackwardF32 {
    operands! {
        x: read f32 [samples, shape.time, shape.inputs],
        w: read f32 [const GATES, shape.units, shape.inputs],
        r: read f32 [const GATES, shape.units, shape.units],
        b: read f32 [const GATES, shape.units],
        h0: read f32 [samples, shape.units],
        c0: read f32 [samples, shape.units],
        dy: read f32 [samples, shape.time, shape.units],
        dh: read f32 [samples, shape.units],
        dc: read f32 [samples, shape.units],
        dz: write f32 [samples, shape.time, const GATES, shape.units],
        previous: write f32 [samples, shape.time, shape.units],
        dh0: write f32 [samples, shape.units],
        dc0: write f32 [samples, shape.units],
        cells: scratch f32 [shape.time, shape.units],
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid(GATES as u32) && self.shape.gates_are_valid(GATES as u32)
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, context: &mut Context) {
        let (x, w, r, b) = (at.read(), at.read(), at.read(), at.read());
        let (states, dy, last) = ([at.read(), at.read()], at.read(), [at.read(), at.read()]);
        let to = Gradients { dz: at.write(), previous: at.write(), dh0: at.write(), dc0: at.write() };
        let (weights, maths) = (Weights { w, r, b, p: &[] }, Maths::of(context.training));
        backward_f32(isa, maths, &self.shape, x, &weights, states, dy, last, to, at.write());
    }
}
