//! Depthwise convolution, int8 activations with int4 weights: all of them are unpacked first, few as they are.

use super::{DepthwiseConv2d, forward_i8};
use crate::arch::Isa;
use crate::kernels::compact::{Integers, Walk, Weights};
use crate::kernels::int4::unpack;
use crate::kernels::requantize::RequantizeRecord;
use crate::memory::Slices;
use crate::plan::{COMPACT, Context, Ref, StepRecord, operands};
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

impl StepRecord for ForwardI4 {
    operands! {
        x: read i8 [samples, shape => DepthwiseConv2d::INPUT],
        w: read i4 [shape => DepthwiseConv2d::WEIGHTS],
        b: read i32 [shape.out_c],
        requantize.multiplier: read i32 [requantize.channels],
        requantize.shift: read i32 [requantize.channels],
        scratch: scratch i8 [shape => DepthwiseConv2d::WEIGHTS],
        y: write i8 [samples, shape => DepthwiseConv2d::OUTPUT],
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid() && self.requantize.is_valid(self.shape.out_c) && i8::try_from(self.pad_value).is_ok()
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, _: &mut Context) {
        let (x, w, b) = (at.read(), at.read(), at.read());
        let (to, pad) = (self.requantize.read(at), self.pad_value as i8);
        let (unpacked, y) = (at.write(), at.write());
        if COMPACT {
            let walk = Walk::depthwise_conv2d(&self.shape);
            let elements = <[i8]>::len(y);
            return walk.over(elements, &mut Integers::of_i8(&walk, x, Weights::I4(w), b, pad, &to, y));
        }
        unpack(w, 0, unpacked);
        forward_i8(isa, &self.shape, x, unpacked, b, pad, &to, y);
    }
}
