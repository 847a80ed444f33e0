//! The micro-kernel of a matrix product: a block of C held in registers while `k` goes by.

use super::{Vector, opaque};
use crate::arch::{Fold, Folds};

/// A block of C, and the rows and columns that it is the product of. Strides count elements.
#[derive(Clone, Copy, Debug)]
pub struct Tile {
    /// Length of the sums, of each product.
    pub k: usize,
    /// How many products, and how far apart they are.
    pub folds: Folds,
    /// First row of A.
    pub a: *const f32,
    /// Between rows of A.
    pub a_row: usize,
    /// Between columns of A.
    pub a_col: usize,
    /// First column of B; columns are contiguous.
    pub b: *const f32,
    /// Between rows of B.
    pub b_row: usize,
    /// First element of C.
    pub c: *mut f32,
    /// Between rows of C.
    pub c_row: usize,
    /// Columns of C: the last vector may be cut short.
    pub columns: usize,
}

/// Rows of B that are asked for before they are needed: it may lie in the second-level cache. A tile of a single vector,
/// which loads as often as it multiplies, has no time for that.
const AHEAD: usize = 12;

/// `C += A * B` for `ROWS` rows and `VECTORS` vectors of columns.
///
/// Every element starts from what is in C and adds its products in order of `k`. If `MASKED`, rows of B end with the
/// last column; otherwise they can be read in whole vectors.
///
/// # Safety
/// The processor has `V`'s instructions; `tile` describes memory that is valid to read and, for C, to write;
/// `columns` lies in `(VECTORS - 1) * LANES + 1 ..= VECTORS * LANES`.
#[inline(always)]
pub unsafe fn run<V: Vector, const ROWS: usize, const VECTORS: usize, const MASKED: bool>(tile: &Tile) {
    let Tile { k, folds, a, a_row, a_col, mut b, b_row, c, c_row, columns } = *tile;
    let last_lanes = columns - (VECTORS - 1) * V::LANES;
    // SAFETY: the caller vouches for the instructions and for every address below: rows of A and C are `ROWS`,
    // columns are `columns`, cut short by the mask where the last vector leaves C (or, if `MASKED`, B).
    unsafe {
        let mask = V::mask(last_lanes);
        let whole = last_lanes == V::LANES;
        let mut sums = [[V::splat(0.0); VECTORS]; ROWS];
        for (row, sums) in sums.iter_mut().enumerate() {
            let c = c.add(row * c_row);
            for (vector, sum) in sums.iter_mut().enumerate() {
                let c = c.add(vector * V::LANES);
                *sum = if whole || vector + 1 < VECTORS { V::load(c) } else { V::load_masked(c, mask) };
            }
        }
        // From the end of a product to the beginning of the next, and from the end of a walk to that of the next one.
        let jump = |fold: Fold, count: usize, a: usize, b: usize| {
            (fold.a.wrapping_sub(count.wrapping_mul(a)), fold.b.wrapping_sub(count.wrapping_mul(b)))
        };
        let Folds { outer, inner } = folds;
        let (a_jump, b_jump) = jump(inner, k, a_col, b_row);
        let (a_turn, b_turn) = jump(outer, inner.count, inner.a, inner.b);
        // Pointers past the end after the last round are never read, hence wrapping.
        let mut quads = quads(a, a_row);
        for _ in 0..outer.count {
            for _ in 0..inner.count {
                let mut left = k;
                // With a distance known to be 1, four columns need no more pointers than one.
                if a_col == 1 {
                    while left >= 4 {
                        for p in 0..4 {
                            let b = b.wrapping_add(p * b_row);
                            if VECTORS > 1 {
                                V::prefetch(b.wrapping_add(AHEAD * b_row), VECTORS);
                            }
                            let quads = quads.map(|quad| quad.wrapping_add(p));
                            column::<V, ROWS, VECTORS, MASKED>(&mut sums, quads, a_row, b, mask);
                        }
                        quads = quads.map(|quad| opaque(quad.wrapping_add(4)));
                        b = b.wrapping_add(4 * b_row);
                        left -= 4;
                    }
                } else if a_row == 1 {
                    let mut a = quads[0];
                    while left >= 2 {
                        for p in 0..2 {
                            let (a, b) = (a.wrapping_add(p * a_col), b.wrapping_add(p * b_row));
                            if VECTORS > 1 {
                                V::prefetch(b.wrapping_add(AHEAD * b_row), VECTORS);
                                V::prefetch(a.wrapping_add(AHEAD * a_col), 1);
                            }
                            let quads = [a, a.wrapping_add(4), a.wrapping_add(8)];
                            column::<V, ROWS, VECTORS, MASKED>(&mut sums, quads, 1, b, mask);
                        }
                        a = opaque(a.wrapping_add(2 * a_col));
                        b = b.wrapping_add(2 * b_row);
                        left -= 2;
                    }
                    quads = [a, a.wrapping_add(4), a.wrapping_add(8)];
                }
                for _ in 0..left {
                    column::<V, ROWS, VECTORS, MASKED>(&mut sums, quads, a_row, b, mask);
                    quads = quads.map(|quad| opaque(quad.wrapping_add(a_col)));
                    b = b.wrapping_add(b_row);
                }
                quads = quads.map(|quad| opaque(quad.wrapping_add(a_jump)));
                b = b.wrapping_add(b_jump);
            }
            quads = quads.map(|quad| opaque(quad.wrapping_add(a_turn)));
            b = b.wrapping_add(b_turn);
        }
        for (row, sums) in sums.iter().enumerate() {
            let c = c.add(row * c_row);
            for (vector, sum) in sums.iter().enumerate() {
                let c = c.add(vector * V::LANES);
                if whole || vector + 1 < VECTORS {
                    sum.store(c);
                } else {
                    sum.store_masked(c, mask);
                }
            }
        }
    }
}

/// Where rows 0, 4 and 8 of A are: three pointers and the distance between rows reach all rows.
#[inline(always)]
fn quads(a: *const f32, a_row: usize) -> [*const f32; 3] {
    [a, a.wrapping_add(4 * a_row), a.wrapping_add(8 * a_row)]
}

/// One column of A times one row of B.
///
/// # Safety
/// As [`run`], for the column at `quads` and the row at `b`.
#[inline(always)]
unsafe fn column<V: Vector, const ROWS: usize, const VECTORS: usize, const MASKED: bool>(
    sums: &mut [[V; VECTORS]; ROWS],
    [first, second, third]: [*const f32; 3],
    a_row: usize,
    b: *const f32,
    mask: V::Mask,
) {
    // SAFETY: as the caller says.
    unsafe {
        let mut columns = [V::splat(0.0); VECTORS];
        for (vector, column) in columns.iter_mut().enumerate() {
            let b = b.add(vector * V::LANES);
            *column = if MASKED && vector + 1 == VECTORS { V::load_masked(b, mask) } else { V::load(b) };
        }
        for (row, sums) in sums.iter_mut().enumerate() {
            let quad = match row / 4 {
                0 => first,
                1 => second,
                _ => third,
            };
            let x = V::splat(*quad.add(row % 4 * a_row));
            for (sum, column) in sums.iter_mut().zip(&columns) {
                *sum = x.mul_add(*column, *sum);
            }
        }
    }
}
