//! Cortex-M0: 16-bit instructions, eight registers for most of them, no long multiplication.
//!
//! The order of weights and the twins of the loops are in [`crate::arch::layout::words`].

mod fixed;

use crate::rng::Bits;

core::arch::global_asm!(
    include_str!("add.s"),
    include_str!("conv2d.s"),
    include_str!("dense.s"),
    include_str!("depthwise.s"),
    include_str!("fixed.s"),
    include_str!("place.s"),
    options(raw)
);

crate::arch::layout::words::token! {
    /// Proves that the core has the instructions of a Cortex-M0.
    Thumb1, tile<1>, quad, embernet_thumb1_filters, embernet_thumb1_dense, embernet_thumb1_band,
    pixel embernet_thumb1_place, embernet_thumb1_place_tile, embernet_thumb1_gather,
    embernet_thumb1_add ([20, 0], 2);

    #[inline]
    fn dot_fixed(self, init: i32, right: u32, a: &[i16], b: &[i16]) -> i32 {
        fixed::dot(init, right, a, b)
    }

    #[inline]
    fn axpy_fixed(self, a: i16, right: u32, x: &[i16], y: &mut [i32]) {
        fixed::axpy(a, right, x, y);
    }

    #[inline]
    fn descend_fixed(self, rate: u32, right: u32, bits: Bits, gradient: &[i32], w: &mut [i16]) -> u32 {
        fixed::descend(rate, right, bits, gradient, w)
    }
}
