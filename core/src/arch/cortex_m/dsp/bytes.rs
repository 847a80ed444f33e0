//! Bytes, four at a time, for pools and means.

use crate::arch::scalar;
use crate::kernels::util::{from, from_mut};

unsafe extern "C" {
    fn embernet_dsp_accumulate(x: *const i8, sums: *mut i32, words: usize);
    fn embernet_dsp_max(x: *const i8, y: *mut i8, words: usize);
}

/// See [`Isa::accumulate_i8`](crate::arch::Isa::accumulate_i8).
pub(super) fn accumulate(x: &[i8], sums: &mut [i32]) {
    let words = x.len().min(sums.len()) / 4;
    if words > 0 {
        // SAFETY: both slices have as many fours.
        unsafe { embernet_dsp_accumulate(x.as_ptr(), sums.as_mut_ptr(), words) };
    }
    scalar::accumulate_i8(from(x, 4 * words), from_mut(sums, 4 * words));
}

/// See [`Isa::max_i8`](crate::arch::Isa::max_i8).
pub(super) fn max(x: &[i8], y: &mut [i8]) {
    let words = x.len().min(y.len()) / 4;
    if words > 0 {
        // SAFETY: both slices have as many fours.
        unsafe { embernet_dsp_max(x.as_ptr(), y.as_mut_ptr(), words) };
    }
    scalar::max_i8(from(x, 4 * words), from_mut(y, 4 * words));
}
