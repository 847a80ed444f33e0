//! Real numbers in integer arithmetic: factors, shifts and limits. Floats are taken apart by their bits; none is
//! computed.

/// A real factor that is not negative: `mantissa * 2^exponent`, with 16 bits of mantissa.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Factor {
    /// From 2^15 to 2^16, or 0.
    pub mantissa: u32,
    /// Power of two.
    pub exponent: i32,
}

impl Factor {
    /// A float's size, rounded to nearest.
    pub const fn of(value: f32) -> Self {
        let (mantissa, exponent) = parts(value.to_bits());
        Self { mantissa: (mantissa + 128) >> 8, exponent: exponent + 8 }
    }

    /// `1 / count`.
    pub fn one_over(count: u32) -> Self {
        if count == 1 {
            return Self { mantissa: 1 << 16, exponent: -16 };
        }
        let log = count.max(1).ilog2();
        let one = 1u64 << 16 << log;
        // A mantissa of 2^16 for powers of two, less for the others.
        let mantissa =
            u32::try_from(one).map_or_else(|_| (one / u64::from(count.max(1))) as u32, |one| divide(one, count));
        Self { mantissa, exponent: -16 - log as i32 }
    }

    /// As a number of 2^-16, rounded down; at most 1.
    pub fn q16(self) -> u32 {
        shift(self.mantissa as i32, self.exponent.saturating_add(16)).min(1 << 16) as u32
    }

    /// `value` times the mantissa, in units of `2^16` of the product's.
    #[inline(always)]
    pub fn mantissa_times(self, value: i32) -> i32 {
        mul_q16(value, self.mantissa)
    }
}

fn divide(one: u32, count: u32) -> u32 {
    one.checked_div(count).unwrap_or(one)
}

/// Mantissa with 24 bits and exponent of a float's size. What is not normal counts as zero; infinities and
/// not-a-number as very large.
const fn parts(bits: u32) -> (u32, i32) {
    let exponent = (bits >> 23 & 0xff) as i32;
    if exponent == 0 { (0, 0) } else { ((bits & 0x7f_ffff) | 1 << 23, exponent - 150) }
}

/// `a * m / 2^16`, rounded down; `m` up to 2^16. Two multiplications of 32 bits.
#[inline(always)]
pub const fn mul_q16(a: i32, m: u32) -> i32 {
    let low = (a as u32 & 0xffff).wrapping_mul(m) >> 16;
    (a >> 16).wrapping_mul(m as i32).wrapping_add(low as i32)
}

/// `value * 2^left`: rounded down, or saturating at `2^30` in size, which leaves room to add.
#[inline]
pub const fn shift(value: i32, left: i32) -> i32 {
    if left <= 0 {
        let right = left.unsigned_abs();
        return value >> if right > 31 { 31 } else { right };
    }
    let spare = (value ^ (value >> 31)).leading_zeros() as i32 - 2;
    if value == 0 || left <= spare {
        // Not by more than 30 unless it is 0.
        value.wrapping_shl(left as u32)
    } else if value < 0 {
        -LIMIT
    } else {
        LIMIT
    }
}

/// Where sums and shifts saturate.
pub const LIMIT: i32 = 1 << 30;

/// A float in units of `2^exponent`, rounded to nearest, halves away from zero; at most [`LIMIT`] in size.
pub fn fixed(value: f32, exponent: i32) -> i32 {
    let bits = value.to_bits();
    let (mantissa, own) = parts(bits);
    let left = own.saturating_sub(exponent);
    let size = if left >= 0 {
        shift(mantissa as i32, left)
    } else {
        // Half first.
        (shift(mantissa as i32, left.saturating_add(1)) + 1) >> 1
    };
    if bits >> 31 == 0 { size } else { -size }
}

/// `value * 2^exponent` as a float, rounded to nearest. What is too small for a normal float is 0.
#[inline]
pub fn float(value: i32, exponent: i32) -> f32 {
    let bits = (value as f32).to_bits();
    let shifted = (bits >> 23 & 0xff) as i32 + exponent.clamp(-512, 512);
    match (value, shifted) {
        (0, _) | (_, ..1) => 0.0,
        (_, 1..255) => f32::from_bits(bits & 0x807f_ffff | (shifted as u32) << 23),
        _ => f32::from_bits(bits & 0x8000_0000 | 0x7f80_0000),
    }
}

/// The exponent of values whose greatest is this float: so that it has 15 bits of mantissa.
#[inline]
pub const fn exponent_of(greatest: u32) -> i32 {
    let (mantissa, exponent) = parts(greatest);
    if mantissa == 0 { super::block::MIN_EXPONENT } else { exponent + 9 }
}

/// Least number of bits that hold so many numbers: `2^n >= count`.
#[inline]
pub const fn log2_up(count: usize) -> u32 {
    usize::BITS - count.saturating_sub(1).leading_zeros()
}

/// The limits of a fused activation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Least value.
    pub lo: f32,
    /// Greatest value.
    pub hi: f32,
}

impl Limits {
    /// None.
    pub const NONE: Self = Self { lo: f32::NEG_INFINITY, hi: f32::INFINITY };

    /// In units of `2^exponent`; infinities are the ends of 32 bits.
    pub fn at(self, exponent: i32) -> (i32, i32) {
        let at = |limit: f32, end: i32| if limit.to_bits() << 1 == 0xff << 24 { end } else { fixed(limit, exponent) };
        (at(self.lo, i32::MIN), at(self.hi, i32::MAX))
    }

    /// Limits sums in units of `2^exponent`.
    pub fn apply(self, exponent: i32, sums: &mut [i32]) {
        let (lo, hi) = self.at(exponent);
        if (lo, hi) != (i32::MIN, i32::MAX) {
            for sum in sums {
                *sum = (*sum).max(lo).min(hi);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn products_are_exact(a: i32, m in 0u32..=1 << 16) {
            prop_assert_eq!(i64::from(mul_q16(a, m)), (i64::from(a) * i64::from(m)) >> 16);
        }

        #[test]
        fn factors_are_within_a_rounding(value in 1e-30f32..1e30) {
            let Factor { mantissa, exponent } = Factor::of(value);
            prop_assert!((1 << 15..=1 << 16).contains(&mantissa));
            let found = f64::from(mantissa) * f64::from(exponent).exp2();
            prop_assert!((found / f64::from(value) - 1.0).abs() < 1.0 / 65536.0);
        }

        #[test]
        fn shifts_are_products(value: i32, left in -40i32..40) {
            let exact = (f64::from(value) * f64::from(left).exp2()).floor();
            let expected = if left > 0 { exact.clamp(-f64::from(LIMIT), f64::from(LIMIT)) } else { exact };
            let found = f64::from(shift(value, left));
            // Saturates a little early.
            prop_assert!(found == expected || (left > 0 && found.abs() == f64::from(LIMIT) && exact.abs() > 0.49 * f64::from(LIMIT)), "{found} {expected}");
        }

        #[test]
        fn floats_become_integers_and_come_back(value: i16, exponent in -100i32..100) {
            let real = float(i32::from(value), exponent);
            prop_assert_eq!(f64::from(real), f64::from(value) * f64::from(exponent).exp2());
            prop_assert_eq!(fixed(real, exponent), i32::from(value));
            prop_assert_eq!(f64::from(fixed(real, exponent + 1)), (f64::from(value) / 2.0).round());
        }

        #[test]
        fn reciprocals(count in 1u32..=u32::MAX) {
            let Factor { mantissa, exponent } = Factor::one_over(count);
            let found = f64::from(mantissa) * f64::from(exponent).exp2() * f64::from(count);
            prop_assert!(mantissa <= 1 << 16 && found <= 1.0 && found > 1.0 - 1.0 / 32768.0, "{found}");
        }
    }

    #[test]
    fn any_float_is_taken() {
        for value in [0.0, -0.0, 1e-45, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX] {
            for exponent in [-200, 0, 200, i32::MIN, i32::MAX] {
                assert!(fixed(value, exponent).abs() <= LIMIT);
            }
            let _ = (Factor::of(value).q16(), exponent_of(value.to_bits()));
        }
        assert_eq!(Factor::of(0.5).q16(), 1 << 15);
        assert_eq!(Limits { lo: 0.0, hi: f32::INFINITY }.at(-9), (0, i32::MAX));
        assert_eq!(Limits { lo: -1.0, hi: 6.0 }.at(-4), (-16, 96));
        assert_eq!([1, 2, 3, 4, 5].map(log2_up), [0, 1, 2, 2, 3]);
        assert_eq!((float(1, 200), float(-1, 127)), (f32::INFINITY, -f32::exp2(127.0)));
    }
}
