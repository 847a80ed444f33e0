//! Loops over bytes.

use crate::arch::layout::Patch;
use crate::kernels::add::{Sum, Term};

unsafe extern "C" {
    fn embernet_mve_copy(to: *mut i8, from: *const i8, len: usize, rows: usize, to_step: usize, from_step: usize);
    fn embernet_mve_fill(to: *mut i8, value: i32, len: usize);
    fn embernet_mve_dot(init: i32, a: *const i8, b: *const i8, len: usize) -> i32;
    fn embernet_mve_accumulate(x: *const i8, sums: *mut i32, len: usize);
    fn embernet_mve_max(x: *const i8, y: *mut i8, len: usize);
    fn embernet_mve_add(a: *const i8, b: *const i8, y: *mut i8, numbers: *const Numbers);
}

/// Where the rows of a patch begin in it, their distance there, and where the last one ends.
fn places(from: &Patch) -> (usize, usize, usize) {
    let (first, pitch) = (from.above + from.left, from.left + from.len + from.right);
    (first, pitch, first + from.rows.wrapping_sub(1).wrapping_mul(pitch).wrapping_add(from.len))
}

/// Copies the rows of a patch; nothing if they are not there.
#[inline(always)]
pub fn copy(from: &Patch, x: &[i8], to: &mut [i8]) {
    let (first, pitch, end) = places(from);
    if from.len > 0 && from.rows > 0 && from.reach() <= x.len() && end <= to.len() {
        // SAFETY: the last row ends within both slices.
        unsafe { embernet_mve_copy(to.as_mut_ptr().add(first), x.as_ptr(), from.len, from.rows, pitch, from.distance) };
    }
}

/// Copies the rows of two patches without padding, `apart` in the input and `distance` in a tile; nothing if they are
/// not there.
pub fn copy_two(from: &Patch, apart: usize, x: &[i8], to: &mut [i8], distance: usize) {
    let Patch { rows, len, distance: step, .. } = *from;
    if len > 0 && rows > 0 && apart + from.reach() <= x.len() && distance + rows * len <= to.len() {
        let (x, to) = (x.as_ptr(), to.as_mut_ptr());
        // SAFETY: the last row of the second patch ends within both slices.
        unsafe {
            embernet_mve_copy(to, x, len, rows, len, step);
            embernet_mve_copy(to.add(distance), x.add(apart), len, rows, len, step);
        }
    }
}

/// `to[i] = value`.
pub fn fill(to: &mut [i8], value: i8) {
    // SAFETY: the slice's own length.
    unsafe { embernet_mve_fill(to.as_mut_ptr(), i32::from(value), to.len()) };
}

/// `init + sum of a[i] * b[i]`, wrapping.
pub fn dot(init: i32, a: &[i8], b: &[i8]) -> i32 {
    // SAFETY: both slices are at least as long.
    unsafe { embernet_mve_dot(init, a.as_ptr(), b.as_ptr(), a.len().min(b.len())) }
}

/// `sums[i] += x[i]`, wrapping.
pub fn accumulate(x: &[i8], sums: &mut [i32]) {
    // SAFETY: both slices are at least as long.
    unsafe { embernet_mve_accumulate(x.as_ptr(), sums.as_mut_ptr(), x.len().min(sums.len())) };
}

/// `y[i] = max(y[i], x[i])`.
pub fn max(x: &[i8], y: &mut [i8]) {
    // SAFETY: both slices are at least as long.
    unsafe { embernet_mve_max(x.as_ptr(), y.as_mut_ptr(), x.len().min(y.len())) };
}

/// What the addition reads.
#[repr(C)]
struct Numbers {
    len: usize,
    lo: i32,
    hi: i32,
    a: Scale,
    b: Scale,
    multiplier: i32,
    shift: i32,
    zero_point: i32,
}

#[repr(C)]
struct Scale {
    offset: i32,
    multiplier: i32,
    shift: i32,
}

impl Scale {
    fn new(term: &Term) -> Self {
        Self { offset: term.zero_point.wrapping_neg(), multiplier: term.multiplier, shift: term.shift }
    }
}

/// [`Sum::add`]; false, and nothing done, for numbers that the loop is not made for.
pub fn add(sum: &Sum, a: Option<&[i8]>, b: Option<&[i8]>, y: &mut [i8]) -> bool {
    let Sum { multiplier, shift, zero_point, lo, hi, .. } = *sum;
    let right = [sum.a.shift, sum.b.shift, shift].iter().all(|shift| (-31..=0).contains(shift));
    if sum.left_shift != 20 || !right {
        return false;
    }
    let len = [a, b].into_iter().flatten().fold(y.len(), |len, x| len.min(x.len()));
    let (a_scale, b_scale) = (Scale::new(&sum.a), Scale::new(&sum.b));
    let numbers = Numbers { len, lo, hi, a: a_scale, b: b_scale, multiplier, shift, zero_point };
    let y = y.as_mut_ptr();
    let at = |x: Option<&[i8]>| x.map_or(y.cast_const(), <[i8]>::as_ptr);
    // SAFETY: all slices are at least as long; an element of `y` is written after it has been read.
    unsafe { embernet_mve_add(at(a), at(b), y, &numbers) };
    true
}
