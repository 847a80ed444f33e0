//! Functions of two inputs, int8 and int16, as in the reference.
//!
//! Sums and differences as in [`crate::kernels::add`]. A product is that of the differences from the zero points,
//! brought to the output's scale with one double rounding. The smaller and the greater one are compared as they are:
//! all scales are equal. A quotient goes through the reciprocal of [`crate::quant::functions`].

use super::{Broadcast, Kind, combine, load};
use crate::arch::Isa;
use crate::kernels::add::{Sum, Term};
use crate::kernels::requantize::integer_limits_are_valid;
use crate::kernels::util::rows_mut;
use crate::memory::{Slices, view, view_mut};
use crate::plan::{Context, StepRecord, operands};
use crate::quant::functions::reciprocal;
use crate::quant::multiply_by_quantized_multiplier as scale;
use crate::quant::{rounding_divide_by_pot, saturating_rounding_doubling_high_mul};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The difference from the zero point.
fn from_zero(x: i32, term: &Term) -> i32 {
    x.wrapping_sub(term.zero_point)
}

/// `a / b` in the output's numbers: `a` with all its bits in front times the mantissa of `1 / b`, then the scales.
/// What a divisor of 0 gives is not defined by the reference; here the quotient is as large as it can be.
fn quotient(numbers: &Sum, a: i32, b: i32) -> i32 {
    if b == 0 {
        return i32::from(a > 0).wrapping_sub(i32::from(a < 0)).wrapping_mul(1 << 16).wrapping_add(numbers.zero_point);
    }
    let a = if b < 0 { a.wrapping_neg() } else { a };
    let (inverse, inverse_shift) = reciprocal(b.wrapping_abs(), 31);
    // Redundant bits below the sign.
    let headroom = (if a < 0 { !a } else { a }).leading_zeros().saturating_sub(1);
    let quotient = saturating_rounding_doubling_high_mul(a.wrapping_shl(headroom), inverse);
    let right = inverse_shift.wrapping_add(headroom as i32).wrapping_sub(numbers.shift);
    let scaled = saturating_rounding_doubling_high_mul(quotient, numbers.multiplier);
    // Less than a half, where the reference's shift is undefined.
    let scaled = if right > 31 { 0 } else { rounding_divide_by_pot(scaled, right.max(0) as u32) };
    scaled.wrapping_add(numbers.zero_point)
}

/// One element, limits included.
#[inline(never)] // One copy for both types.
fn element(kind: Kind, numbers: &Sum, a: i32, b: i32) -> i32 {
    let scaled = |x: i32, term: &Term| {
        let shifted = from_zero(x, term).wrapping_shl(numbers.left_shift as u32);
        scale(shifted, term.multiplier, term.shift)
    };
    let y = match kind {
        Kind::Min => a.min(b),
        Kind::Max => a.max(b),
        Kind::Div => quotient(numbers, from_zero(a, &numbers.a), from_zero(b, &numbers.b)),
        Kind::PRelu if from_zero(a, &numbers.a) >= 0 => {
            let Term { multiplier, shift, .. } = numbers.a;
            scale(from_zero(a, &numbers.a), multiplier, shift).wrapping_add(numbers.zero_point)
        }
        _ => {
            let total = match kind {
                Kind::Sub => scaled(a, &numbers.a).wrapping_sub(scaled(b, &numbers.b)),
                Kind::Mul | Kind::PRelu => from_zero(a, &numbers.a).wrapping_mul(from_zero(b, &numbers.b)),
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
    /// [`Kind`].
    pub kind: u32,
    /// Bytes of an element: 1 or 2; quotients and [`Kind::PRelu`] are int8.
    pub size: u32,
    /// Shape and places.
    pub shape: Broadcast,
    /// Scales, zero points and limits. A product and a quotient use `multiplier` and `shift`, and of their terms only
    /// the zero points; the smaller and the greater one use the limits alone. [`Kind::PRelu`] scales what is positive
    /// by the first term's multiplier, and products with slopes as a product.
    pub numbers: Sum,
}

impl ForwardInteger {
    // A function of its own on a device: among all other kernels its places would not stay in registers.
    #[cfg_attr(target_os = "none", inline(never))]
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
        let kind = Kind::from_u32(*kind).filter(|kind| *size == 1 || !matches!(kind, Kind::Div | Kind::PRelu));
        shape.is_valid(kind)
            && (0..32).contains(&numbers.left_shift)
            && integer_limits_are_valid(*size, numbers.lo, numbers.hi)
    }

    fn run<I: Isa>(&self, _: I, at: &mut Slices<'_>, _: &mut Context) {
        let (a, b, y) = (at.read(), at.read(), at.write());
        match self.size {
            1 => self.compute(a, b, y, |y| y as i8),
            _ => self.compute(a, b, y, |y| y as i16),
        }
    }
}
