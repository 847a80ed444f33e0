//! Functions of two inputs, int8 and int16, as in the reference.
//!
//! Sums and differences as in [`crate::kernels::add`]. A product is that of the differences from the zero points,
//! brought to the output's scale with one double rounding. The smaller and the greater one are compared as they are:
//! all scales are equal.

use super::{Broadcast, Kind, combine, load};
use crate::arch::Isa;
use crate::kernels::add::{Sum, Term};
use crate::kernels::requantize::integer_limits_are_valid;
use crate::kernels::util::rows_mut;
use crate::memory::{Memory, view, view_mut};
use crate::plan::{Context, StepRecord, operands};
use crate::quant::multiply_by_quantized_multiplier as scale;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// One element, limits included.
#[inline(never)] // One copy for both types.
fn element(kind: Kind, numbers: &Sum, a: i32, b: i32) -> i32 {
    let scaled = |x: i32, term: &Term| {
        let shifted = x.wrapping_sub(term.zero_point).wrapping_shl(numbers.left_shift as u32);
        scale(shifted, term.multiplier, term.shift)
    };
    let y = match kind {
        Kind::Min => a.min(b),
        Kind::Max => a.max(b),
        _ => {
            let total = match kind {
                Kind::Sub => scaled(a, &numbers.a).wrapping_sub(scaled(b, &numbers.b)),
                Kind::Mul => a.wrapping_sub(numbers.a.zero_point).wrapping_mul(b.wrapping_sub(numbers.b.zero_point)),
                _ => scaled(a, &numbers.a).wrapping_add(scaled(b, &numbers.b)),
            };
            scale(total, numbers.multiplier, numbers.shift).wrapping_add(numbers.zero_point)
        }
    };
    y.max(numbers.lo).min(numbers.hi)
}

/// Forward step, int8 or int16.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ForwardInteger {
    /// [`Kind`]; neither of those that are f32 only.
    pub kind: u32,
    /// Bytes of an element: 1 or 2.
    pub size: u32,
    /// Shape and places.
    pub shape: Broadcast,
    /// Scales, zero points and limits. A product uses `multiplier` and `shift`, and of its terms only the zero points;
    /// the smaller and the greater one use the limits alone.
    pub numbers: Sum,
}

impl ForwardInteger {
    fn compute<T>(&self, a: &[u8], b: &[u8], y: &mut [u8], narrow: impl Fn(i32) -> T)
    where
        T: Copy + Into<i32> + FromBytes + IntoBytes + Immutable + KnownLayout,
    {
        let (a, b, y): (&[T], &[T], &mut [T]) = (view(a), view(b), view_mut(y));
        let Some(kind) = Kind::from_u32(self.kind) else { return };
        let shape = &self.shape;
        let ([.., len], [.., a_step], [.., b_step]) = (shape.extents, shape.a.strides, shape.b.strides);
        let swapped = shape.b.at == shape.y;
        let numbers = if swapped { self.numbers.swapped() } else { self.numbers };
        for (row, [a_start, b_start]) in rows_mut(y, len as usize).zip(shape.rows()) {
            if !swapped && shape.a.at != shape.y {
                load(a, a_start, a_step, row);
            }
            let (x, start, step) = if swapped { (a, a_start, a_step) } else { (b, b_start, b_step) };
            combine(x, start, step, row, |y, x| narrow(element(kind, &numbers, y.into(), x.into())));
        }
    }
}

impl StepRecord for ForwardInteger {
    operands! {
        shape.a.at: input size(size) [samples unless shape.a.repeats, shape.a.elements],
        shape.b.at: input size(size) [samples unless shape.b.repeats, shape.b.elements],
        shape.y: write size(size) [samples, shape => Broadcast::OUTPUT],
    }

    fn shape_is_valid(&self) -> bool {
        let Self { kind, size, shape, numbers } = self;
        let kind = Kind::from_u32(*kind).filter(|kind| !matches!(kind, Kind::Div | Kind::PRelu));
        shape.is_valid(kind)
            && (0..32).contains(&numbers.left_shift)
            && integer_limits_are_valid(*size, numbers.lo, numbers.hi)
    }

    fn run<I: Isa>(&self, _: I, memory: &mut Memory<'_>, context: &mut Context) {
        let mut at = memory.slices(self, context.samples);
        let (a, b, y) = (at.read(), at.read(), at.write());
        match self.size {
            1 => self.compute(a, b, y, |y| y as i8),
            _ => self.compute(a, b, y, |y| y as i16),
        }
    }
}
