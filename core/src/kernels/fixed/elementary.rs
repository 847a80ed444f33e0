//! Powers of two and logarithms from small tables and polynomials, in products of 32 bits.

use super::number::mul_q16;

/// `2^-(i / 32)` in units of 2^-30.
const POWERS: [u32; 32] = [
    1_073_741_824,
    1_050_733_751,
    1_028_218_693,
    1_006_186_087,
    984_625_594,
    963_527_098,
    942_880_699,
    922_676_710,
    902_905_651,
    883_558_244,
    864_625_413,
    846_098_274,
    827_968_132,
    810_226_483,
    792_865_000,
    775_875_538,
    759_250_125,
    742_980_960,
    727_060_411,
    711_481_005,
    696_235_434,
    681_316_545,
    666_717_336,
    652_430_958,
    638_450_708,
    624_770_026,
    611_382_493,
    598_281_827,
    585_461_881,
    572_916_640,
    560_640_218,
    548_626_854,
];
/// `ln 2` in units of 2^-16.
const LN_2: u32 = 45_426;

/// `2^-x` in units of 2^-30, for `x` in units of 2^-16; within 2^-15 of its value.
pub fn power(x: u32) -> u32 {
    let (whole, index, rest) = (x >> 16, x >> 11 & 31, x & 0x7ff);
    // 2^-r = 1 - r ln 2 + (r ln 2)^2 / 2, with r below 1/32.
    let y = (rest * LN_2) >> 16;
    let rest = (1 << 16) - y + ((y * y) >> 17);
    let power = POWERS.get(index as usize).copied().unwrap_or(0);
    (mul_q16(power as i32, rest) as u32) >> whole.min(31)
}

/// `1 / (1 + (i + 0.5) / 16)` in units of 2^-16.
const INVERSES: [u32; 16] = [
    63_550, 59_919, 56_680, 53_773, 51_150, 48_771, 46_603, 44_620, 42_799, 41_121, 39_569, 38_130, 36_792, 35_545,
    34_380, 33_288,
];
/// Their logarithms, negated, in units of 2^-24.
const LOGARITHMS: [i32; 16] = [
    516_279, 1_503_339, 2_435_686, 3_319_005, 4_158_017, 4_957_059, 5_719_935, 6_449_454, 7_148_518, 7_819_536,
    8_465_005, 9_086_511, 9_685_809, 10_264_303, 10_823_395, 11_364_930,
];

/// `ln(x / 2^one)` in units of 2^-16, for `x` from `2^one` up to 2^31; within 2^-16 of its value.
pub fn logarithm(x: u32, one: u32) -> u32 {
    let left = x.max(1).leading_zeros();
    let (whole, mantissa) = (31i32.saturating_sub(left as i32).saturating_sub(one as i32), x << left);
    let index = (mantissa >> 27 & 15) as usize;
    let inverse = INVERSES.get(index).copied().unwrap_or(1 << 16);
    // 1 + r in units of 2^-30, with r below 1/32 in size; then a is r with 15 bits.
    let r = mul_q16((mantissa >> 1) as i32, inverse).wrapping_sub(1 << 30);
    let a = r >> 15;
    let square = a * a;
    let cube = mul_q16((square >> 15) * a, 21_845);
    let series = (r - (square >> 1) + cube) >> 6;
    let sum = whole.clamp(0, 31) * 11_629_080 + LOGARITHMS.get(index).copied().unwrap_or(0) + series;
    ((sum + 128) >> 8).max(0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_are_close() {
        for x in (0..22 << 16).step_by(97) {
            let expected = (-f64::from(x) / 65536.0).exp2();
            let found = f64::from(power(x)) / f64::from(1 << 30);
            assert!(
                (found - expected).abs() <= expected / 32768.0 + 1.0 / f64::from(1 << 30),
                "{x}: {found} {expected}"
            );
        }
        assert_eq!((power(0), power(u32::MAX)), (1 << 30, 0));
    }

    #[test]
    fn logarithms_are_close() {
        for one in [20, 28, 30] {
            for step in 0..20_000u32 {
                let x = (1 << one) + step * (((1u32 << 31) - (1 << one)) / 20_000);
                let expected = (f64::from(x) / f64::from(one).exp2()).ln();
                let found = f64::from(logarithm(x, one)) / 65536.0;
                assert!((found - expected).abs() <= 1.0 / 65536.0, "{x}: {found} {expected}");
            }
        }
        assert_eq!(logarithm(1 << 28, 28), 0);
    }
}
