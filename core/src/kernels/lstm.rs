//! Long short-term memory.
//!
//! Gates stand in the order input, forget, cell, output: `w [4 units][inputs]`, `r [4 units][units]`, `b [4 units]`.
//! With `i, f, o = sigmoid`, `g = tanh` of `w x + r h + b`: `c = f c + i g`, `h = o tanh(c)`.
//! Peepholes `p [3 units]`, f32 only, add `p c` to the input, forget and output gate, in this order: the first two see
//! the cell before the step, the output gate sees it after (ONNX, operator LSTM).
//! See [`super::recurrent`] for the layout of sequences.

mod backward;
mod int;

pub use backward::{BackwardF32, Gradients, backward_f32};
pub use int::{ForwardInt, Gates};

use super::recurrent::{Recurrent, add_product_f32, start_state};
use super::util::{copy, rows, rows_mut, sub, sub_mut};
use crate::arch::Isa;
use crate::math::Maths;
use crate::memory::Slices;
use crate::plan::{Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Gates of a cell.
const GATES: usize = 4;

/// Gates that look at the cell where there are peepholes: all but the cell gate.
const PEEPHOLES: usize = 3;

/// What a cell computes with, f32.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a> {
    /// For the input.
    pub w: &'a [f32],
    /// For the state.
    pub r: &'a [f32],
    /// Bias; empty counts as zeros.
    pub b: &'a [f32],
    /// Peepholes; empty if there are none.
    pub p: &'a [f32],
}

/// Runs all sequences; `h` and `c` (`[samples][units]`) hold the state before and after.
///
/// A gate starts from its bias, adds the products with the input, then those with the state, both in index order, and
/// last its peephole's product.
pub fn forward_f32<I: Isa>(
    isa: I,
    maths: Maths,
    shape: &Recurrent,
    x: &[f32],
    weights: &Weights<'_>,
    gates: &mut [f32],
    h: &mut [f32],
    c: &mut [f32],
    y: &mut [f32],
) {
    let units = shape.units as usize;
    let samples = rows(x, shape.in_elements()).zip(rows_mut(y, shape.out_elements()));
    for ((x, y), (h, c)) in samples.zip(rows_mut(h, units).zip(rows_mut(c, units))) {
        shape.walk(x, y, |x, y| {
            step(isa, maths, x, weights, gates, h, c);
            copy(h, y);
        });
    }
}

/// One step of a cell; the gates are left behind their functions.
// One copy for the forward pass and for the backward one, which takes it again.
#[cfg_attr(target_os = "none", inline(never))]
fn step<I: Isa>(
    isa: I,
    maths: Maths,
    x: &[f32],
    weights: &Weights<'_>,
    gates: &mut [f32],
    h: &mut [f32],
    c: &mut [f32],
) {
    let units = c.len();
    super::util::start_from_bias(weights.b, GATES * units, gates);
    add_product_f32(isa, x, weights.w, gates);
    add_product_f32(isa, h, weights.r, gates);
    for number in [0, 1] {
        add_peephole(weights.p, number, c, sub_mut(gates, number * units, units));
    }
    let [i, f, g, output] = split(units, gates);
    for (c, ((i, f), g)) in c.iter_mut().zip(i.iter_mut().zip(f).zip(g)) {
        (*i, *f, *g) = (maths.sigmoid(*i), maths.sigmoid(*f), maths.tanh(*g));
        *c = *f * *c + *i * *g;
    }
    add_peephole(weights.p, 2, c, output);
    for (h, (o, c)) in h.iter_mut().zip(output.iter_mut().zip(c.iter())) {
        *o = maths.sigmoid(*o);
        *h = *o * maths.tanh(*c);
    }
}

/// The gates of one step.
fn split(units: usize, gates: &mut [f32]) -> [&mut [f32]; GATES] {
    let (i, rest) = gates.split_at_mut_checked(units).unwrap_or_default();
    let (f, rest) = rest.split_at_mut_checked(units).unwrap_or_default();
    let (g, o) = rest.split_at_mut_checked(units).unwrap_or_default();
    [i, f, g, o]
}

/// Adds what one gate sees of the cell; nothing without peepholes.
fn add_peephole(peepholes: &[f32], number: usize, c: &[f32], gate: &mut [f32]) {
    let weights = sub(peepholes, number * c.len(), c.len());
    for (gate, (p, c)) in gate.iter_mut().zip(weights.iter().zip(c)) {
        *gate += p * c;
    }
}

/// Shape, parameters and what a cell reads: the same forward and backward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Cell {
    /// Shape.
    pub shape: Recurrent,
    /// Input.
    pub x: Ref,
    /// Weights for the input.
    pub w: Ref,
    /// Weights for the state.
    pub r: Ref,
    /// Bias, or none.
    pub b: Ref,
    /// Peepholes, or none.
    pub p: Ref,
    /// Hidden state to start from, or none for zeros.
    pub h0: Ref,
    /// Cell state to start from, or none for zeros.
    pub c0: Ref,
}

impl Cell {
    /// Its input, what it computes with, and the hidden and the cell state to start from.
    fn take<'a>(&self, at: &mut Slices<'a>) -> (&'a [f32], Weights<'a>, [&'a [f32]; 2]) {
        let (x, w, r, b, p) = (at.read(), at.read(), at.read(), at.read(), at.read());
        (x, Weights { w, r, b, p }, [at.read(), at.read()])
    }
}

/// Forward step, f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ForwardF32 {
    /// The cell.
    pub cell: Cell,
    /// Hidden state of every step.
    pub y: Ref,
    /// Hidden state after the last step.
    pub h: Ref,
    /// Cell state after the last step.
    pub c: Ref,
    /// Scratch for the gates of one step, `4 * units`.
    pub gates: Ref,
}

impl StepRecord for ForwardF32 {
    operands! {
        cell.x: read f32 [samples, cell.shape.time, cell.shape.inputs],
        cell.w: read f32 [const GATES, cell.shape.units, cell.shape.inputs],
        cell.r: read f32 [const GATES, cell.shape.units, cell.shape.units],
        cell.b: read f32 [const GATES, cell.shape.units],
        cell.p: read f32 [const PEEPHOLES, cell.shape.units],
        cell.h0: read f32 [samples, cell.shape.units],
        cell.c0: read f32 [samples, cell.shape.units],
        y: write f32 [samples, cell.shape.time, cell.shape.units],
        h: write f32 [samples, cell.shape.units],
        c: write f32 [samples, cell.shape.units],
        gates: scratch f32 [const GATES, cell.shape.units],
    }

    fn shape_is_valid(&self) -> bool {
        self.cell.shape.is_valid(GATES as u32)
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, context: &mut Context) {
        let (x, weights, [h0, c0]) = self.cell.take(at);
        let (y, h, c, gates) = (at.write(), at.write(), at.write(), at.write());
        let (shape, units) = (&self.cell.shape, self.cell.shape.units as usize);
        start_state(h0, 0.0, units, h);
        start_state(c0, 0.0, units, c);
        let gates = sub_mut(gates, 0, GATES * units);
        forward_f32(isa, Maths::of(context.training), shape, x, &weights, gates, h, c, y);
    }
}
