//! Depthwise convolution, int8 activations with int4 weights: all of them are unpacked first, few as they are.

use super::{DepthwiseConv2d, forward_i8};
use crate::arch::Isa;
use crate::kernels::int4::{packed_bytes, unpack};
use crate::kernels::requantize::RequantizeRecord;
use crate::memory::{Memory, view, view_mut};
use crate::plan::{Access, Context, Operand, Operands, Ref, StepRecord};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Forward step, int8 with int4 weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ForwardI4 {
    /// Shape.
    pub shape: DepthwiseConv2d,
    /// Input.
    pub x: Ref,
    /// Weights, int4 ([`crate::kernels::int4`]), symmetric.
    pub w: Ref,
    /// Bias with the input's zero point folded in, or none.
    pub b: Ref,
    /// Output.
    pub y: Ref,
    /// For the unpacked weights, a byte each.
    pub scratch: Ref,
    /// The input's zero point: what lies beside the input.
    pub pad_value: i32,
    /// How sums become outputs.
    pub requantize: RequantizeRecord,
}

impl ForwardI4 {
    fn places(&self, samples: usize) -> ([Operand; 5], [Operand; 2]) {
        let shape = &self.shape;
        let [multiplier, shift] = self.requantize.places();
        let reads = [
            Operand::i8(self.x, samples.saturating_mul(shape.in_elements()), Access::Read),
            Operand::i8(self.w, packed_bytes(shape.weights()), Access::Read),
            Operand::i32(self.b, shape.out_c as usize, Access::Read),
            multiplier,
            shift,
        ];
        let scratch = Operand::i8(self.scratch, shape.weights(), Access::Scratch);
        (reads, [scratch, Operand::i8(self.y, samples.saturating_mul(shape.out_elements()), Access::Write)])
    }
}

impl StepRecord for ForwardI4 {
    fn operands(&self, samples: usize) -> Operands {
        let ([x, w, b, multiplier, shift], [scratch, y]) = self.places(samples);
        Operands::of([x, w, b, multiplier, shift, scratch, y])
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid() && self.requantize.is_valid(self.shape.out_c) && i8::try_from(self.pad_value).is_ok()
    }

    fn run<I: Isa>(&self, isa: I, memory: &mut Memory<'_>, context: &mut Context) {
        let (reads, writes) = self.places(context.samples);
        let ([x, w, b, multiplier, shift], [scratch, y]) = memory.carve(reads, writes);
        let (to, pad, unpacked) = (self.requantize.view(multiplier, shift), self.pad_value as i8, view_mut(scratch));
        unpack(w, 0, unpacked);
        forward_i8(isa, &self.shape, view(x), unpacked, view(b), pad, &to, view_mut(y));
    }
}
