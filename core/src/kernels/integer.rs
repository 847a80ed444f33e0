//! What layers that are written once for int8 and int16 activations need of their elements: their width is known when
//! the program runs. A device has no room for a copy of every layer for each.
//!
//! Activations are bytes here; where one lies is counted in elements.

use super::requantize::{RequantizeRecord, Wide, bias_i16};
use super::util::{self, from};
use crate::arch::Isa;
use crate::memory::view;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bytes of an activation, 1 or 2, and the rules of its layers: int8 sums in 32 bits with biases of 32, int16 in 64 with
/// 64 and zero points of 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct Width(pub u32);

/// Every `step`-th activation from a place on, and their zero point.
#[derive(Clone, Copy, Debug)]
pub struct Factor<'a> {
    /// The activations, from the first one on.
    pub x: &'a [u8],
    /// From one to the next, in elements.
    pub step: usize,
    /// Stands for zero.
    pub zero_point: i32,
}

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

    /// The activations from `start` on.
    #[inline]
    pub fn from(self, x: &[u8], start: usize) -> &[u8] {
        from(x, start * self.bytes())
    }

    /// `len` activations from `start` on.
    #[inline]
    pub fn sub(self, x: &[u8], start: usize, len: usize) -> &[u8] {
        util::sub(x, start * self.bytes(), len * self.bytes())
    }

    /// [`Width::sub`] for writing.
    #[inline]
    pub fn sub_mut(self, x: &mut [u8], start: usize, len: usize) -> &mut [u8] {
        util::sub_mut(x, start * self.bytes(), len * self.bytes())
    }

    /// The nearest value that an activation can have.
    #[inline]
    pub fn saturated(self, value: i32) -> i16 {
        let (lo, hi) = if self == Self::I16 { (-32768, 32767) } else { (-128, 127) };
        value.max(lo).min(hi) as i16
    }

    /// Writes an activation that is within its limits to its bytes.
    #[cfg_attr(target_os = "none", inline(never))]
    #[cfg_attr(not(target_os = "none"), inline)]
    pub fn store(self, value: i16, y: &mut [u8]) {
        let [low, high] = value.to_le_bytes();
        if let [first, rest @ ..] = y {
            *first = low;
            if let Some(second) = rest.first_mut() {
                *second = high;
            }
        }
    }

    /// `init + sum of (x[i] - zero_point) * w[i]`, wrapping.
    #[cfg_attr(target_os = "none", inline(never))]
    #[cfg_attr(not(target_os = "none"), inline)]
    pub fn dot<I: Isa>(self, isa: I, init: i64, x: &[u8], zero_point: i32, w: &[i8]) -> i64 {
        if self == Self::I16 {
            return isa.dot_i16(init, view(x), w);
        }
        let term = |(x, w): (&i8, &i8)| i32::from(*x).wrapping_sub(zero_point).wrapping_mul(i32::from(*w));
        i64::from(isa.vectorize(|| view(x).iter().zip(w).map(term).fold(init as i32, i32::wrapping_add)))
    }

    /// The sum of `len` products of what two factors stand for, wrapping.
    #[cfg_attr(target_os = "none", inline(never))]
    #[cfg_attr(not(target_os = "none"), inline)]
    pub fn product(self, len: usize, a: Factor<'_>, b: Factor<'_>) -> i64 {
        if self == Self::I16 {
            return pairs::<i16>(len, a, b).fold(0, |sum: i64, [a, b]| sum.wrapping_add(a.wrapping_mul(b).into()));
        }
        let (a_zero, b_zero) = (a.zero_point, b.zero_point);
        let term = |[a, b]: [i32; 2]| a.wrapping_sub(a_zero).wrapping_mul(b.wrapping_sub(b_zero));
        i64::from(pairs::<i8>(len, a, b).map(term).fold(0, i32::wrapping_add))
    }

    /// The bias of output `index`; 0 if there is none.
    #[inline]
    pub fn bias(self, b: &[u8], index: usize) -> i64 {
        match self {
            Self::I16 => bias_i16(view::<Wide>(b), index),
            _ => view::<i32>(b).get(index).copied().map_or(0, i64::from),
        }
    }
}

/// Values that are multiplied, one pair after the other.
#[inline(always)]
fn pairs<'a, T>(len: usize, a: Factor<'a>, b: Factor<'a>) -> impl Iterator<Item = [i32; 2]>
where
    T: Copy + Into<i32> + FromBytes + Immutable + KnownLayout + 'a,
{
    let ((a_values, b_values), (mut i, mut j)) = ((view::<T>(a.x), view::<T>(b.x)), (0usize, 0usize));
    (0..len).map_while(move |_| {
        let pair = [(*a_values.get(i)?).into(), (*b_values.get(j)?).into()];
        (i, j) = (i.wrapping_add(a.step), j.wrapping_add(b.step));
        Some(pair)
    })
}
