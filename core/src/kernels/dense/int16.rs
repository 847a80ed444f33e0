//! Fully connected layer, int16 forward with int8 weights: zero points are 0, sums have 64 bits.

use super::Dense;
use crate::arch::Isa;
use crate::kernels::compact::{Integers, Walk};
use crate::kernels::requantize::{Requantize, RequantizeRecord, Wide, bias_i16};
use crate::kernels::util::{rows, rows_mut};
use crate::memory::Slices;
use crate::plan::{COMPACT, Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `y = requantize(x * w^T + b)`.
pub fn forward_i16<I: Isa>(isa: I, shape: &Dense, x: &[i16], w: &[i8], b: &[Wide], to: &Requantize<'_>, y: &mut [i16]) {
    let (inputs, outputs) = shape.dims();
    if COMPACT {
        let walk = Walk::dense(shape, rows(y, outputs).len());
        return walk.over(y.len(), &mut Integers::of_i16(&walk, x, w, b, to, y));
    }
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

impl StepRecord for ForwardI16 {
    operands! {
        x: read i16 [samples, shape.inputs],
        w: read i8 [shape.outputs, shape.inputs],
        b: read i64 [shape.outputs],
        requantize.multiplier: read i32 [requantize.channels],
        requantize.shift: read i32 [requantize.channels],
        y: write i16 [samples, shape.outputs],
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid() && self.requantize.is_valid_i16(self.shape.outputs)
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, _: &mut Context) {
        let (x, w, b) = (at.read(), at.read(), at.read());
        let (to, y) = (self.requantize.read(at), at.write());
        forward_i16(isa, &self.shape, x, w, b, &to, y);
    }
}
