//! Exponential, reciprocal, logistic and tanh in fixed point, bit for bit as gemmlowp computes them.
//!
//! Numbers are 32-bit: "Qm" has `m` integer bits, a sign and `31 - m` fraction bits, so that a raw integer `r` stands
//! for `r / 2^(31 - m)`. A product of Qa and Qb is Q(a + b). "One" in Q0 is the largest number, `1 - 2^-31`.

use super::{rounding_divide_by_pot, saturating_rounding_doubling_high_mul as mul};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

const ONE_Q0: i32 = i32::MAX;
const ONE_Q2: i32 = 1 << 29;

/// `exp(-2^(i - 2))` in Q0, for `i` from 0: one quarter, one half, 1, 2, 4, 8, 16.
pub(super) const EXP_OF_MINUS_POWER: [i32; 7] = [1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242];

/// `x * 2^exponent`, saturating; `exponent` below 31.
fn saturating_shift_left(x: i32, exponent: u32) -> i32 {
    let shifted = x.wrapping_shl(exponent);
    match shifted >> exponent == x {
        true => shifted,
        false if x < 0 => i32::MIN,
        false => i32::MAX,
    }
}

/// `exp(x)` in Q0 for `x` in Q0 between -1/4 and 0: Taylor's series around -1/8 up to the fourth power.
fn exp_of_last_quarter(x: i32) -> i32 {
    const EXP_OF_MINUS_EIGHTH: i32 = 1895147668;
    const ONE_THIRD: i32 = 715827883;
    let x = x.wrapping_add(1 << 28);
    let x2 = mul(x, x);
    let x3 = mul(x2, x);
    let x4 = mul(x2, x2);
    // x^2/2 + x^3/6 + x^4/24 = ((x^4/4 + x^3)/3 + x^2)/2
    let inner = mul(rounding_divide_by_pot(x4, 2).wrapping_add(x3), ONE_THIRD);
    let tail = rounding_divide_by_pot(inner.wrapping_add(x2), 1);
    EXP_OF_MINUS_EIGHTH.wrapping_add(mul(EXP_OF_MINUS_EIGHTH, x.wrapping_add(tail)))
}

/// `exp(x)` in Q0 for `x <= 0` in Q`integer_bits`, which is 1 to 5.
///
/// `x` is split into a part in `[-1/4, 0)`, which a polynomial covers, and a whole number of quarters, whose bits
/// select precomputed factors.
pub fn exp_of_negative(x: i32, integer_bits: u32) -> i32 {
    debug_assert!((1..=5).contains(&integer_bits));
    if x == 0 {
        return ONE_Q0;
    }
    let quarter_bit = 29u32.saturating_sub(integer_bits);
    let quarter = 1i32 << quarter_bit;
    let last_quarter = (x & (quarter - 1)) - quarter;
    let quarters = last_quarter.wrapping_sub(x);
    let mut result = exp_of_last_quarter(saturating_shift_left(last_quarter, integer_bits));
    for (bit, factor) in (quarter_bit..31).zip(EXP_OF_MINUS_POWER) {
        if quarters >> bit & 1 != 0 {
            result = mul(result, factor);
        }
    }
    result
}

/// `2 / (1 + x)` in Q2 for `x` in Q0 between 0 and 1: Newton's method for the reciprocal of `d = (1 + x) / 2`.
fn reciprocal_of_mean(x: i32) -> i32 {
    const C_48_OVER_17: i32 = 1515870810;
    const C_MINUS_32_OVER_17: i32 = -1010580540;
    // (x + 1) / 2 with halves away from zero; the sum is not negative.
    let half_denominator = ((i64::from(x) + i64::from(ONE_Q0) + 1) >> 1) as i32;
    let mut y = C_48_OVER_17.wrapping_add(mul(half_denominator, C_MINUS_32_OVER_17));
    for _ in 0..3 {
        let error = ONE_Q2.wrapping_sub(mul(half_denominator, y));
        // Q2 * Q2 is Q4; two bits to the left make it Q2 again.
        y = y.wrapping_add(saturating_shift_left(mul(y, error), 2));
    }
    y
}

/// `1 / (1 + x)` in Q0 for `x` in Q0 between 0 and 1.
pub fn one_over_one_plus(x: i32) -> i32 {
    // Read as Q1, `2 / (1 + x)` in Q2 is `1 / (1 + x)`; one bit to the left makes it Q0.
    saturating_shift_left(reciprocal_of_mean(x), 1)
}

/// `(1 - x) / (1 + x) = 2 / (1 + x) - 1` in Q0 for `x` in Q0 between 0 and 1.
pub fn one_minus_over_one_plus(x: i32) -> i32 {
    saturating_shift_left(reciprocal_of_mean(x).wrapping_sub(ONE_Q2), 2)
}

/// `1 / x` for a positive `x` in Q`integer_bits`: a Q0 mantissa in `(1/2, 1]` and the exponent `e` such that the
/// reciprocal is `mantissa / 2^e`.
pub fn reciprocal(x: i32, integer_bits: u32) -> (i32, i32) {
    let headroom = x.leading_zeros();
    let shifted_minus_one = (x as u32).wrapping_shl(headroom).wrapping_sub(1 << 31) as i32;
    (one_over_one_plus(shifted_minus_one), integer_bits as i32 - headroom as i32)
}

/// `ln(x)` in Q5 for a positive `x` in Q`integer_bits`, at most 12.
///
/// As in TFLite's reference: `x = 2^k r` with `r` around the fourth root of one half, chosen as the smaller of two
/// candidates whose powers differ by one half; `ln(r)` is a quotient of polynomials in `q = 2 (r - 2^(-1/4))`, and a
/// quarter makes up for the root. Sums wrap.
pub fn ln(x: i32, integer_bits: u32) -> i32 {
    const LN_2: i32 = 1488522236;
    const SQRT_HALF: i32 = 1518500250;
    const FOURTH_ROOT_OF_HALF: i32 = 1805811301;
    // With w the fourth root of 2: 11/240 w, 1/20 w, 2/w - w and 1/4 w.
    const NUMERATOR_CUBE: i32 = 117049297;
    const DENOMINATOR_SQUARE: i32 = 127690142;
    const DENOMINATOR_ONE: i32 = 1057819769;
    const DENOMINATOR_Q: i32 = 638450708;
    // Powers of two are Q6.
    const POWER_BIT: u32 = 31 - 6;
    const QUARTER: i32 = 1 << (POWER_BIT - 2);
    let power = |headroom: u32| (integer_bits as i32 - headroom as i32).wrapping_shl(POWER_BIT);

    let leading = x.leading_zeros();
    let whole = saturating_shift_left(x, leading.saturating_sub(1));
    let r_a = saturating_shift_left(mul(whole, SQRT_HALF), 1);
    let k_a = power(leading).saturating_add(QUARTER);
    let headroom = mul(x, SQRT_HALF).leading_zeros().clamp(1, 31) - 1;
    let r_b = saturating_shift_left(x, headroom);
    let k_b = power(headroom).saturating_sub(QUARTER);
    let (r, k) = (r_a.min(r_b), k_a.max(k_b));

    // Both are positive: the half of the sum, halves up. Not as a division, for which a device calls a function.
    let p = ((i64::from(r) + i64::from(FOURTH_ROOT_OF_HALF) + 1) >> 1) as i32;
    let q = r.wrapping_sub(FOURTH_ROOT_OF_HALF).wrapping_mul(2);
    let square = mul(q, q);
    let numerator = mul(q, r).wrapping_add(mul(mul(q, square), NUMERATOR_CUBE));
    let inner = DENOMINATOR_ONE.wrapping_add(q).wrapping_add(mul(DENOMINATOR_SQUARE, square));
    let denominator_minus_one = mul(p, inner).wrapping_add(mul(DENOMINATOR_Q, q));
    let of_r = mul(rounding_divide_by_pot(numerator, 6), one_over_one_plus(denominator_minus_one));
    saturating_shift_left(mul(k, LN_2).wrapping_add(of_r), 1)
}

/// `1 / (1 + exp(-x))` in Q0 for `x` in Q`integer_bits`, 1 to 5.
pub fn logistic(x: i32, integer_bits: u32) -> i32 {
    if x == 0 {
        return 1 << 30;
    }
    let minus_magnitude = if x > 0 { x.wrapping_neg() } else { x };
    let of_magnitude = one_over_one_plus(exp_of_negative(minus_magnitude, integer_bits));
    if x > 0 { of_magnitude } else { ONE_Q0 - of_magnitude }
}

/// `tanh(x)` in Q0 for `x` in Q`integer_bits`, 1 to 4.
pub fn tanh(x: i32, integer_bits: u32) -> i32 {
    if x == 0 {
        return 0;
    }
    let minus_magnitude = if x > 0 { x.wrapping_neg() } else { x };
    // tanh(m) = (1 - exp(-2m)) / (1 + exp(-2m)); one integer bit more doubles the value of the same raw number.
    let of_magnitude = one_minus_over_one_plus(exp_of_negative(minus_magnitude, integer_bits + 1));
    if x > 0 { of_magnitude } else { -of_magnitude }
}

/// Entries of the table of the 16-bit functions, two bytes each: the logistic function at every 24th, 16 fraction bits.
/// There is one for the magnitude of `x`, since both functions are symmetric.
pub const TABLE: usize = 256;

/// How an int16 becomes the argument of the 16-bit functions, of which `3 * 4096` are 1: `x * multiplier / 2^shift`,
/// rounded to nearest, halves up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ToTable {
    /// 15 bits.
    pub multiplier: i32,
    /// 0 to 31.
    pub shift: i32,
}

impl ToTable {
    /// For `x` of scale `2^power`, -16 to -1.
    pub const fn of_power(power: i32) -> Self {
        let left = power + 12;
        if left < 0 {
            Self { multiplier: 3, shift: -left }
        } else {
            Self { multiplier: 3i32.wrapping_shl(left as u32), shift: 0 }
        }
    }

    /// Whether nothing overflows.
    pub fn is_valid(self) -> bool {
        (0..1 << 15).contains(&self.multiplier) && (0..32).contains(&self.shift)
    }

    /// The argument that `x` is.
    #[inline]
    pub fn of(self, x: i16) -> i32 {
        let right = self.shift as u32 & 31;
        let half = 1u32 << right >> 1;
        i32::from(x).wrapping_mul(self.multiplier).wrapping_add(half as i32) >> right
    }
}

/// Entry `index` of the table.
fn entry(table: &[u16], index: u32) -> u32 {
    table.get(index as usize).copied().map_or(0, u32::from)
}

/// `1 / (1 + exp(-x))` in Q0.15 for an argument from [`ToTable`]: straight lines between the entries of the table, as
/// TFLite's reference draws them.
pub fn logistic_i16(table: &[u16], scaled: i32) -> i16 {
    let magnitude = scaled.unsigned_abs();
    let index = magnitude >> 9;
    let of_magnitude = if index >= 255 {
        0x7fff << 10
    } else {
        let (a, b) = (entry(table, index), entry(table, index + 1));
        (a << 9).wrapping_add((magnitude & 0x1ff).wrapping_mul(b.wrapping_sub(a)))
    };
    let rounded = if scaled >= 0 {
        of_magnitude.wrapping_add(1 << 9)
    } else {
        (1u32 << 25).wrapping_sub(of_magnitude).wrapping_add((1 << 9) - 1)
    };
    (rounded >> 10) as i16
}

/// `tanh(x)` in Q0.15 for an argument from [`ToTable`]: `2 logistic(2 x) - 1` from the same table.
pub fn tanh_i16(table: &[u16], scaled: i32) -> i16 {
    let magnitude = scaled.unsigned_abs();
    let index = magnitude >> 8;
    let of_magnitude = if index >= 255 {
        0xffff << 8
    } else {
        let (a, b) = (entry(table, index), entry(table, index + 1));
        (a << 8).wrapping_add((magnitude & 0xff).wrapping_mul(b.wrapping_sub(a)))
    } as i32;
    let rounded =
        if scaled >= 0 { of_magnitude - (1 << 23) + (1 << 7) } else { -of_magnitude + (1 << 23) + (1 << 7) - 1 };
    (rounded >> 8) as i16
}
