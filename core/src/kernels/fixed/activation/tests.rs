//! Tests of activations.

use super::*;
use crate::kernels::fixed::testing::*;

#[test]
fn gradients_stop_at_limits() {
    let y = block_of(&[-1.0, 0.0, 0.5, 6.0]);
    let relu6 = Limits { lo: 0.0, hi: 6.0 };
    for (limits, expected) in [
        (relu6, [0.0, 0.0, 1.0, 0.0]),
        (Limits { lo: 0.0, hi: f32::INFINITY }, [0.0, 0.0, 1.0, 1.0]),
        (Limits::NONE, [1.0; 4]),
    ] {
        let mut dy = block_of(&[1.0; 4]);
        backward_clamp(4, limits, &y, &mut dy);
        assert_eq!(values(&dy, 4), expected);
    }
}

#[test]
fn what_is_negative_leaks() {
    let alpha = Factor::of(0.25).q16();
    let mut y = block_of(&[-1.0, 0.0, 0.5, -3.0]);
    leak(4, alpha, None, &mut y);
    assert_eq!(values(&y, 4), [-0.25, 0.0, 0.5, -0.75]);
    let mut dy = block_of(&[1.0, 1.0, -1.0, 2.0]);
    leak(4, alpha, Some(&y), &mut dy);
    assert_eq!(values(&dy, 4), [0.25, 1.0, -1.0, 0.5]);
}
