//! Fully connected layer, int16 forward with int8 weights: zero points are 0, sums have 64 bits.

use super::Dense;
use crate::arch::Isa;
use crate::kernels::requantize::{Requantize, RequantizeRecord, Wide, bias_i16};
use crate::kernels::util::{rows, rows_mut};
use crate::memory::{Memory, view, view_mut};
use crate::plan::{Access, Context, Operand, Operands, Ref, StepRecord};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `y = requantize(x * w^T + b)`.
pub fn forward_i16<I: Isa>(isa: I, shape: &Dense, x: &[i16], w: &[i8], b: &[Wide], to: &Requantize<'_>, y: &mut [i16]) {
    let (inputs, outputs) = shape.dims();
    for (x, y) in rows(x, inputs).zip(rows_mut(y, outputs)) {
        for ((output, y), w) in y.iter_mut().enumerate().zip(rows(w, inputs)) {
            *y = to.to_i16(output, isa.dot_i16(bias_i16(b, output), x, w));
        }
    }
}

/// Forward step, int16.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ForwardI16 {
    /// Shape.
    pub shape: Dense,
    /// Input.
    pub x: Ref,
    /// Weights, int8, symmetric.
    pub w: Ref,
    /// Bias of 64 bits, or none.
    pub b: Ref,
    /// Output.
    pub y: Ref,
    /// How sums become outputs; multipliers of 15 bits.
    pub requantize: RequantizeRecord,
}

impl ForwardI16 {
    fn places(&self, samples: usize) -> ([Operand; 5], Operand) {
        let (inputs, outputs) = self.shape.dims();
        let [multiplier, shift] = self.requantize.places();
        let reads = [
            Operand::i16(self.x, samples.saturating_mul(inputs), Access::Read),
            Operand::i8(self.w, inputs.saturating_mul(outputs), Access::Read),
            Operand::i64(self.b, outputs, Access::Read),
            multiplier,
            shift,
        ];
        (reads, Operand::i16(self.y, samples.saturating_mul(outputs), Access::Write))
    }
}

impl StepRecord for ForwardI16 {
    fn operands(&self, samples: usize) -> Operands {
        let ([x, w, b, multiplier, shift], y) = self.places(samples);
        Operands::of([x, w, b, multiplier, shift, y])
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid() && self.requantize.is_valid_i16(self.shape.outputs)
    }

    fn run<I: Isa>(&self, isa: I, memory: &mut Memory<'_>, context: &mut Context) {
        let (reads, y) = self.places(context.samples);
        let ([x, w, b, multiplier, shift], [y]) = memory.carve(reads, [y]);
        let to = self.requantize.view(multiplier, shift);
        forward_i16(isa, &self.shape, view(x), view(w), view(b), &to, view_mut(y));
    }
}
