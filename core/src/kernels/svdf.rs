//! Singular value decomposition filter: a dense layer over the last steps of a stream, in factors.
//!
//! Shapes: `x [samples][inputs]`, `w [filters][inputs]` with `filters = units * rank`, `v [filters][memory]`,
//! `b [units]`, `y [samples][units]`. Every run shifts the state, `[samples][filters][memory]`, by one place, puts
//! `w x` into the last one, and sums state times `v` over memory and rank. The state outlives the run.

mod int;

pub use int::ForwardInt;

use super::util::{elements, rows, rows_mut};
use crate::arch::Isa;
use crate::memory::Slices;
use crate::plan::{Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Shape of the layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Svdf {
    /// Features of a step.
    pub inputs: u32,
    /// Features out.
    pub units: u32,
    /// Filters of a unit.
    pub rank: u32,
    /// Steps that a filter remembers.
    pub memory: u32,
}

impl Svdf {
    /// Filters of all units.
    pub fn filters(&self) -> usize {
        self.units as usize * self.rank as usize
    }

    /// Elements of the state of one sample.
    pub fn state(&self) -> usize {
        self.filters() * self.memory as usize
    }

    fn is_valid(&self) -> bool {
        elements([self.units, self.rank, self.inputs]).is_some()
            && elements([self.units, self.rank, self.memory]).is_some()
    }
}

/// Makes room for the newest value of every filter: the others move one place down.
fn shift<T: Copy>(memory: usize, state: &mut [T]) {
    for row in rows_mut(state, memory) {
        // Not `copy_within`, for which a device would carry a `memmove`. The newest place keeps what it had.
        let Some(&newest) = row.last() else { continue };
        row.iter_mut().rev().fold(newest, |next, place| core::mem::replace(place, next));
    }
}

/// `y = clamp(b + sum over rank and memory of state * v, lo, hi)`; an empty `b` counts as zeros.
///
/// Filters are dot products from 0 in index order; a unit starts from its bias and adds its filters in order.
pub fn forward_f32<I: Isa>(
    isa: I,
    shape: &Svdf,
    x: &[f32],
    w: &[f32],
    v: &[f32],
    b: &[f32],
    lo: f32,
    hi: f32,
    state: &mut [f32],
    y: &mut [f32],
) {
    let (inputs, memory, rank) = (shape.inputs as usize, shape.memory as usize, shape.rank as usize);
    let samples = rows(x, inputs).zip(rows_mut(y, shape.units as usize));
    for ((x, y), state) in samples.zip(rows_mut(state, shape.state())) {
        shift(memory, state);
        for (w, state) in rows(w, inputs).zip(rows_mut(state, memory)) {
            if let Some(last) = state.last_mut() {
                *last = isa.dot_f32(0.0, w, x);
            }
        }
        let mut filters = rows(v, memory).zip(rows(state, memory));
        for (unit, y) in y.iter_mut().enumerate() {
            *y = b.get(unit).copied().unwrap_or(0.0);
            for (v, state) in filters.by_ref().take(rank) {
                *y += isa.dot_f32(0.0, state, v);
            }
        }
        isa.clamp_f32(lo, hi, y);
    }
}

/// Forward step, f32, with the activation's limits fused.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ForwardF32 {
    /// Shape.
    pub shape: Svdf,
    /// Input.
    pub x: Ref,
    /// Weights over the input.
    pub w: Ref,
    /// Weights over time.
    pub v: Ref,
    /// Bias, or none.
    pub b: Ref,
    /// State, kept between runs.
    pub state: Ref,
    /// Output.
    pub y: Ref,
    /// Least output.
    pub lo: f32,
    /// Greatest output.
    pub hi: f32,
}

impl StepRecord for ForwardF32 {
    operands! {
        x: read f32 [samples, shape.inputs],
        w: read f32 [shape.units, shape.rank, shape.inputs],
        v: read f32 [shape.units, shape.rank, shape.memory],
        b: read f32 [shape.units],
        state: update f32 [samples, shape.units, shape.rank, shape.memory],
        y: write f32 [samples, shape.units],
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid()
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, _: &mut Context) {
        let (x, w, v, b) = (at.read(), at.read(), at.read(), at.read());
        let (state, y) = (at.write(), at.write());
        forward_f32(isa, &self.shape, x, w, v, b, self.lo, self.hi, state, y);
    }
}
