//! Singular value decomposition filter, int8 activations with a state of 8 or 16 bits.

use super::{Svdf, shift};
use crate::arch::Isa;
use crate::kernels::integer::{Factor, Width};
use crate::kernels::requantize::{Rescale, limits_are_valid};
use crate::kernels::util::{from_mut, rows, rows_mut};
use crate::memory::{Slices, view_mut};
use crate::plan::{Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Forward step, int8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ForwardInt {
    /// Shape.
    pub shape: Svdf,
    /// Of the state and of the weights over time.
    pub width: Width,
    /// Input.
    pub x: Ref,
    /// Weights over the input, int8, symmetric.
    pub w: Ref,
    /// What the input's zero point adds to the filters' sums, or none.
    pub w_bias: Ref,
    /// Weights over time, symmetric.
    pub v: Ref,
    /// Bias of 32 bits, or none.
    pub b: Ref,
    /// State, symmetric, kept between runs.
    pub state: Ref,
    /// Output.
    pub y: Ref,
    /// How a filter's sum becomes a state.
    pub to_state: Rescale,
    /// How a unit's sum becomes an output.
    pub to_output: Rescale,
    /// Zero point of the output.
    pub zero_point: i32,
    /// Least output.
    pub lo: i32,
    /// Greatest output.
    pub hi: i32,
}

impl ForwardInt {
    /// Sums wrap in 32 bits, as the reference's.
    fn forward<I: Isa>(&self, isa: I, at: &mut Slices<'_>) {
        let (x, w, w_bias): (_, _, &[i32]) = (at.read(), at.read(), at.read());
        let (v, b): (&[u8], &[i32]) = (at.read(), at.read());
        let (state, y): (&mut [u8], &mut [i8]) = (at.write(), at.write());
        let Self { shape, width, to_state, to_output, .. } = self;
        let (inputs, memory, rank) = (shape.inputs as usize, shape.memory as usize, shape.rank as usize);
        let (size, filter_bytes) = (width.bytes(), memory * width.bytes());
        let samples = rows(x, inputs).zip(rows_mut(y, shape.units as usize));
        for ((x, y), state) in samples.zip(rows_mut(state, shape.state() * size)) {
            match *width {
                Width::I16 => shift::<i16>(memory, view_mut(state)),
                _ => shift::<i8>(memory, view_mut(state)),
            }
            for (filter, (w, state)) in rows(w, inputs).zip(rows_mut(state, filter_bytes)).enumerate() {
                let sum = isa.dot_i8(w_bias.get(filter).copied().unwrap_or(0), x, w);
                width.store(width.saturated(to_state.of(sum)), from_mut(state, filter_bytes - size));
            }
            let mut filters = rows(v, filter_bytes).zip(rows(state, filter_bytes));
            for (unit, y) in y.iter_mut().enumerate() {
                let mut sum = b.get(unit).copied().unwrap_or(0);
                for (v, state) in filters.by_ref().take(rank) {
                    let [v, state] = [v, state].map(|x| Factor { x, step: 1, zero_point: 0 });
                    sum = sum.wrapping_add(width.product(memory, v, state) as i32);
                }
                *y = to_output.of(sum).wrapping_add(self.zero_point).max(self.lo).min(self.hi) as i8;
            }
        }
    }
}

impl StepRecord for ForwardInt {
    operands! {
        x: read i8 [samples, shape.inputs],
        w: read i8 [shape.units, shape.rank, shape.inputs],
        w_bias: read i32 [shape.units, shape.rank],
        v: read size(width) [shape.units, shape.rank, shape.memory],
        b: read i32 [shape.units],
        state: update size(width) [samples, shape.units, shape.rank, shape.memory],
        y: write i8 [samples, shape.units],
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid() && self.width.is_valid() && limits_are_valid(self.lo, self.hi)
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, _: &mut Context) {
        self.forward(isa, at);
    }
}
