//! Products of very few rows with a matrix whose columns are contiguous: one sample through a dense layer.
//!
//! Every element of B is used once or twice, so that packing it would cost more than multiplying: it is turned over
//! in registers and used at once.

use super::{Quads, Vector, pack};
use crate::arch::Gemm;

/// Columns of B for [`Vector::narrow`]. Strides count elements.
#[derive(Clone, Copy, Debug)]
pub struct Narrow {
    /// Length of the sums, at least 4.
    pub k: usize,
    /// First row of A.
    pub a: *const f32,
    /// Between rows of A; columns are contiguous.
    pub a_row: usize,
    /// First column of B, contiguous.
    pub b: *const f32,
    /// Between columns of B.
    pub b_col: usize,
    /// First element of C.
    pub c: *mut f32,
    /// Between rows of C.
    pub c_row: usize,
}

impl Narrow {
    /// The product `g` of these matrices.
    pub fn new(g: &Gemm, a: *const f32, b: *const f32, c: *mut f32) -> Self {
        Self { k: g.k, a, a_row: g.a_row, b, b_col: g.b_col, c, c_row: g.c_row }
    }
}

/// `C += A * B` for `ROWS` rows and `VECTORS` whole vectors of columns, each element in order of `k`.
///
/// # Safety
/// The processor has `V`'s instructions; `n` describes memory that is valid to read and, for C, to write; `k` is at
/// least 4.
#[inline(always)]
pub unsafe fn run<V: Vector, const ROWS: usize, const VECTORS: usize>(n: &Narrow) {
    let Narrow { k, mut a, a_row, b, b_col, c, c_row } = *n;
    // SAFETY: the caller vouches for the instructions and the memory. Four elements of every column are read at a
    // time; the last round goes back to read the last four and uses those that are new.
    unsafe {
        let mut sums = [[V::splat(0.0); ROWS]; VECTORS];
        for (vector, sums) in sums.iter_mut().enumerate() {
            for (row, sum) in sums.iter_mut().enumerate() {
                *sum = V::load(c.add(row * c_row + vector * V::LANES));
            }
        }
        let mut quads: [Quads; VECTORS] =
            core::array::from_fn(|v| pack::quads(b.wrapping_add(v * V::LANES * b_col), b_col, V::LANES));
        for _ in 0..k / 4 {
            for (sums, quads) in sums.iter_mut().zip(&quads) {
                for (p, column) in V::load_transposed(*quads, b_col).into_iter().enumerate() {
                    extend(sums, a.add(p), a_row, column);
                }
            }
            quads = quads.map(pack::next);
            a = a.wrapping_add(4);
        }
        if k % 4 != 0 {
            let back = 4 - k % 4;
            for (sums, quads) in sums.iter_mut().zip(&quads) {
                let columns = V::load_transposed(quads.map(|quad| quad.wrapping_sub(back)), b_col);
                for (p, column) in columns.into_iter().enumerate() {
                    if p >= back {
                        extend(sums, a.add(p - back), a_row, column);
                    }
                }
            }
        }
        for (vector, sums) in sums.iter().enumerate() {
            for (row, sum) in sums.iter().enumerate() {
                sum.store(c.add(row * c_row + vector * V::LANES));
            }
        }
    }
}

/// Adds the products of `ROWS` elements of A with a row of B.
///
/// # Safety
/// The processor has `V`'s instructions; `ROWS` floats at `a`, `a_row` apart, are valid to read.
#[inline(always)]
unsafe fn extend<V: Vector, const ROWS: usize>(sums: &mut [V; ROWS], a: *const f32, a_row: usize, column: V) {
    for (row, sum) in sums.iter_mut().enumerate() {
        // SAFETY: as the caller says.
        unsafe { *sum = V::splat(*a.add(row * a_row)).mul_add(column, *sum) };
    }
}
