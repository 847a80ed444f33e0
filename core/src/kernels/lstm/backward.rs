//! Backward through time, f32.
//!
//! Nothing of the forward pass is kept: the step runs each sequence again (as many operations, no memory between the
//! passes) and walks back over it. It leaves the gradients of the gates' sums, `dz [samples][time][4 units]`, and the
//! states before each step. With these the kernels are layers like any other: `dx = dz w`, `dw = dz^T x`, `db = sum of
//! dz` over samples and time, and `dr = dz^T previous` are steps of a pointwise convolution. The gradient of peepholes is
//! added up here, sample by sample and backwards in time.

use super::{Cell, GATES, PEEPHOLES, Weights, split, step};
use crate::arch::Isa;
use crate::kernels::recurrent::{Recurrent, add_product_back_f32, row, row_mut, start_state};
use crate::kernels::util::{clear, copy, rows, rows_mut};
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
    /// Of the peepholes, `[3 units]`; empty if there are none that learn.
    pub dp: &'a mut [f32],
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
    clear(to.dp);
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
            let states = row(cells, t, units).iter().zip(dh.iter().zip(&mut *dc)).enumerate();
            for (((i, f), (g, o)), (unit, (before, (dh, dc)))) in gates.zip(states) {
                let peephole = |number: usize| weights.p.get(number * units + unit);
                let after = *f * before + *i * *g;
                let c = maths.tanh(after);
                let mut d_c = dh * *o * (1.0 - c * c) + *dc;
                *o = dh * c * *o * (1.0 - *o);
                if let Some(p) = peephole(2) {
                    d_c += *o * p;
                }
                *dc = d_c * *f;
                *f = d_c * before * *f * (1.0 - *f);
                let of_cell = d_c * *i * (1.0 - *g * *g);
                *i = d_c * *g * *i * (1.0 - *i);
                *g = of_cell;
                for (number, (gate, cell)) in [(*i, *before), (*f, *before), (*o, after)].into_iter().enumerate() {
                    if let Some(dp) = to.dp.get_mut(number * units + unit) {
                        *dp += gate * cell;
                    }
                    if let (Some(p), 0 | 1) = (peephole(number), number) {
                        *dc += gate * p;
                    }
                }
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
    /// The forward step's cell.
    pub cell: Cell,
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
    /// Gradient of the peepholes; none if there are none that learn.
    pub dp: Ref,
    /// Scratch for the cells of one sequence.
    pub cells: Ref,
}

impl StepRecord for BackwardF32 {
    operands! {
        cell.x: read f32 [samples, cell.shape.time, cell.shape.inputs],
        cell.w: read f32 [const GATES, cell.shape.units, cell.shape.inputs],
        cell.r: read f32 [const GATES, cell.shape.units, cell.shape.units],
        cell.b: read f32 [const GATES, cell.shape.units],
        cell.p: read f32 [const PEEPHOLES, cell.shape.units],
        cell.h0: read f32 [samples, cell.shape.units],
        cell.c0: read f32 [samples, cell.shape.units],
        dy: read f32 [samples, cell.shape.time, cell.shape.units],
        dh: read f32 [samples, cell.shape.units],
        dc: read f32 [samples, cell.shape.units],
        dz: write f32 [samples, cell.shape.time, const GATES, cell.shape.units],
        previous: write f32 [samples, cell.shape.time, cell.shape.units],
        dh0: write f32 [samples, cell.shape.units],
        dc0: write f32 [samples, cell.shape.units],
        dp: write f32 [const PEEPHOLES, cell.shape.units],
        cells: scratch f32 [cell.shape.time, cell.shape.units],
    }

    fn shape_is_valid(&self) -> bool {
        self.cell.shape.is_valid(GATES as u32) && self.cell.shape.gates_are_valid(GATES as u32)
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, context: &mut Context) {
        let (x, weights, states) = self.cell.take(at);
        let (dy, last) = (at.read(), [at.read(), at.read()]);
        let to = Gradients { dz: at.write(), previous: at.write(), dh0: at.write(), dc0: at.write(), dp: at.write() };
        backward_f32(isa, Maths::of(context.training), &self.cell.shape, x, &weights, states, dy, last, to, at.write());
    }
}
