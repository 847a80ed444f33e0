//! Matrix products: how a product is cut into tiles, and which operand is copied first.
//!
//! Nothing here touches a vector: the functions that do are called through [`Vector`], which compiles them apart.
//!
//! The cuts never show in the result: an element of C is loaded, extended in order of `k` and stored, so that a sum
//! cut in two is the same chain of operations.
//!
//! | form | A | B |
//! |---|---|---|
//! | rows of B contiguous | in place | in place |
//! | columns of B contiguous | in place | turned over into panels |
//! | the same, few rows | in place | turned over in registers, see [`super::narrow`] |
//! | anything else | in place | packed element by element |

use super::Vector;
use super::narrow::Narrow;
use super::pack::Block;
use super::tile::Tile;
use crate::arch::threads::share;
use crate::arch::{Folds, Gemm, Threads};
use crate::kernels::util::from;
use core::mem::MaybeUninit;

/// Longest piece of a sum worked on at once: a panel of B of that height stays in the first-level cache.
const DEPTH: usize = 192;
/// The same if columns of A are not contiguous, so that every step meets another cache line of it.
const DEPTH_ACROSS: usize = 64;
/// Most rows for which packing costs more than turning B over in registers.
const NARROW_ROWS: usize = 8;
/// Floats of the stack buffer that operands are packed into, and of the one for small matrices.
const BUFFER: usize = 16 * 1024;
const SMALL_BUFFER: usize = 1024;
/// Floats of A that panel after panel passes over: they stay in the second-level cache.
const A_FLOATS: usize = 32 * 1024;

/// `C += A * B`; see [`Gemm`].
///
/// # Safety
/// The processor has `V`'s instructions.
pub unsafe fn gemm<V: Vector>(threads: Threads, g: &Gemm, a: &[f32], b: &[f32], c: &mut [f32]) {
    if !g.fits(a.len(), b.len(), c.len()) || g.m == 0 || g.n == 0 || g.k == 0 {
        return;
    }
    let whole = Operands { a: a.as_ptr(), b: b.as_ptr(), c: c.as_mut_ptr() };
    // Along its columns where each thread would have to pack all of B otherwise.
    let across = g.n > 2 * V::LANES && (g.n >= 4 * g.m || (g.b_col != 1 && g.m < 256));
    let (units, unit) = if across { (g.n.div_ceil(V::LANES), V::LANES) } else { (g.m.div_ceil(4), 4) };
    // Multiply-adds count a sixteenth, and B has to be packed.
    let cost = if across { g.m * unit / 16 + unit } else { g.n * unit / 16 };
    let pieces = threads.worthwhile(units, cost.saturating_mul(g.k));
    if pieces == 1 {
        // SAFETY: `fits` has proved that every element named by the shape lies in its slice.
        return unsafe { alone::<V>(g, whole) };
    }
    share(pieces, pieces, &|piece| {
        let of = |piece: usize, total: usize| (units * piece / pieces * unit).min(total);
        // SAFETY: as above; pieces have different rows or columns of C.
        unsafe {
            if across {
                let (first, end) = (of(piece, g.n), of(piece + 1, g.n));
                alone::<V>(&Gemm { n: end - first, ..*g }, whole.at(g, 0, first));
            } else {
                let (first, end) = (of(piece, g.m), of(piece + 1, g.m));
                alone::<V>(&Gemm { m: end - first, ..*g }, whole.at(g, first, 0));
            }
        }
    });
}

/// See [`Folds`]. Reads both operands where they are if rows of B are contiguous.
///
/// # Safety
/// The processor has `V`'s instructions.
pub unsafe fn fold<V: Vector>(g: &Gemm, folds: Folds, a: &[f32], b: &[f32], c: &mut [f32]) {
    if g.m == 0 || g.n == 0 || g.k == 0 {
        return;
    }
    let fits = folds.last().is_some_and(|(last_a, last_b)| {
        g.fits(a.len().saturating_sub(last_a), b.len().saturating_sub(last_b), c.len())
    });
    if fits && g.b_col == 1 {
        let right = Right { at: b.as_ptr(), step: 1, row: Some(g.b_row) };
        // SAFETY: the shape fits what the last product sees, and the others begin before it.
        unsafe { product::<V>(g, folds, a.as_ptr(), right, c.as_mut_ptr()) };
        return;
    }
    let Folds { outer, inner } = folds;
    for (o, i) in (0..outer.count).flat_map(|o| (0..inner.count).map(move |i| (o, i))) {
        let at = |outer: usize, inner: usize| o.saturating_mul(outer).saturating_add(i.saturating_mul(inner));
        let (a, b) = (from(a, at(outer.a, inner.a)), from(b, at(outer.b, inner.b)));
        // SAFETY: as the caller says.
        unsafe { gemm::<V>(Threads::ONE, g, a, b, c) };
    }
}

/// Where the matrices begin.
#[derive(Clone, Copy)]
struct Operands {
    a: *const f32,
    b: *const f32,
    c: *mut f32,
}

// SAFETY: threads read A and B together and write different elements of C.
unsafe impl Sync for Operands {}

impl Operands {
    /// Those of the piece of the product that begins at a row and a column of C.
    ///
    /// # Safety
    /// Row and column lie within the shape, and the shape within the memory.
    unsafe fn at(&self, g: &Gemm, row: usize, column: usize) -> Self {
        // SAFETY: as the caller says.
        unsafe {
            Self {
                a: self.a.add(row * g.a_row),
                b: self.b.add(column * g.b_col),
                c: self.c.add(row * g.c_row + column),
            }
        }
    }
}

/// The product on this thread.
///
/// # Safety
/// The processor has `V`'s instructions, no size is 0, and every element that the shape names is valid.
unsafe fn alone<V: Vector>(g: &Gemm, Operands { a, b, c }: Operands) {
    // SAFETY: the caller's promises are the same.
    unsafe {
        if g.b_col == 1 {
            direct::<V>(g, a, b, c);
        } else if g.m <= NARROW_ROWS && g.a_col == 1 && g.b_row == 1 && g.k >= 4 && g.n >= V::LANES {
            narrow::<V>(g, a, b, c);
        } else if g.k * g.n.next_multiple_of(V::LANES) <= SMALL_BUFFER {
            packed_right::<V, SMALL_BUFFER>(g, a, b, c);
        } else {
            packed_right::<V, BUFFER>(g, a, b, c);
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
///
/// Divisions are slow beside a small product, so there is none if a single piece will do.
#[inline(always)]
fn piece(total: usize, most: usize, step: usize) -> usize {
    if total <= most {
        return total;
    }
    total.div_ceil(total.div_ceil(most)).next_multiple_of(step).min(most)
}

/// Rows of A that are worked on at once, if they are `depth` long.
#[inline(always)]
fn height<V: Vector>(m: usize, depth: usize) -> usize {
    let least = 4 * V::TILE_ROWS;
    if m <= least {
        return m;
    }
    piece(m, (A_FLOATS / depth).max(least), V::TILE_ROWS)
}

/// Where tiles find B: column `c` of the product begins at `at + c * step`.
#[derive(Clone, Copy)]
struct Right {
    at: *const f32,
    step: usize,
    /// Between rows; none if they are as far apart as a panel is wide, and filled up to whole vectors.
    row: Option<usize>,
}

/// Rows of B are contiguous: tiles read both operands where they are.
///
/// # Safety
/// As [`gemm`], and the shape fits the memory.
unsafe fn direct<V: Vector>(g: &Gemm, a: *const f32, b: *const f32, c: *mut f32) {
    // With one tile of rows nothing of B is read twice, and long sums cost no cache.
    let depth = if g.m <= V::TILE_ROWS { g.k } else { piece(g.k, if g.a_col == 1 { DEPTH } else { DEPTH_ACROSS }, 1) };
    let height = height::<V>(g.m, depth);
    let mut p = 0;
    while p < g.k {
        let k = depth.min(g.k - p);
        let mut row = 0;
        while row < g.m {
            let m = height.min(g.m - row);
            // SAFETY: `p` and `row` are below the shape's sizes, so the piece lies within the matrices.
            unsafe {
                let a = a.add(row * g.a_row + p * g.a_col);
                let right = Right { at: b.add(p * g.b_row), step: 1, row: Some(g.b_row) };
                product::<V>(&Gemm { m, k, ..*g }, Folds::ONE, a, right, c.add(row * g.c_row));
            }
            row += m;
        }
        p += k;
    }
}

/// B is packed into panels, as many as the buffer holds.
///
/// # Safety
/// As [`direct`]; if `FLOATS` is less than [`BUFFER`], B fits with its columns filled up to whole vectors.
#[inline(never)] // Its stack frame is large, and touched page by page on entry.
unsafe fn packed_right<V: Vector, const FLOATS: usize>(g: &Gemm, a: *const f32, b: *const f32, c: *mut f32) {
    let mut buffer = Buffer::<FLOATS>([const { MaybeUninit::uninit() }; FLOATS]);
    let buffer = buffer.0.as_mut_ptr().cast::<f32>();
    let widest = widest(g.m);
    let width = (widest * V::LANES).min(g.n.next_multiple_of(V::LANES));
    let depth = if g.k <= DEPTH && g.k * width <= FLOATS { g.k } else { piece(g.k, DEPTH.min(FLOATS / width), 4) };
    let height = height::<V>(g.m, depth);
    let mut p = 0;
    while p < g.k {
        let k = depth.min(g.k - p);
        let group = if k * g.n.next_multiple_of(V::LANES) <= FLOATS { g.n } else { FLOATS / k / width * width };
        let mut first = 0;
        while first < g.n {
            let n = group.min(g.n - first);
            // SAFETY: `p`, `first` and `row` are below the shape's sizes, so all pieces lie within the matrices. A
            // panel begins at `k * column` floats of the buffer: those before it have as many columns as they are wide. The
            // last is less than a vector wider than its columns, so all of them fit the buffer.
            unsafe {
                let b = b.add(p * g.b_row + first * g.b_col);
                let mut column = 0;
                while column < n {
                    let wide = panel_vectors::<V>(widest, n - column) * V::LANES;
                    let b = b.add(column * g.b_col);
                    let block = Block { b, b_row: g.b_row, b_col: g.b_col, k, columns: wide.min(n - column) };
                    V::pack(&block, wide, buffer.add(k * column));
                    column += wide;
                }
                let right = Right { at: buffer, step: k, row: None };
                let mut row = 0;
                while row < g.m {
                    let m = height.min(g.m - row);
                    let a = a.add(row * g.a_row + p * g.a_col);
                    product::<V>(&Gemm { m, n, k, ..*g }, Folds::ONE, a, right, c.add(row * g.c_row + first));
                    row += m;
                }
            }
            first += n;
        }
        p += k;
    }
}

/// Few rows: whole vectors of columns without a copy of B, the rest as usual.
///
/// # Safety
/// As [`direct`]; rows of A and columns of B are contiguous, `k` is at least 4.
unsafe fn narrow<V: Vector>(g: &Gemm, a: *const f32, b: *const f32, c: *mut f32) {
    let mut column = 0;
    // SAFETY: no more than the columns that are left are worked on at a time.
    unsafe {
        while column + V::LANES <= g.n {
            let vectors = if g.m <= 2 && column + 2 * V::LANES <= g.n { 2 } else { 1 };
            let piece = Narrow::new(g, a, b.add(column * g.b_col), c.add(column));
            match (g.m, vectors) {
                (1, 1) => V::narrow::<1, 1>(&piece),
                (1, _) => V::narrow::<1, 2>(&piece),
                (2, 1) => V::narrow::<2, 1>(&piece),
                (2, _) => V::narrow::<2, 2>(&piece),
                (3, _) => V::narrow::<3, 1>(&piece),
                (4, _) => V::narrow::<4, 1>(&piece),
                (5, _) => V::narrow::<5, 1>(&piece),
                (6, _) => V::narrow::<6, 1>(&piece),
                (7, _) => V::narrow::<7, 1>(&piece),
                (8, _) => V::narrow::<8, 1>(&piece),
                _ => debug_assert!(false, "{} rows are not narrow", g.m),
            }
            column += vectors * V::LANES;
        }
        if column < g.n {
            let rest = Gemm { n: g.n - column, ..*g };
            packed_right::<V, BUFFER>(&rest, a, b.add(column * g.b_col), c.add(column));
        }
    }
}

/// First row and height of the tiles of `m` rows: equal heights, give or take one.
#[inline(always)]
fn tiles<V: Vector>(m: usize) -> impl Iterator<Item = (usize, usize)> {
    let count = m.div_ceil(V::TILE_ROWS);
    let (height, taller) = if count == 1 { (m, 0) } else { (m / count, m % count) };
    (0..count).map(move |tile| (tile * height + tile.min(taller), height + usize::from(tile < taller)))
}

/// Panel after panel, tile after tile.
///
/// # Safety
/// The processor has `V`'s instructions; the operands are valid to read as they say, and C to write.
unsafe fn product<V: Vector>(g: &Gemm, folds: Folds, a: *const f32, right: Right, c: *mut f32) {
    let widest = widest(g.m);
    let mut column = 0;
    while column < g.n {
        let vectors = panel_vectors::<V>(widest, g.n - column);
        let wide = vectors * V::LANES;
        let columns = wide.min(g.n - column);
        let masked = right.row.is_some() && columns < wide;
        for (row, rows) in tiles::<V>(g.m) {
            // SAFETY: the tile lies within the shape.
            unsafe {
                let piece = Tile {
                    k: g.k,
                    folds,
                    a: a.add(row * g.a_row),
                    a_row: g.a_row,
                    a_col: g.a_col,
                    b: right.at.add(column * right.step),
                    b_row: right.row.unwrap_or(wide),
                    c: c.add(row * g.c_row + column),
                    c_row: g.c_row,
                    columns,
                };
                dispatch::<V>(rows, vectors, masked, &piece);
            }
        }
        column += columns;
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
