//! Sums of int8.

use crate::kernels::add::{Sum, Term};

/// What the loop reads beside its inputs: registers r4 to r11.
#[repr(C)]
#[derive(Debug, PartialEq, Eq)]
struct Factors {
    /// `-zero << 19` of the input with the greater scale.
    first_zero: i32,
    /// `-zero << 21` of the other one.
    zero: i32,
    multiplier: i32,
    /// Half of `2^exponent`.
    half: i32,
    exponent: i32,
    /// Of the sum: `2 * multiplier - 2^32`, for SMMLAR adds the sum itself.
    doubled: i32,
    /// `2^(32 - exponent)`.
    power: i32,
    output_zero: i32,
}

unsafe extern "C" {
    fn embernet_dsp_add(a: *const i8, b: *const i8, y: *mut i8, count: usize, factors: &Factors);
}

/// The shift of the reference for int8.
const LEFT_SHIFT: i32 = 20;

/// Brings an input to twice its own scale: what becomes of the input with the greater scale.
fn halves(term: &Term) -> bool {
    term.multiplier == 1 << 30 && term.shift == 0
}

impl Factors {
    /// `None` for numbers that the loop is not made for. `sum.a` is to be the input with the greater scale.
    fn of(sum: &Sum) -> Option<Self> {
        let is_i8 = |zero: i32| i8::try_from(zero).is_ok();
        let fits = sum.left_shift == LEFT_SHIFT && halves(&sum.a) && (-31..=-2).contains(&sum.shift);
        if !fits || sum.multiplier < 1 << 30 || ![sum.a, sum.b].iter().all(|term| is_i8(term.zero_point)) {
            return None;
        }
        // A half of the same scale is a half of almost twice as much: no bit is lost, so rounding finds the same.
        let (multiplier, exponent) = if halves(&sum.b) { (i32::MAX, 1) } else { (sum.b.multiplier, -sum.b.shift) };
        ((1..=31).contains(&exponent) && multiplier > 0).then(|| Self {
            first_zero: -sum.a.zero_point << (LEFT_SHIFT - 1),
            zero: -sum.b.zero_point << (LEFT_SHIFT + 1),
            multiplier,
            half: 1 << (exponent - 1),
            exponent,
            doubled: sum.multiplier.wrapping_mul(2),
            power: 1 << (32 + sum.shift),
            output_zero: sum.zero_point,
        })
    }
}

/// See [`Isa::add_i8`](crate::arch::Isa::add_i8). False, and nothing done, where the numbers are not the loop's.
///
/// With `a = x - zero`, rounding as the reference does: `SMMULR(a << 21, m)` is its doubling product of `a << 20`;
/// `+ (x >> 31) + half >> exponent` its division, which rounds halves away from zero.
pub(super) fn add(sum: &Sum, a: Option<&[i8]>, b: Option<&[i8]>, y: &mut [i8]) -> bool {
    let (sum, a, b) = if halves(&sum.a) { (*sum, a, b) } else { (sum.swapped(), b, a) };
    let Some(factors) = Factors::of(&sum) else { return false };
    let count = [a, b].into_iter().flatten().map(<[i8]>::len).fold(y.len(), usize::min);
    let at = y.as_mut_ptr();
    let [a, b] = [a, b].map(|input| input.map_or(at.cast_const(), <[i8]>::as_ptr));
    if count > 0 {
        // SAFETY: reads `count` bytes of both inputs, which have so many, and writes as many to y; an input that is y is
        // read before it is written, byte by byte.
        unsafe { embernet_dsp_add(a, b, at, count, &factors) };
    }
    super::limit_to(sum.lo, sum.hi, y);
    true
}
