//! Sums of int8 on a core with a loop for them: its numbers, and the call.
#![allow(unsafe_code)]

use super::layout::limit;
use crate::kernels::add::{Sum, Term};

/// The shift of the reference for int8.
const LEFT_SHIFT: i32 = 20;

/// A sum whose first input has the greater scale, which is brought to the common scale by halving it.
#[derive(Clone, Copy, Debug)]
pub struct Halved {
    /// Zero points of both inputs.
    pub zeros: [i32; 2],
    /// Mantissa of the second input, at least 1.
    pub multiplier: i32,
    /// And the power of two it is divided by, 1 to 31.
    pub exponent: i32,
    /// Mantissa of the sum, at least `2^30`.
    pub sum_multiplier: i32,
    /// And the power, 2 to 31.
    pub sum_exponent: i32,
    /// Zero point of the output.
    pub zero_point: i32,
}

/// Brings an input to twice its own scale: what becomes of the input with the greater scale.
fn halves(term: &Term) -> bool {
    term.multiplier == 1 << 30 && term.shift == 0
}

impl Halved {
    /// `None` for numbers that the loops are not made for.
    fn of(sum: &Sum) -> Option<Self> {
        let Sum { a, b, multiplier: sum_multiplier, zero_point, .. } = *sum;
        let is_i8 = |zero: i32| i8::try_from(zero).is_ok();
        let fits = sum.left_shift == LEFT_SHIFT && halves(&a) && (-31..=-2).contains(&sum.shift);
        if !fits || sum_multiplier < 1 << 30 || ![a.zero_point, b.zero_point, zero_point].into_iter().all(is_i8) {
            return None;
        }
        // A half of the same scale is a half of almost twice as much: no bit is lost, so rounding finds the same.
        let (multiplier, exponent) = if halves(&b) { (i32::MAX, 1) } else { (b.multiplier, -b.shift) };
        let zeros = [a.zero_point, b.zero_point];
        let sum = Self { zeros, multiplier, exponent, sum_multiplier, sum_exponent: -sum.shift, zero_point };
        ((1..=31).contains(&exponent) && multiplier > 0).then_some(sum)
    }
}

/// What a loop is given: both inputs, the output, how many elements, and its numbers.
pub type Assembly = unsafe extern "C" fn(*const i8, *const i8, *mut i8, usize, &[i32; 8]);

/// See [`Isa::add_i8`](super::Isa::add_i8), by `assembly`; `numbers` says what it reads, and `None` where it cannot.
///
/// # Safety
/// `assembly` reads so many elements of both inputs and writes as many outputs, at least one; one after the other, so that
/// an input may be the output.
pub unsafe fn add(
    assembly: Assembly,
    numbers: impl Fn(&Halved) -> Option<[i32; 8]>,
    sum: &Sum,
    a: Option<&[i8]>,
    b: Option<&[i8]>,
    y: &mut [i8],
) {
    let (first, second, halved) = if halves(&sum.a) { (a, b, *sum) } else { (b, a, sum.swapped()) };
    let Some(numbers) = Halved::of(&halved).and_then(|halved| numbers(&halved)) else { return sum.add(a, b, y) };
    let count = [a, b].into_iter().flatten().map(<[i8]>::len).fold(y.len(), usize::min);
    let at = y.as_mut_ptr();
    let [a, b] = [first, second].map(|input| input.map_or(at.cast_const(), <[i8]>::as_ptr));
    if count > 0 {
        // SAFETY: both inputs have `count` bytes, and so has y.
        unsafe { assembly(a, b, at, count, &numbers) };
    }
    limit(sum.lo, sum.hi, y);
}

/// The numbers of cores without SIMD: of both inputs the zero points, shifted as the inputs are, and negated; of the second
/// input and of the sum mantissa, rounding and power, of which [`NUMBERS`](super::layout::words::NUMBERS) says how they
/// scale. Inputs are shifted left by `shifts`, and mantissas multiplied by `times`, as numbers without a sign.
#[cfg(not(any(armv7em, armv8m)))]
pub fn plain(shifts: [i32; 2], times: u32, sum: &Halved) -> Option<[i32; 8]> {
    let Halved { zeros, multiplier, exponent, sum_multiplier, sum_exponent, zero_point } = *sum;
    let ([a, b], [first, second]) = (zeros, shifts);
    if exponent >= 30 || sum_exponent > 22 {
        return None;
    }
    let mantissa = |number: i32| (number as u32).wrapping_mul(times) as i32;
    let rounding = (1 << sum_exponent) + (zero_point << (sum_exponent + 1));
    let (own, whole) = (mantissa(multiplier), mantissa(sum_multiplier));
    Some([-a << first, -b << second, own, 1 << exponent, exponent + 1, whole, rounding, sum_exponent + 1])
}
