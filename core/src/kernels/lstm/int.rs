//! Long short-term memory with int8 or int16 activations and int8 weights: gates and cell state have 16 bits, as in
//! TFLite Micro's integer kernel.
//!
//! A gate is the sum of two requantised products, for the input and for the state, each limited to int16, in
//! Q3.12; the cell's state has a scale that is a power of two. The sums of int16 layers have 64 bits.

use super::GATES;
use crate::arch::Isa;
use crate::kernels::integer::Width;
use crate::kernels::recurrent::{Recurrent, start_state};
use crate::kernels::requantize::Rescale;
use crate::kernels::util::{copy, from, rows, rows_mut, sub, sub_mut};
use crate::memory::{Slices, view};
use crate::plan::{Context, Ref, StepRecord, operands};
use crate::quant::functions::{TABLE, ToTable, logistic_i16, tanh_i16};
use crate::quant::multiply_wide;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Sums that are held at once.
const BLOCK: usize = 8;
/// Gates are Q3.12: their scale is two to this power.
const GATE_POWER: i32 = -12;

/// How the sums of the four gates become int16.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Gates {
    /// Input gate.
    pub input: Rescale,
    /// Forget gate.
    pub forget: Rescale,
    /// Cell gate.
    pub cell: Rescale,
    /// Output gate.
    pub output: Rescale,
}

impl Gates {
    fn each(&self) -> [Rescale; GATES] {
        [self.input, self.forget, self.cell, self.output]
    }
}

/// Forward step, int8 or int16.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ForwardInt {
    /// Shape.
    pub shape: Recurrent,
    /// Of input and hidden state.
    pub width: Width,
    /// Input.
    pub x: Ref,
    /// Weights for the input, gate by gate.
    pub w: Ref,
    /// Weights for the state.
    pub r: Ref,
    /// Biases with the input's zero point folded in, `4 * units`.
    pub b: Ref,
    /// What the state's zero point adds to the sums of `r`, `4 * units`.
    pub r_bias: Ref,
    /// The sigmoid's table.
    pub table: Ref,
    /// Hidden state of every step.
    pub y: Ref,
    /// Hidden state after the last step.
    pub h: Ref,
    /// Cell state after the last step, int16.
    pub c: Ref,
    /// Scratch for the gates of one step, int16, `4 * units`.
    pub gates: Ref,
    /// How the products with the input become gates; multipliers have 15 bits in int16 layers.
    pub of_input: Gates,
    /// How those with the state do.
    pub of_state: Gates,
    /// Forget gate times cell.
    pub forget_to_cell: Rescale,
    /// Input gate times cell gate.
    pub input_to_cell: Rescale,
    /// Output gate times the cell's tanh.
    pub to_hidden: Rescale,
    /// Zero point of the hidden state.
    pub zero_point: i32,
    /// The cell's scale is two to this power, -16 to -1.
    pub cell_power: i32,
    /// Limit of the cell's magnitude, 0 for none.
    pub cell_clip: i32,
}

/// What one step of the cell needs beside its state.
struct Cell<'a> {
    record: &'a ForwardInt,
    w: &'a [i8],
    r: &'a [i8],
    b: &'a [u8],
    r_bias: &'a [u8],
    table: &'a [u16],
}

/// The weights of a product, and what its sums start from.
#[derive(Clone, Copy)]
struct Weights<'a> {
    w: &'a [i8],
    b: &'a [u8],
}

impl Weights<'_> {
    /// The sums of the outputs from `first` on, `gates.len()` of them and at most [`BLOCK`], each started from its
    /// bias, as int16.
    #[cfg_attr(target_os = "none", inline(never))]
    fn sums<I: Isa>(self, isa: I, of: Width, x: &[u8], first: usize, to: Rescale, gates: &mut [i16]) {
        let Self { w, b } = self;
        if of == Width::I16 {
            let x: &[i16] = view(x);
            for (output, gate) in (first..).zip(gates) {
                let sum = isa.dot_i16(of.bias(b, output), x, sub(w, output * x.len(), x.len()));
                *gate = Width::I16.saturated(multiply_wide(sum, to.multiplier, to.shift));
            }
            return;
        }
        let mut acc = [0; BLOCK];
        copy(sub(view(b), first, gates.len()), &mut acc);
        isa.matvec_i8(view(x), from(w, first * x.len()), x.len(), sub_mut(&mut acc, 0, gates.len()));
        gates.iter_mut().zip(acc).for_each(|(gate, acc)| *gate = to.to_i16(acc));
    }
}

impl Cell<'_> {
    /// The gates before their functions.
    fn sums<I: Isa>(&self, isa: I, x: &[u8], h: &[u8], gates: &mut [i16]) {
        let (units, of) = (self.record.shape.units as usize, self.record.width);
        let (for_input, for_state) = (Weights { w: self.w, b: self.b }, Weights { w: self.r, b: self.r_bias });
        let scales = self.record.of_input.each().into_iter().zip(self.record.of_state.each());
        for (gate, (scale, state_scale)) in scales.enumerate() {
            for (block, gates) in sub_mut(gates, gate * units, units).chunks_mut(BLOCK).enumerate() {
                let first = gate * units + block * BLOCK;
                let mut of_state = [0; BLOCK];
                let of_state = sub_mut(&mut of_state, 0, gates.len());
                for_input.sums(isa, of, x, first, scale, gates);
                for_state.sums(isa, of, h, first, state_scale, of_state);
                for (gate, of_state) in gates.iter_mut().zip(of_state) {
                    *gate = gate.saturating_add(*of_state);
                }
            }
        }
    }

    /// One step: `h` and `c` become the next state.
    fn step<I: Isa>(&self, isa: I, x: &[u8], gates: &mut [i16], h: &mut [u8], c: &mut [i16]) {
        self.sums(isa, x, h, gates);
        let (record, units) = (self.record, self.record.shape.units as usize);
        let gate = |number: usize| sub(gates, number * units, units).iter().copied();
        let sigmoid = |x: i16| i32::from(logistic_i16(self.table, ToTable::of_power(GATE_POWER).of(x)));
        let tanh = |x: i16, power: i32| i32::from(tanh_i16(self.table, ToTable::of_power(power).of(x)));
        let all = gate(0).zip(gate(1)).zip(gate(2).zip(gate(3)));
        for ((h, c), ((i, f), (g, o))) in rows_mut(h, record.width.bytes()).zip(c.iter_mut()).zip(all) {
            let kept = record.forget_to_cell.to_i16(sigmoid(f).wrapping_mul(i32::from(*c)));
            let added = record.input_to_cell.to_i16(sigmoid(i).wrapping_mul(tanh(g, GATE_POWER)));
            *c = kept.saturating_add(added);
            if record.cell_clip > 0 {
                *c = i32::from(*c).max(-record.cell_clip).min(record.cell_clip) as i16;
            }
            let hidden = record.to_hidden.of(sigmoid(o).wrapping_mul(tanh(*c, record.cell_power)));
            record.width.store(record.width.saturated(hidden.wrapping_add(record.zero_point)), h);
        }
    }
}

impl ForwardInt {
    fn compute<I: Isa>(&self, isa: I, at: &mut Slices<'_>) {
        let (x, w, r, b, r_bias, table) = (at.read(), at.read(), at.read(), at.read(), at.read(), at.read());
        let (y, h, c, gates): (_, &mut [u8], _, _) = (at.write(), at.write(), at.write(), at.write());
        let (units, size) = (self.shape.units as usize, self.width.bytes());
        for h in rows_mut(h, size) {
            self.width.store(self.width.saturated(self.zero_point), h);
        }
        start_state(&[], 0, units, c);
        let cell = Cell { record: self, w, r, b, r_bias, table };
        // In bytes.
        let (shape, units_bytes) = (self.shape.in_pieces(size as u32), units * size);
        let samples = rows(x, shape.in_elements()).zip(rows_mut(y, shape.out_elements()));
        for ((x, y), (h, c)) in samples.zip(rows_mut(h, units_bytes).zip(rows_mut(c, units))) {
            shape.walk(x, y, |x, y| {
                cell.step(isa, x, gates, h, c);
                copy(h, y);
            });
        }
    }
}

impl StepRecord for ForwardInt {
    operands! {
        x: read size(width) [samples, shape.time, shape.inputs],
        w: read i8 [const GATES, shape.units, shape.inputs],
        r: read i8 [const GATES, shape.units, shape.units],
        b: read bias(width) [const GATES, shape.units],
        r_bias: read bias(width) [const GATES, shape.units],
        table: read u16 [const TABLE],
        y: write size(width) [samples, shape.time, shape.units],
        h: write size(width) [samples, shape.units],
        c: write i16 [samples, shape.units],
        gates: scratch i16 [const GATES, shape.units],
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid(GATES as u32)
            && match self.width {
                Width::I8 => i8::try_from(self.zero_point).is_ok(),
                Width::I16 => self.zero_point == 0,
                _ => false,
            }
            && (-16..=-1).contains(&self.cell_power)
            && (0..=32767).contains(&self.cell_clip)
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, _: &mut Context) {
        self.compute(isa, at);
    }
}
