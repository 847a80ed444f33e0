use super::*;
use crate::kernels::testing_int8::bytes;
use crate::rng::Rng;
use proptest::prelude::*;
use std::vec::Vec;

/// As the host prepares it for `beta` 1.
fn scaling(input_scale: f64) -> ScalingI8 {
    let real = input_scale * f64::from(1 << 26);
    let left_shift = real.log2().floor() as i32 + 1;
    let multiplier = (real / 2f64.powi(left_shift - 31)).round() as i32;
    let diff_min = -((31.0 * 2f64.powi(26 - left_shift)).floor() as i32);
    ScalingI8 { multiplier, left_shift, diff_min }
}

fn softmax(input_scale: f64, x: &[i8]) -> Vec<i8> {
    let mut y = x.to_vec();
    forward_i8(x.len(), &scaling(input_scale), &mut y);
    y
}

proptest! {
    #[test]
    fn int8_is_close_to_softmax(len in 1usize..60, scale in 0.001f64..0.5, seed: u64) {
        let x = bytes(&mut Rng::new(seed), len);
        let y = softmax(scale, &x);
        let exponentials: Vec<f64> = x.iter().map(|x| (scale * f64::from(*x)).exp()).collect();
        let total: f64 = exponentials.iter().sum();
        for (y, e) in y.iter().zip(&exponentials) {
            let exact = (256.0 * e / total).min(255.0);
            // Half a step from the rounding. The rest is the error of the exponentials (3e-7 each) and of their
            // Q12 sum (2^-20 each): far below a tenth of a step for so few elements.
            prop_assert!((f64::from(*y) + 128.0 - exact).abs() < 0.6, "{y} {exact}");
        }
    }

    #[test]
    fn int8_keeps_the_order(len in 1usize..60, scale in 0.001f64..0.5, seed: u64) {
        let x = bytes(&mut Rng::new(seed), len);
        let y = softmax(scale, &x);
        for i in 0..len {
            for j in 0..len {
                prop_assert!(x[i] < x[j] || y[i] >= y[j]);
            }
        }
    }
}

#[test]
fn int8_rows_do_not_see_each_other() {
    let scaling = scaling(0.1);
    let mut both = [1, 2, 3, 100, -100, 0];
    forward_i8(3, &scaling, &mut both);
    assert_eq!(&both[..3], softmax(0.1, &[1, 2, 3]));
    assert_eq!(&both[3..], softmax(0.1, &[100, -100, 0]));
}

#[test]
fn int8_equal_inputs_share_equally_however_long_the_row() {
    for (len, expected) in
        [(1, 127), (2, 0), (4, -64), (256, -127), (511, -127), (512, -128), (513, -128), (4095, -128)]
    {
        let x = std::vec![7i8; len];
        let y = softmax(0.02, &x);
        assert!(y.iter().all(|y| i32::from(*y) == expected), "{len} {}", y[0]);
    }
}

#[test]
fn int8_hostile_scalings_do_no_harm() {
    for left_shift in [0, 26, 31] {
        for multiplier in [i32::MIN, -1, 0, i32::MAX] {
            for diff_min in [i32::MIN, -255, 0] {
                let mut y = [-128i8, 127, 0, 5];
                forward_i8(4, &ScalingI8 { multiplier, left_shift, diff_min }, &mut y);
            }
        }
    }
}
