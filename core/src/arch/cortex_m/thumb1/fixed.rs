//! Loops of block floating point.

use crate::rng::Bits;

unsafe extern "C" {
    fn embernet_thumb1_dot_fixed(init: i32, right: u32, a: *const i16, b: *const i16, bytes: isize) -> i32;
    fn embernet_thumb1_axpy_fixed(a: i32, right: u32, x: *const i16, y: *mut i32, bytes: isize);
    fn embernet_thumb1_descend_fixed(
        rate: u32,
        right: u32,
        bits: u32,
        gradient: *const i32,
        end: *const i32,
        w: *mut i16,
    ) -> u32;
}

/// See [`Isa::dot_fixed`](crate::arch::Isa::dot_fixed).
// Not inlined: a device has room for one copy of what comes before the loop.
#[inline(never)]
pub(super) fn dot(init: i32, right: u32, a: &[i16], b: &[i16]) -> i32 {
    let len = a.len().min(b.len());
    if len == 0 {
        return init;
    }
    // SAFETY: both slices have as many elements; the loop goes from their first to their end.
    unsafe {
        let (a, b) = (a.as_ptr().add(len), b.as_ptr().add(len));
        embernet_thumb1_dot_fixed(init, right.min(31), a, b, -2 * len as isize)
    }
}

/// See [`Isa::axpy_fixed`](crate::arch::Isa::axpy_fixed).
#[inline(never)]
pub(super) fn axpy(a: i16, right: u32, x: &[i16], y: &mut [i32]) {
    let len = x.len().min(y.len());
    if len > 0 {
        // SAFETY: likewise.
        unsafe {
            let (x, bytes) = (x.as_ptr().add(len), -2 * len as isize);
            embernet_thumb1_axpy_fixed(a.into(), right.min(31), x, y.as_mut_ptr(), bytes);
        }
    }
}

/// See [`Isa::descend_fixed`](crate::arch::Isa::descend_fixed).
#[inline(never)]
pub(super) fn descend(rate: u32, right: u32, bits: Bits, gradient: &[i32], w: &mut [i16]) -> u32 {
    let len = gradient.len().min(w.len());
    if len == 0 {
        return 0;
    }
    let (gradient, w) = (gradient.as_ptr(), w.as_mut_ptr());
    // SAFETY: likewise.
    unsafe { embernet_thumb1_descend_fixed(rate, right.clamp(1, 31), bits.0, gradient, gradient.add(len), w) }
}
