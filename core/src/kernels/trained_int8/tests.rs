use super::*;
use crate::arch::Scalar;
use crate::kernels::testing_int8::{between, bytes};
use crate::rng::Rng;
use std::vec;
use std::vec::Vec;

#[test]
fn both_orders_fold_alike() {
    let mut rng = Rng::new(3);
    for (outputs, taps) in [(1, 1), (3, 9), (70, 5), (8, 33)] {
        let w = bytes(&mut rng, outputs * taps);
        let turned: Vec<i8> =
            (0..taps).flat_map(|tap| w.iter().skip(tap).step_by(taps).copied().collect::<Vec<_>>()).collect();
        let b: Vec<i32> = (0..outputs).map(|_| between(&mut rng, -9_999_999, 9_999_999)).collect();
        for zero_point in [-128, 0, 77] {
            let expected: Vec<i32> = (0..outputs)
                .map(|o| b[o] - zero_point * w[o * taps..][..taps].iter().map(|w| i32::from(*w)).sum::<i32>())
                .collect();
            let mut folded = vec![5; outputs];
            fold_bias(Scalar, zero_point, false, &w, &b, &mut folded);
            assert_eq!(folded, expected);
            fold_bias(Scalar, zero_point, true, &turned, &b, &mut folded);
            assert_eq!(folded, expected);
            fold_bias(Scalar, zero_point, true, &turned, &[], &mut folded);
            assert!(folded.iter().zip(&expected).zip(&b).all(|((f, e), b)| f + b == *e));
        }
    }
}
