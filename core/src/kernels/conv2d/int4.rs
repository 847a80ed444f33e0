//! Convolution, int8 activations with int4 weights: as many filters as scratch holds are unpacked, then all outputs
//! of theirs are computed as in int8. A dense layer is a 1x1 convolution over one pixel.

use super::Conv2d;
use super::int8::{each_position, scratch_bytes_i8};
use crate::arch::Isa;
use crate::kernels::int4::{packed_bytes, unpack};
use crate::kernels::requantize::{Requantize, RequantizeRecord};
use crate::kernels::util::sub_mut;
use crate::memory::{Memory, view, view_mut};
use crate::plan::{Access, Context, Operand, Operands, Ref, StepRecord};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bytes of scratch: a patch as in int8, and as many unpacked filters as fit `most`, at least one.
pub fn scratch_bytes_i4(shape: &Conv2d, most: usize) -> usize {
    let filters = most.checked_div(shape.patch()).unwrap_or(0).min(shape.group_out()).max(1);
    scratch_bytes_i8(shape) + filters * shape.patch()
}

/// As [`super::forward_i8`]; `w` holds int4 weights ([`crate::kernels::int4`]).
pub fn forward_i4<I: Isa>(
    isa: I,
    shape: &Conv2d,
    x: &[i8],
    w: &[u8],
    b: &[i32],
    pad_value: i8,
    to: &Requantize<'_>,
    scratch: &mut [i8],
    y: &mut [i8],
) {
    let (group_out, patch) = (shape.group_out(), shape.patch());
    let (gathered, unpacked) = scratch.split_at_mut_checked(scratch_bytes_i8(shape)).unwrap_or_default();
    let at_once = unpacked.len().checked_div(patch).unwrap_or(0).max(1);
    for group in 0..shape.groups as usize {
        let (mut first, end) = (group * group_out, (group + 1) * group_out);
        while first < end {
            let count = at_once.min(end - first);
            let filters = sub_mut(unpacked, 0, count * patch);
            unpack(w, first * patch, filters);
            each_position(shape, x, pad_value, y, |window, y| {
                window.gather(group, gathered);
                window.filters(isa, group, first, filters, b, to, gathered, sub_mut(y, first, count));
            });
            first += count;
        }
    }
}

/// Forward step, int8 with int4 weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ForwardI4 {
    /// Shape.
    pub shape: Conv2d,
    /// Input.
    pub x: Ref,
    /// Weights, int4, symmetric.
    pub w: Ref,
    /// Bias with the input's zero point folded in, or none.
    pub b: Ref,
    /// Output.
    pub y: Ref,
    /// For a gathered patch and unpacked filters.
    pub scratch: Ref,
    /// Bytes of that; see [`scratch_bytes_i4`].
    pub scratch_bytes: u32,
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
        let scratch = Operand::i8(self.scratch, self.scratch_bytes as usize, Access::Scratch);
        (reads, [scratch, Operand::i8(self.y, samples.saturating_mul(shape.out_elements()), Access::Write)])
    }
}

impl StepRecord for ForwardI4 {
    fn operands(&self, samples: usize) -> Operands {
        let ([x, w, b, multiplier, shift], [scratch, y]) = self.places(samples);
        Operands::of([x, w, b, multiplier, shift, scratch, y])
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid()
            && self.requantize.is_valid(self.shape.out_c)
            && i8::try_from(self.pad_value).is_ok()
            && self.scratch_bytes as usize >= scratch_bytes_i4(&self.shape, 0)
    }

    fn run<I: Isa>(&self, isa: I, memory: &mut Memory<'_>, context: &mut Context) {
        let (reads, writes) = self.places(context.samples);
        let ([x, w, b, multiplier, shift], [scratch, y]) = memory.carve(reads, writes);
        let (to, pad) = (self.requantize.view(multiplier, shift), self.pad_value as i8);
        forward_i4(isa, &self.shape, view(x), w, view(b), pad, &to, view_mut(scratch), view_mut(y));
    }
}
