//! Singular value decomposition filter, int8 activations with a state of 8 or 16 bits.

use super::{Svdf, shift};
use crate::arch::Isa;
use crate::kernels::integer::Width;
use crate::kernels::requantize::Rescale;
use crate::kernels::requantize::limits_are_valid;
use crate::kernels::util::{rows, rows_mut};
use crate::memory::Slices;
use crate::plan::{Context, Ref, StepRecord, operands};
use crate::quant::multiply_by_quantized_multiplier;
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

/// An element of the state.
trait State: Copy + Into<i32> + FromBytes + IntoBytes + Immutable + KnownLayout + 'static {
    fn saturated(value: i32) -> Self;
}

impl State for i8 {
    fn saturated(value: i32) -> Self {
        value.clamp(-128, 127) as i8
    }
}

impl State for i16 {
    fn saturated(value: i32) -> Self {
        value.clamp(-32768, 32767) as i16
    }
}

impl ForwardInt {
    /// Sums wrap in 32 bits, as the reference's.
    fn forward<I: Isa, T: State>(&self, isa: I, at: &mut Slices<'_>) {
        let (x, w, w_bias): (_, _, &[i32]) = (at.read(), at.read(), at.read());
        let (v, b): (&[T], &[i32]) = (at.read(), at.read());
        let (state, y): (&mut [T], &mut [i8]) = (at.write(), at.write());
        let Self { shape, to_state, to_output, .. } = self;
        let (inputs, memory, rank) = (shape.inputs as usize, shape.memory as usize, shape.rank as usize);
        let samples = rows(x, inputs).zip(rows_mut(y, shape.units as usize));
        for ((x, y), state) in samples.zip(rows_mut(state, shape.state())) {
            shift(memory, state);
            for (filter, (w, state)) in rows(w, inputs).zip(rows_mut(state, memory)).enumerate() {
                let sum = isa.dot_i8(w_bias.get(filter).copied().unwrap_or(0), x, w);
                let scaled = multiply_by_quantized_multiplier(sum, to_state.multiplier, to_state.shift);
                if let Some(last) = state.last_mut() {
                    *last = T::saturated(scaled);
                }
            }
            let mut filters = rows(v, memory).zip(rows(state, memory));
            for (unit, y) in y.iter_mut().enumerate() {
                let terms = filters.by_ref().take(rank).flat_map(|(v, state)| v.iter().zip(state));
                let start = b.get(unit).copied().unwrap_or(0);
                let product = |(v, state): (&T, &T)| (*v).into().wrapping_mul((*state).into());
                let sum = terms.map(product).fold(start, i32::wrapping_add);
                let scaled = multiply_by_quantized_multiplier(sum, to_output.multiplier, to_output.shift);
                *y = scaled.wrapping_add(self.zero_point).max(self.lo).min(self.hi) as i8;
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
        if self.width == Width::I16 { self.forward::<I, i16>(isa, at) } else { self.forward::<I, i8>(isa, at) }
    }
}
