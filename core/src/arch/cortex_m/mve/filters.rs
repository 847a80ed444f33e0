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

/// [`crate::arch::layout::Layout::side_by_side`].
pub fn side_by_side(filters: &Filters<'_>, x: &[i8], y: &mut [i8]) {
    run(filters, x, filters.patch, y);
}

/// [`crate::arch::layout::Layout::dense`]: one pixel.
pub fn pixel(filters: &Filters<'_>, x: &[i8], y: &mut [i8]) {
    if let (Some(blocks), Some(x), Some(y)) = (Blocks::new(filters), x.get(..filters.patch), y.get_mut(..filters.count))
    {
        // SAFETY: lengths were taken.
        unsafe { blocks.one(x, y) };
    }
}

/// All outputs of the pixels whose patches begin `step` apart: `y [pixels][count]`.
fn run(filters: &Filters<'_>, x: &[i8], step: usize, y: &mut [i8]) {
    let Some(blocks) = Blocks::new(filters).filter(|_| step >= filters.patch) else { return };
    let (mut pixels, mut outputs) = (rows(x, step), rows_mut(y, filters.count));
    while let (Some(x), Some(y)) = (pixels.next(), outputs.next()) {
        match (pixels.next(), outputs.next()) {
            // SAFETY: rows of `x` hold a patch, rows of `y` the outputs of a pixel.
            (Some(x1), Some(y1)) => unsafe { blocks.two([x.as_ptr(), x1.as_ptr()], [y, y1]) },
            // SAFETY: as above.
            _ => unsafe { blocks.one(x, y) },
        }
    }
}

/// A stream that is as long as its filters say.
struct Blocks<'a> {
    filters: &'a Filters<'a>,
    /// Bytes of the first piece of a patch, and how many whole ones follow.
    first: usize,
    more: usize,
    exact: u32,
}

impl<'a> Blocks<'a> {
    #[inline(always)]
    fn new(filters: &'a Filters<'_>) -> Option<Self> {
        let Filters { stream, patch, count, to } = filters;
        let pieces = patch.div_ceil(VECTOR);
        let more = pieces.checked_sub(1)?;
        let enough = *count > 0 && stream.len() >= count.div_ceil(4) * (pieces * PIECE + TABLES);
        let (first, exact) = (patch - more * VECTOR, u32::from(to.lo < to.zero_point));
        enough.then_some(Self { filters, first, more, exact })
    }

    /// # Safety
    /// At each `x` there is a patch; `y` have as many elements as there are filters.
    #[inline(always)]
    unsafe fn two(&self, [x0, x1]: [*const i8; 2], [y0, y1]: [&mut [i8]; 2]) {
        let Self { filters: Filters { stream, count, to, .. }, first, more, exact } = *self;
        let (stream, y0, y1) = (stream.as_ptr(), y0.as_mut_ptr(), y1.as_mut_ptr());
        // SAFETY: the stream has a block for each four filters, each with pieces for the `first` bytes of a patch and for
        // `more` vectors behind them; the caller's promise.
        unsafe { embernet_mve_two(stream, x0, x1, *count, y0, y1, first, more, to.zero_point, to.lo, to.hi, exact) };
    }

    /// # Safety
    /// As [`Blocks::two`].
    #[inline(always)]
    unsafe fn one(&self, x: &[i8], y: &mut [i8]) {
        let Self { filters: Filters { stream, count, to, .. }, first, more, exact } = *self;
        let (stream, x, y) = (stream.as_ptr(), x.as_ptr(), y.as_mut_ptr());
        // SAFETY: as in `two`.
        unsafe { embernet_mve_one(stream, x, y, *count, first, more, to.zero_point, to.lo, to.hi, exact) };
    }
}
