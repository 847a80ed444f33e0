//! Copying a block of B into panels that a tile can read in whole vectors.

use super::{Quads, Vector, opaque};

/// A block of B. Strides count elements.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// First element.
    pub b: *const f32,
    /// Between rows of B.
    pub b_row: usize,
    /// Between columns of B.
    pub b_col: usize,
    /// Rows.
    pub k: usize,
    /// Columns.
    pub columns: usize,
}

/// Writes the block as rows of `width` floats, a multiple of the vector's length. What lies beyond the columns is
/// filled up with something (and later multiplied, and thrown away).
///
/// # Safety
/// The processor has `V`'s instructions, the block is valid to read, `to` is valid for `k * width` floats, and
/// `1 <= columns <= width`.
#[inline(always)]
pub unsafe fn run<V: Vector>(block: &Block, width: usize, to: *mut f32) {
    if block.b_col == 1 {
        // SAFETY: the caller's promises are the same.
        return unsafe { copied::<V>(block, width, to) };
    }
    let transposable = block.b_row == 1 && block.k >= 4;
    let mut start = 0;
    while start < width {
        let columns = block.columns.saturating_sub(start).min(V::LANES);
        // SAFETY: as the caller says; columns from `start` on are within the block, and `start + LANES <= width`.
        unsafe {
            let (b, to) = (block.b.wrapping_add(start * block.b_col), to.add(start));
            let part = Block { b, columns, ..*block };
            if transposable && columns >= 4 {
                transposed::<V>(&part, width, to);
                scattered(&part, columns / 4 * 4, width, to);
            } else {
                for p in 0..block.k {
                    V::splat(0.0).store(to.add(p * width));
                }
                scattered(&part, 0, width, to);
            }
        }
        start += V::LANES;
    }
}

/// Rows are contiguous.
///
/// # Safety
/// As [`run`]; `b_col` is 1.
#[inline(always)]
unsafe fn copied<V: Vector>(block: &Block, width: usize, to: *mut f32) {
    let whole = block.columns / V::LANES * V::LANES;
    // SAFETY: as the caller says; a mask covers the columns that do not fill a vector.
    unsafe {
        let mask = V::mask(block.columns - whole);
        for p in 0..block.k {
            let (from, to) = (block.b.add(p * block.b_row), to.add(p * width));
            let mut column = 0;
            while column < whole {
                V::load(from.add(column)).store(to.add(column));
                column += V::LANES;
            }
            if column < width {
                V::load_masked(from.wrapping_add(column), mask).store(to.add(column));
                column += V::LANES;
            }
            while column < width {
                V::splat(0.0).store(to.add(column));
                column += V::LANES;
            }
        }
    }
}

/// Where groups of four columns begin. Those that are not complete read the first group instead.
#[inline(always)]
pub fn quads(b: *const f32, b_col: usize, columns: usize) -> Quads {
    core::array::from_fn(|quad| if 4 * quad + 4 <= columns { b.wrapping_add(4 * quad * b_col) } else { b })
}

/// The same, four elements on.
#[inline(always)]
pub fn next(quads: Quads) -> Quads {
    quads.map(|quad| opaque(quad.wrapping_add(4)))
}

/// Groups of four columns, each column contiguous: a vector's worth at most.
///
/// # Safety
/// As [`run`]; `b_row` is 1, `k` and `columns` are 4 or more.
#[inline(always)]
unsafe fn transposed<V: Vector>(part: &Block, width: usize, to: *mut f32) {
    let Block { b, b_col, k, columns, .. } = *part;
    let mut quads = quads(b, b_col, columns);
    let mut to = to;
    // SAFETY: as the caller says. Four rows are read at a time; the last round goes back to read the last four, some
    // of them again. Quads begin at columns of the block, and so do the three columns after each.
    unsafe {
        for _ in 0..k / 4 {
            for (q, row) in V::load_transposed(quads, b_col).into_iter().enumerate() {
                row.store(to.add(q * width));
            }
            quads = next(quads);
            to = to.wrapping_add(4 * width);
        }
        if k % 4 != 0 {
            let back = 4 - k % 4;
            let to = to.wrapping_sub(back * width);
            let quads = quads.map(|quad| quad.wrapping_sub(back));
            for (q, row) in V::load_transposed(quads, b_col).into_iter().enumerate() {
                row.store(to.wrapping_add(q * width));
            }
        }
    }
}

/// Columns from `first` on, one element after the other.
///
/// # Safety
/// As [`run`].
#[inline(always)]
unsafe fn scattered(part: &Block, first: usize, width: usize, to: *mut f32) {
    let Block { b, b_row, b_col, k, columns } = *part;
    if first == columns {
        return;
    }
    for p in 0..k {
        for column in first..columns {
            // SAFETY: as the caller says; `p` and `column` count rows and columns of the block.
            unsafe { *to.add(p * width + column) = *b.add(p * b_row + column * b_col) };
        }
    }
}
