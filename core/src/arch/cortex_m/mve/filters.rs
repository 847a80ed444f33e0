//! Convolutions and dense layers: four filters by one or two pixels.

use crate::arch::layout::Filters;
use crate::kernels::util::{rows, rows_mut};
use crate::memory::view;
use zerocopy::IntoBytes;

/// Bytes of a vector.
const VECTOR: usize = 16;
/// Words of a block of four filters: for each piece, and for its biases, multipliers and shifts.
const PIECE: usize = 16;
const TABLES: usize = 12;

unsafe extern "C" {
    fn embernet_mve_two(
        stream: *const u32,
        x0: *const i8,
        x1: *const i8,
        filters: usize,
        y0: *mut i8,
        y1: *mut i8,
        first: usize,
        more: usize,
        zero_point: i32,
        lo: i32,
        hi: i32,
        exact: u32,
    );
    fn embernet_mve_one(
        stream: *const u32,
        x: *const i8,
        y: *mut i8,
        filters: usize,
        first: usize,
        more: usize,
        zero_point: i32,
        lo: i32,
        hi: i32,
        exact: u32,
    );
}

/// [`crate::arch::layout::Layout::filters`]: two patches, each from a whole word on.
pub fn tile(filters: &Filters<'_>, tile: &[u32], y: &mut [i8]) {
    run(filters, view(tile.as_bytes()), 4 * filters.patch.div_ceil(4), y);
}

/// [`crate::arch::layout::Layout::rows`]: patches side by side.
pub fn side_by_side(filters: &Filters<'_>, x: &[i8], y: &mut [i8]) {
    run(filters, x, filters.patch, y);
}

/// All outputs of the pixels whose patches begin `step` apart: `y [pixels][count]`.
fn run(filters: &Filters<'_>, x: &[i8], step: usize, y: &mut [i8]) {
    let Filters { stream, patch, count, to } = filters;
    let more = patch.div_ceil(VECTOR).wrapping_sub(1);
    let words = count.div_ceil(4) * (patch.div_ceil(VECTOR) * PIECE + TABLES);
    if *patch == 0 || *count == 0 || step < *patch || stream.len() < words {
        return;
    }
    let (first, exact) = (patch - more * VECTOR, u32::from(to.lo < to.zero_point));
    let stream = stream.as_ptr();
    let (mut pixels, mut outputs) = (rows(x, step), rows_mut(y, *count));
    while let (Some(x), Some(y)) = (pixels.next(), outputs.next()) {
        let (x, y) = (x.as_ptr(), y.as_mut_ptr());
        // SAFETY: `stream` holds a block for each four of `count` filters, each with pieces for the `first` bytes of a
        // patch and for `more` vectors behind them; a row of `x` holds a patch, a row of `y` that many outputs.
        match (pixels.next(), outputs.next()) {
            (Some(x1), Some(y1)) => unsafe {
                let (x1, y1) = (x1.as_ptr(), y1.as_mut_ptr());
                embernet_mve_two(stream, x, x1, *count, y, y1, first, more, to.zero_point, to.lo, to.hi, exact);
            },
            _ => unsafe { embernet_mve_one(stream, x, y, *count, first, more, to.zero_point, to.lo, to.hi, exact) },
        }
    }
}
