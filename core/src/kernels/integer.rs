//! What layers that are written once for int8 and int16 activations need of their elements.
//!
//! What takes an output is a function of its own on a device, which has no room for a copy in every layer.

use super::requantize::{Requantize, RequantizeRecord, Wide, bias_i16};
use crate::arch::Isa;
use crate::quant;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// An integer activation and the rules of its layers: int8 sums in 32 bits with biases of 32, int16 in 64 with 64.
pub trait Integer: Copy + Default + FromBytes + IntoBytes + Immutable + KnownLayout + 'static {
    /// Element of a bias.
    type Bias: FromBytes + Immutable + KnownLayout + 'static;

    /// `init + sum of (x[i] - zero_point) * w[i]`, wrapping.
    fn dot<I: Isa>(isa: I, init: i64, x: &[Self], zero_point: i32, w: &[i8]) -> i64;

    /// `sum of (a[i * a_step] - a_zero) * (b[i * b_step] - b_zero)` over `len` elements, wrapping.
    fn product(len: usize, a: (&[Self], usize, i32), b: (&[Self], usize, i32)) -> i64;

    /// The bias of output `index`; 0 if there is none.
    fn bias(b: &[Self::Bias], index: usize) -> i64;

    /// The sum of output `index` as an output.
    fn finish(to: &Requantize<'_>, index: usize, sum: i64) -> Self;
}

impl Integer for i8 {
    type Bias = i32;

    #[inline]
    fn dot<I: Isa>(isa: I, init: i64, x: &[Self], zero_point: i32, w: &[i8]) -> i64 {
        let term = |(x, w): (&i8, &i8)| i32::from(*x).wrapping_sub(zero_point).wrapping_mul(i32::from(*w));
        i64::from(isa.vectorize(|| x.iter().zip(w).map(term).fold(init as i32, i32::wrapping_add)))
    }

    #[cfg_attr(target_os = "none", inline(never))]
    #[cfg_attr(not(target_os = "none"), inline)]
    fn product(
        len: usize,
        (a, a_step, a_zero): (&[Self], usize, i32),
        (b, b_step, b_zero): (&[Self], usize, i32),
    ) -> i64 {
        let centred = |x: &i8, zero: i32| i32::from(*x).wrapping_sub(zero);
        let pairs = a.iter().step_by(a_step.max(1)).zip(b.iter().step_by(b_step.max(1))).take(len);
        i64::from(pairs.fold(0i32, |sum, (a, b)| sum.wrapping_add(centred(a, a_zero).wrapping_mul(centred(b, b_zero)))))
    }

    #[inline]
    fn bias(b: &[i32], index: usize) -> i64 {
        b.get(index).copied().map_or(0, i64::from)
    }

    #[cfg_attr(target_os = "none", inline(never))]
    #[cfg_attr(not(target_os = "none"), inline)]
    fn finish(to: &Requantize<'_>, index: usize, sum: i64) -> Self {
        let (multiplier, shift) = to.of(index);
        quant::requantize_i8(sum as i32, multiplier, shift, to.zero_point, to.lo, to.hi)
    }
}

impl Integer for i16 {
    type Bias = Wide;

    #[inline]
    fn dot<I: Isa>(isa: I, init: i64, x: &[Self], _: i32, w: &[i8]) -> i64 {
        isa.dot_i16(init, x, w)
    }

    #[cfg_attr(target_os = "none", inline(never))]
    #[cfg_attr(not(target_os = "none"), inline)]
    fn product(len: usize, (a, a_step, _): (&[Self], usize, i32), (b, b_step, _): (&[Self], usize, i32)) -> i64 {
        let pairs = a.iter().step_by(a_step.max(1)).zip(b.iter().step_by(b_step.max(1))).take(len);
        pairs.fold(0i64, |sum, (a, b)| sum.wrapping_add(i64::from(i32::from(*a).wrapping_mul(i32::from(*b)))))
    }

    #[inline]
    fn bias(b: &[Wide], index: usize) -> i64 {
        bias_i16(b, index)
    }

    #[cfg_attr(target_os = "none", inline(never))]
    #[cfg_attr(not(target_os = "none"), inline)]
    fn finish(to: &Requantize<'_>, index: usize, sum: i64) -> Self {
        to.to_i16(index, sum)
    }
}

/// Which [`Integer`] a record means: its bytes, 1 or 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct Width(pub u32);

impl Width {
    /// int8.
    pub const I8: Self = Self(1);
    /// int16.
    pub const I16: Self = Self(2);

    /// Bytes of an activation.
    #[inline]
    pub const fn bytes(self) -> usize {
        self.0 as usize
    }

    /// Whether it is one of them.
    pub const fn is_valid(self) -> bool {
        matches!(self, Self::I8 | Self::I16)
    }

    /// Whether `requantize` fits a layer of `outputs` outputs and `zero_point` is one of its inputs'.
    pub fn fits(self, requantize: &RequantizeRecord, outputs: u32, zero_point: i32) -> bool {
        match self {
            Self::I8 => requantize.is_valid(outputs) && i8::try_from(zero_point).is_ok(),
            Self::I16 => requantize.is_valid_i16(outputs) && zero_point == 0,
            _ => false,
        }
    }

    /// Writes an activation that is within its limits to its bytes.
    pub fn store(self, value: i16, y: &mut [u8]) {
        y.iter_mut().zip(value.to_le_bytes()).for_each(|(y, byte)| *y = byte);
    }
}
