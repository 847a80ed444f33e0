use super::*;
use crate::arch::Scalar;
use crate::kernels::testing::taps_of_pixels;
use crate::kernels::testing_int8::{bytes, pools};
use crate::rng::Rng;
use proptest::prelude::*;
use std::vec::Vec;

/// Rounded half away from zero, over doubles: exact for the few bits there are.
fn mean(window: &[i8]) -> i32 {
    let sum: i64 = window.iter().copied().map(i64::from).sum();
    (sum as f64 / window.len() as f64).round() as i32
}

fn reference(shape: &Pool2d, x: &[i8], lo: i32, hi: i32) -> Vec<i8> {
    let channels = shape.channels as usize;
    let mut y = Vec::new();
    for x in x.chunks(shape.in_elements()) {
        for pixel in taps_of_pixels(&shape.window) {
            for channel in 0..channels {
                let window: Vec<i8> = pixel.iter().map(|(_, at)| x[at * channels + channel]).collect();
                y.push(mean(&window).clamp(lo, hi) as i8);
            }
        }
    }
    y
}

proptest! {
    #[test]
    fn int8_equals_the_reference(
        shape in pools(),
        samples in 1usize..3,
        limits in prop_oneof![Just((-128, 127)), (-128i32..0, 0i32..=127)],
        seed: u64,
    ) {
        let (lo, hi) = limits;
        let x = bytes(&mut Rng::new(seed), samples * shape.in_elements());
        let expected = reference(&shape, &x, lo, hi);
        let mut y = std::vec![99; samples * shape.out_elements()];
        forward_i8(Scalar, &shape, &x, lo, hi, &mut y);
        prop_assert_eq!(&y, &expected);
        #[cfg(target_arch = "x86_64")]
        if let Some(isa) = crate::arch::Avx2::new() {
            forward_i8(isa, &shape, &x, lo, hi, &mut y);
            prop_assert_eq!(&y, &expected);
        }
    }
}
