//! Convolution, int8 activations with int4 weights: as many filters as scratch holds are unpacked, then all outputs
//! of theirs are computed as in int8. A dense layer is a 1x1 convolution over one pixel.

use super::Conv2d;
use super::int8::{each_position, scratch_bytes_i8};
use crate::arch::Isa;
use crate::kernels::compact::{Integers, Walk, Weights};
use crate::kernels::int4::unpack;
use crate::kernels::requantize::{Requantize, RequantizeRecord};
use crate::kernels::util::sub_mut;
use crate::memory::Slices;
use crate::plan::{COMPACT, Context, Ref, StepRecord, operands};
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
    if COMPACT {
        let walk = Walk::conv2d(shape);
        return walk.over(y.len(), &mut Integers::of_i8(&walk, x, Weights::I4(w), b, pad_value, to, y));
    }
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

impl StepRecord for ForwardI4 {
    operands! {
        x: read i8 [samples, shape => Conv2d::INPUT],
        w: read i4 [shape => Conv2d::WEIGHTS],
        b: read i32 [shape.out_c],
        requantize.multiplier: read i32 [requantize.channels],
        requantize.shift: read i32 [requantize.channels],
        scratch: scratch i8 [scratch_bytes],
        y: write i8 [samples, shape => Conv2d::OUTPUT],
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid()
            && self.requantize.is_valid(self.shape.out_c)
            && i8::try_from(self.pad_value).is_ok()
            && self.scratch_bytes as usize >= scratch_bytes_i4(&self.shape, 0)
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, _: &mut Context) {
        let (x, w, b) = (at.read(), at.read(), at.read());
        let (to, pad) = (self.requantize.read(at), self.pad_value as i8);
        let (scratch, y) = (at.write(), at.write());
        forward_i4(isa, &self.shape, x, w, b, pad, &to, scratch, y);
    }
}
