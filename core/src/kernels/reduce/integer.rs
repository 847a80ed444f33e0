//! Sum, mean and maximum, int8 and int16, as in the reference: sums of 32 bits, one double rounding.

use super::{Kind, Shape, fold, walk};
use crate::arch::Isa;
use crate::kernels::integer::Width;
use crate::kernels::requantize::integer_limits_are_valid;
use crate::kernels::util::{rows_mut, sub, sub_mut};
use crate::memory::{Slices, view};
use crate::plan::{Context, Ref, StepRecord, operands};
use crate::quant::multiply_by_quantized_multiplier;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Outputs whose sums are held at once.
const BLOCK: usize = 32;

/// How sums become outputs; a maximum uses the limits alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Scaling {
    /// Zero point of the input.
    pub in_zero_point: i32,
    /// Mantissa of `input scale / output scale`, for a mean divided by the count.
    pub multiplier: i32,
    /// Its exponent.
    pub shift: i32,
    /// Zero point of the output.
    pub zero_point: i32,
    /// Least output.
    pub lo: i32,
    /// Greatest output.
    pub hi: i32,
}

impl Scaling {
    fn of(&self, kind: Kind, total: i32) -> i32 {
        let y = match kind {
            Kind::Max => total,
            _ => multiply_by_quantized_multiplier(total, self.multiplier, self.shift).wrapping_add(self.zero_point),
        };
        y.max(self.lo).min(self.hi)
    }
}

/// Reduces activations of this width, seen as bytes.
fn forward(kind: Kind, shape: &Shape, of: Width, x: &[u8], to: &Scaling, y: &mut [u8]) {
    let (size, [.., last]) = (of.bytes(), shape.kept);
    let stride = last.stride as usize;
    let in_bytes = shape.in_elements() * size;
    let first = match kind {
        Kind::Max => i32::MIN,
        _ => (shape.count() as i32).wrapping_mul(to.in_zero_point).wrapping_neg(),
    };
    for (sample, y) in rows_mut(y, shape.out_elements() * size).enumerate() {
        let x = sub(x, sample * in_bytes, in_bytes);
        for (y, start) in rows_mut(y, last.extent as usize * size).zip(shape.starts()) {
            for (block, y) in y.chunks_mut((BLOCK * size).max(1)).enumerate() {
                let mut totals = [first; BLOCK];
                let totals = sub_mut(&mut totals, 0, y.len().checked_div(size).unwrap_or(0));
                for offset in walk(shape.folded) {
                    let start = start + offset + block * BLOCK * stride;
                    match of {
                        Width::I16 => accumulate::<i16>(kind, view(x), start, stride, totals),
                        _ => accumulate::<i8>(kind, view(x), start, stride, totals),
                    }
                }
                for (y, total) in rows_mut(y, size).zip(totals) {
                    of.store(to.of(kind, *total) as i16, y);
                }
            }
        }
    }
}

/// Takes every `stride`-th value from `start` on into its total.
fn accumulate<T: Copy + Into<i32>>(kind: Kind, x: &[T], start: usize, stride: usize, totals: &mut [i32]) {
    match kind {
        Kind::Max => fold(x, start, stride, totals, |total, x| total.max(x.into())),
        _ => fold(x, start, stride, totals, |total, x| total.wrapping_add(x.into())),
    }
}

/// Forward step, int8 or int16.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ForwardInteger {
    /// [`Kind`].
    pub kind: u32,
    /// Bytes of an element: 1 or 2.
    pub size: u32,
    /// Shape.
    pub shape: Shape,
    /// Input.
    pub x: Ref,
    /// Output.
    pub y: Ref,
    /// How sums become outputs.
    pub scaling: Scaling,
}

impl StepRecord for ForwardInteger {
    operands! {
        x: read size(size) [samples, shape => Shape::INPUT],
        y: write size(size) [samples, shape => Shape::OUTPUT],
    }

    fn shape_is_valid(&self) -> bool {
        Kind::from_u32(self.kind).is_some()
            && self.shape.is_valid()
            && integer_limits_are_valid(self.size, self.scaling.lo, self.scaling.hi)
    }

    fn run<I: Isa>(&self, _: I, at: &mut Slices<'_>, _: &mut Context) {
        let Some(kind) = Kind::from_u32(self.kind) else { return };
        forward(kind, &self.shape, Width(self.size), at.read(), &self.scaling, at.write());
    }
}
