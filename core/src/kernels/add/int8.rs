//! Sums, int8 forward: two inputs of different scales.
//!
//! As in the reference: both inputs are shifted left as far as there is room (20 bits for int8), each brought to
//! twice the greater scale, added, and the sum brought to the output's scale; three double roundings in all.

use crate::arch::Isa;
use crate::kernels::requantize::limits_are_valid;
use crate::kernels::util::elements;
use crate::memory::Slices;
use crate::plan::{Context, Ref, StepRecord, operands};
use crate::quant::{multiply_by_quantized_multiplier, requantize_i8};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// How one input is brought to the common scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Term {
    /// The input's zero point.
    pub zero_point: i32,
    /// Mantissa of `scale / (2 * greater scale)`.
    pub multiplier: i32,
    /// Its exponent, at most 0.
    pub shift: i32,
}

/// The numbers of an int8 addition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Sum {
    /// For input `a`.
    pub a: Term,
    /// For input `b`.
    pub b: Term,
    /// Bits that both inputs are shifted left first.
    pub left_shift: i32,
    /// Mantissa of `2 * greater scale / (2^left_shift * output scale)`.
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

impl Sum {
    /// The same sum with its inputs exchanged.
    pub const fn swapped(&self) -> Self {
        Self { a: self.b, b: self.a, ..*self }
    }

    /// `a + b` in the output's numbers.
    #[inline]
    pub fn of(&self, a: i8, b: i8) -> i8 {
        let scaled = |x: i8, term: &Term| {
            let shifted = i32::from(x).wrapping_sub(term.zero_point).wrapping_shl(self.left_shift as u32);
            multiply_by_quantized_multiplier(shifted, term.multiplier, term.shift)
        };
        let sum = scaled(a, &self.a).wrapping_add(scaled(b, &self.b));
        requantize_i8(sum, self.multiplier, self.shift, self.zero_point, self.lo, self.hi)
    }

    /// `y = a + b`, element by element. An absent input is `y` itself.
    #[inline]
    pub fn add(&self, a: Option<&[i8]>, b: Option<&[i8]>, y: &mut [i8]) {
        match (a, b) {
            (Some(a), Some(b)) => y.iter_mut().zip(a).zip(b).for_each(|((y, a), b)| *y = self.of(*a, *b)),
            (None, Some(b)) => y.iter_mut().zip(b).for_each(|(y, b)| *y = self.of(*y, *b)),
            (Some(a), None) => y.iter_mut().zip(a).for_each(|(y, a)| *y = self.of(*a, *y)),
            (None, None) => y.iter_mut().for_each(|y| *y = self.of(*y, *y)),
        }
    }

    fn is_valid(&self) -> bool {
        (0..32).contains(&self.left_shift) && limits_are_valid(self.lo, self.hi)
    }
}

/// Forward step, int8, with the activation's limits fused; in place if `y` equals `a` or `b`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ForwardI8 {
    /// Elements of one sample.
    pub len: u32,
    /// One input.
    pub a: Ref,
    /// The other.
    pub b: Ref,
    /// Output.
    pub y: Ref,
    /// Scales and zero points.
    pub sum: Sum,
}

impl StepRecord for ForwardI8 {
    operands! {
        a: input i8 [samples, len],
        b: input i8 [samples, len],
        y: write i8 [samples, len],
    }

    fn shape_is_valid(&self) -> bool {
        elements([self.len]).is_some() && self.sum.is_valid()
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, _: &mut Context) {
        let (a, b, y) = (at.read(), at.read(), at.write());
        isa.add_i8(&self.sum, (self.a != self.y).then_some(a), (self.b != self.y).then_some(b), y);
    }
}

#[cfg(test)]
mod tests;
