//! Matrix products: how a product is cut into tiles.
//!
//! The cuts never show in the result: an element of C is loaded, extended in order of `k` and stored, so that a sum
//! cut in two is the same chain of operations.

use super::Vector;
use super::pack::{self, Block};
use super::tile::Tile;
use crate::arch::Gemm;
use core::mem::MaybeUninit;

/// Longest piece of a sum worked on at once: a panel of B of that height stays in the first-level cache.
const DEPTH: usize = 256;
/// Floats of the stack buffer that B is packed into, and of the one for small matrices.
const BUFFER: usize = 16 * 1024;
const SMALL_BUFFER: usize = 1024;
/// Floats of A that panel after panel passes over: they stay in the second-level cache.
const A_FLOATS: usize = 32 * 1024;

/// `C += A * B`; see [`Gemm`].
///
/// # Safety
/// The processor has `V`'s instructions.
#[inline(always)]
pub unsafe fn gemm<V: Vector>(g: &Gemm, a: &[f32], b: &[f32], c: &mut [f32]) {
    if !g.fits(a.len(), b.len(), c.len()) || g.m == 0 || g.n == 0 || g.k == 0 {
        return;
    }
    let (a, b, c) = (a.as_ptr(), b.as_ptr(), c.as_mut_ptr());
    // SAFETY: `fits` has proved that every element named by the shape lies in its slice.
    unsafe {
        if g.b_col == 1 {
            direct::<V>(g, a, b, c);
        } else if g.k * g.n.next_multiple_of(V::LANES) <= SMALL_BUFFER {
            packed::<V, SMALL_BUFFER>(g, a, b, c);
        } else {
            packed::<V, BUFFER>(g, a, b, c);
        }
    }
}

/// Most vectors of columns in a tile: enough independent sums to hide the latency of an addition, even with few rows.
#[inline(always)]
fn widest(rows: usize) -> usize {
    match rows {
        1 => 8,
        2 => 4,
        _ => 2,
    }
}

/// Vectors of the next panel, when `columns` are left: a power of two up to `widest`, none of them empty.
#[inline(always)]
fn panel_vectors<V: Vector>(widest: usize, columns: usize) -> usize {
    let mut vectors = widest;
    while (vectors - 1) * V::LANES >= columns {
        vectors /= 2;
    }
    vectors
}

/// Cuts `total` into equal pieces of at most `most`, multiples of `step` where that allows.
#[inline(always)]
fn piece(total: usize, most: usize, step: usize) -> usize {
    total.div_ceil(total.div_ceil(most)).next_multiple_of(step).min(most)
}

/// Where tiles find B.
#[derive(Clone, Copy)]
enum Panels {
    /// In place; rows are contiguous and this far apart.
    Direct { b_row: usize },
    /// In a buffer, one panel of whole vectors after the other.
    Packed,
}

/// Rows of B are contiguous: tiles read them where they are.
///
/// # Safety
/// As [`gemm`], and the shape fits the memory.
#[inline(always)]
unsafe fn direct<V: Vector>(g: &Gemm, a: *const f32, b: *const f32, c: *mut f32) {
    // With one tile of rows nothing of B is read twice, and long sums cost no cache.
    let depth = if g.m <= V::TILE_ROWS { g.k } else { piece(g.k, DEPTH, 1) };
    let mut p = 0;
    while p < g.k {
        let k = depth.min(g.k - p);
        // SAFETY: `p` is below `g.k`, so both stay within the matrices, and so does the piece of the shape.
        unsafe {
            let (a, b) = (a.add(p * g.a_col), b.add(p * g.b_row));
            product::<V>(&Gemm { k, ..*g }, a, b, c, widest(g.m), Panels::Direct { b_row: g.b_row });
        }
        p += k;
    }
}

/// B is copied into panels first, as many as the buffer holds.
///
/// # Safety
/// As [`direct`]; if `FLOATS` is less than [`BUFFER`], B fits with its columns filled up to whole vectors.
#[inline(always)]
unsafe fn packed<V: Vector, const FLOATS: usize>(g: &Gemm, a: *const f32, b: *const f32, c: *mut f32) {
    let mut buffer = Buffer::<FLOATS>([const { MaybeUninit::uninit() }; FLOATS]);
    let buffer = buffer.0.as_mut_ptr().cast::<f32>();
    let widest = widest(g.m);
    let width = (widest * V::LANES).min(g.n.next_multiple_of(V::LANES));
    let depth = piece(g.k, DEPTH.min(FLOATS / width), 4);
    let mut p = 0;
    while p < g.k {
        let k = depth.min(g.k - p);
        let group = (FLOATS / k) / width * width;
        let mut first = 0;
        while first < g.n {
            let n = group.min(g.n - first);
            // SAFETY: `p` and `first` are below the shape's sizes, so all pieces lie within the matrices. A panel
            // begins at `k * column` floats of the buffer and ends at most at `k * group <= FLOATS`, because panels
            // before the last have exactly as many columns as they are wide.
            unsafe {
                let (a, b, c) = (a.add(p * g.a_col), b.add(p * g.b_row + first * g.b_col), c.add(first));
                let mut column = 0;
                while column < n {
                    let wide = panel_vectors::<V>(widest, n - column) * V::LANES;
                    let b = b.add(column * g.b_col);
                    let block = Block { b, b_row: g.b_row, b_col: g.b_col, k, columns: wide.min(n - column) };
                    pack::panel::<V>(&block, wide, buffer.add(k * column));
                    column += wide;
                }
                product::<V>(&Gemm { n, k, ..*g }, a, buffer, c, widest, Panels::Packed);
            }
            first += n;
        }
        p += k;
    }
}

/// Rows in pieces that fit a cache, panel after panel for each of them, tile after tile.
///
/// # Safety
/// As [`direct`]; `b` is what `panels` says.
#[inline(always)]
unsafe fn product<V: Vector>(g: &Gemm, a: *const f32, b: *const f32, c: *mut f32, widest: usize, panels: Panels) {
    let height = piece(g.m, (A_FLOATS / g.k).max(4 * V::TILE_ROWS), V::TILE_ROWS);
    let mut start = 0;
    while start < g.m {
        let m = height.min(g.m - start);
        let tiles = m.div_ceil(V::TILE_ROWS);
        let mut column = 0;
        while column < g.n {
            let vectors = panel_vectors::<V>(widest, g.n - column);
            let wide = vectors * V::LANES;
            let columns = wide.min(g.n - column);
            let (offset, b_row, masked) = match panels {
                Panels::Direct { b_row } => (column, b_row, columns < wide),
                Panels::Packed => (g.k * column, wide, false),
            };
            let mut row = 0;
            for index in 0..tiles {
                // Tiles of equal height, give or take one row.
                let rows = m / tiles + usize::from(index < m % tiles);
                // SAFETY: the tile lies within the shape, its panel within B or the buffer.
                unsafe {
                    let (a, c) = (a.add((start + row) * g.a_row), c.add((start + row) * g.c_row + column));
                    let b = b.add(offset);
                    let (a_row, a_col, c_row) = (g.a_row, g.a_col, g.c_row);
                    dispatch::<V>(
                        rows,
                        vectors,
                        masked,
                        &Tile { k: g.k, a, a_row, a_col, b, b_row, c, c_row, columns },
                    );
                }
                row += rows;
            }
            column += columns;
        }
        start += m;
    }
}

/// The tile of that many rows and vectors.
///
/// # Safety
/// As [`super::tile::run`].
#[inline(always)]
unsafe fn dispatch<V: Vector>(rows: usize, vectors: usize, masked: bool, tile: &Tile) {
    macro_rules! tiles {
        ($($rows:literal x $vectors:literal)*) => {
            match (rows, vectors) {
                $(
                    ($rows, $vectors) if $rows <= V::TILE_ROWS => {
                        if masked { V::tile::<$rows, $vectors, true>(tile) } else { V::tile::<$rows, $vectors, false>(tile) }
                    }
                )*
                _ => debug_assert!(false, "no tile of {rows} rows and {vectors} vectors"),
            }
        };
    }
    // SAFETY: the caller's tile has these rows and vectors.
    unsafe {
        tiles! {
            1 x 8 1 x 4 2 x 4
            1 x 2 2 x 2 3 x 2 4 x 2 5 x 2 6 x 2 7 x 2 8 x 2 9 x 2 10 x 2 11 x 2 12 x 2
            1 x 1 2 x 1 3 x 1 4 x 1 5 x 1 6 x 1 7 x 1 8 x 1 9 x 1 10 x 1 11 x 1 12 x 1
        }
    }
}

/// Stack memory in which whole vectors do not straddle cache lines.
#[repr(align(64))]
struct Buffer<const FLOATS: usize>([MaybeUninit<f32>; FLOATS]);
