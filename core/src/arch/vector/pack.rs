//! Copying a block of B into panels that a tile can read in whole vectors.

use super::Vector;

/// A block of B and where it goes. Strides count elements.
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

/// Writes the block as rows of `width` floats, a multiple of the vector's length, filled up with anything finite or
/// not that is in B (those columns are computed and thrown away).
///
/// # Safety
/// The processor has `V`'s instructions, the block is valid to read, `to` is valid for `k * width` floats, and
/// `1 <= columns <= width`.
#[inline(always)]
pub unsafe fn panel<V: Vector>(block: &Block, width: usize, to: *mut f32) {
    let mut start = 0;
    while start < width {
        // SAFETY: as the caller says; `column` stays below `columns`, so every address lies in the block, and
        // `start + LANES <= width`.
        unsafe {
            let to = to.add(start);
            if start + V::LANES <= block.columns {
                group::<V>(block, |lane| (start + lane) * block.b_col, width, to);
            } else {
                group::<V>(block, |lane| (start + lane).min(block.columns - 1) * block.b_col, width, to);
            }
        }
        start += V::LANES;
    }
}

/// One vector's worth of columns; `column(lane)` is a column's offset.
///
/// # Safety
/// As [`panel`].
#[inline(always)]
unsafe fn group<V: Vector>(block: &Block, column: impl Fn(usize) -> usize, width: usize, to: *mut f32) {
    let Block { b, b_row, k, .. } = *block;
    // SAFETY: as the caller says; `p` counts rows of the block.
    unsafe {
        if b_row == 1 && k >= 4 {
            let mut p = 0;
            loop {
                let rows = V::load_transposed(|lane| b.add(column(lane) + p));
                for (q, row) in rows.into_iter().enumerate() {
                    row.store(to.add((p + q) * width));
                }
                if p + 4 >= k {
                    break;
                }
                // The last round may write some rows a second time.
                p = (p + 4).min(k - 4);
            }
        } else {
            for p in 0..k {
                for lane in 0..V::LANES {
                    *to.add(p * width + lane) = *b.add(p * b_row + column(lane));
                }
            }
        }
    }
}
