//! What recurrent layers share: the shape of a sequence and the walk along it.
//!
//! A sample is a sequence `[time][inputs]`; a layer leaves the hidden state of every step, `[time][units]`, and the
//! state after the last step. Both directions number steps as the input does.

use super::util::{copy, elements, rows, rows_mut, sub, sub_mut};
use crate::arch::{Gemm, Isa};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Shape of a recurrent layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Recurrent {
    /// Steps of a sequence.
    pub time: u32,
    /// Features of a step.
    pub inputs: u32,
    /// Features of the state.
    pub units: u32,
    /// 1 to walk from the last step to the first, else 0.
    pub reverse: u32,
}

impl Recurrent {
    /// `(time, inputs, units)`.
    pub fn sizes(&self) -> (usize, usize, usize) {
        (self.time as usize, self.inputs as usize, self.units as usize)
    }

    /// The same sequence in pieces of an element, such as its bytes: so many times as many features.
    #[must_use]
    pub fn in_pieces(self, pieces: u32) -> Self {
        Self { inputs: self.inputs.wrapping_mul(pieces), units: self.units.wrapping_mul(pieces), ..self }
    }

    /// Elements of an input sample.
    pub fn in_elements(&self) -> usize {
        self.time as usize * self.inputs as usize
    }

    /// Elements of an output sample.
    pub fn out_elements(&self) -> usize {
        self.time as usize * self.units as usize
    }

    /// Whether the shape is consistent for a cell of that many gates.
    pub fn is_valid(&self, gates: u32) -> bool {
        self.reverse <= 1
            && elements([self.time, self.inputs]).is_some()
            && elements([self.time, self.units]).is_some()
            && elements([gates, self.units, self.inputs]).is_some()
            && elements([gates, self.units, self.units]).is_some()
    }

    /// Whether the gates of all steps of a sample are no more than an arena may hold.
    pub fn gates_are_valid(&self, gates: u32) -> bool {
        elements([self.time, gates, self.units]).is_some()
    }

    /// The numbers of the steps in the order of the direction.
    pub fn steps(&self) -> impl DoubleEndedIterator<Item = usize> + use<> {
        let (time, reverse) = (self.time as usize, self.reverse != 0);
        (0..time).map(move |i| if reverse { time - 1 - i } else { i })
    }

    /// Calls `step(x, y)` for every step of one sample in the order of the direction.
    pub fn walk<T>(&self, x: &[T], y: &mut [T], mut step: impl FnMut(&[T], &mut [T])) {
        let (_, inputs, units) = self.sizes();
        for t in self.steps() {
            step(sub(x, t * inputs, inputs), sub_mut(y, t * units, units));
        }
    }
}

/// Row number `number` of rows of `len`; nothing if there is none. One copy for a device: recurrent layers take many.
#[cfg_attr(target_os = "none", inline(never))]
pub fn row(items: &[f32], number: usize, len: usize) -> &[f32] {
    sub(items, number.wrapping_mul(len), len)
}

/// [`row`] for writing.
#[cfg_attr(target_os = "none", inline(never))]
pub fn row_mut(items: &mut [f32], number: usize, len: usize) -> &mut [f32] {
    sub_mut(items, number.wrapping_mul(len), len)
}

/// Every row of `state` (`[samples][units]`) starts from `initial`; an empty one counts as `zero`.
pub fn start_state<T: Copy>(initial: &[T], zero: T, units: usize, state: &mut [T]) {
    if initial.is_empty() {
        state.fill(zero);
        return;
    }
    for (state, initial) in rows_mut(state, units).zip(rows(initial, units)) {
        copy(initial, state);
    }
}

/// `y += x * w^T`, one vector; `w` is `[y.len()][x.len()]`.
pub fn add_product_f32<I: Isa>(isa: I, x: &[f32], w: &[f32], y: &mut [f32]) {
    let (n, k) = (y.len(), x.len());
    isa.gemm_f32(&Gemm { m: 1, n, k, a_row: k, a_col: 1, b_row: 1, b_col: k, c_row: n }, x, w, y);
}

/// `dx += dy * w`, one vector; `w` is `[dy.len()][dx.len()]`.
pub fn add_product_back_f32<I: Isa>(isa: I, dy: &[f32], w: &[f32], dx: &mut [f32]) {
    let (n, k) = (dx.len(), dy.len());
    isa.gemm_f32(&Gemm { m: 1, n, k, a_row: k, a_col: 1, b_row: n, b_col: 1, c_row: n }, dy, w, dx);
}
