//! What inner loops walk over: sizes and distances, and which of them fit their slices.

/// A matrix product `C[i][j] += sum over p of A[i][p] * B[p][j]`, with strides in elements.
///
/// `C` is row-major with row stride `c_row`, at least `n` if there are several rows. Every element of `C` takes part
/// as the first term of its sum, and products are added to it in order of `p`; nothing else enters, so an element
/// depends neither on `m` and `n` nor on how a product is cut into several, along any of the three sizes.
/// A shape that does not [fit](Gemm::fits) its slices does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gemm {
    /// Rows of A and C.
    pub m: usize,
    /// Columns of B and C.
    pub n: usize,
    /// Columns of A, rows of B.
    pub k: usize,
    /// Distance between rows of A.
    pub a_row: usize,
    /// Distance between columns of A.
    pub a_col: usize,
    /// Distance between rows of B.
    pub b_row: usize,
    /// Distance between columns of B.
    pub b_col: usize,
    /// Distance between rows of C.
    pub c_row: usize,
}

impl Gemm {
    /// Whether every element that the shape names lies in slices of these lengths, and no two rows of C overlap.
    pub fn fits(&self, a: usize, b: usize, c: usize) -> bool {
        let holds = |len: usize, rows: usize, row: usize, columns: usize, column: usize| {
            // The last element, if there is one and its offset can be told.
            let last = |count: usize, distance: usize| (count - 1).checked_mul(distance);
            let offset = || last(rows, row)?.checked_add(last(columns, column)?);
            rows == 0 || columns == 0 || offset().is_some_and(|offset| offset < len)
        };
        holds(a, self.m, self.a_row, self.k, self.a_col)
            && holds(b, self.k, self.b_row, self.n, self.b_col)
            && holds(c, self.m, self.c_row, self.n, 1)
            && (self.m <= 1 || self.c_row >= self.n)
    }
}

/// A sum of matrix products that share C: `outer.count` times `inner.count` of them, added in that order.
///
/// What a convolution is made of: a row of a filter is a product, and the next row's lies a fixed distance away; a
/// gradient goes on from sample to sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Folds {
    /// The slower walk.
    pub outer: Fold,
    /// The faster one.
    pub inner: Fold,
}

impl Folds {
    /// A single product.
    pub const ONE: Self = Self { outer: Fold::ONE, inner: Fold::ONE };

    /// Where the last product begins in A and in B; `None` if there is none, or no telling.
    pub fn last(&self) -> Option<(usize, usize)> {
        let Self { outer, inner } = self;
        let (o, i) = (outer.count.checked_sub(1)?, inner.count.checked_sub(1)?);
        let at = |outer: usize, inner: usize| o.checked_mul(outer)?.checked_add(i.checked_mul(inner)?);
        Some((at(outer.a, inner.a)?, at(outer.b, inner.b)?))
    }
}

/// One of the two walks of [`Folds`]: the `p`-th product begins `p * a` elements on in A and `p * b` on in B.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fold {
    /// How many products.
    pub count: usize,
    /// Distance in A.
    pub a: usize,
    /// Distance in B.
    pub b: usize,
}

impl Fold {
    /// No walk.
    pub const ONE: Self = Self { count: 1, a: 0, b: 0 };
}

impl From<Fold> for Folds {
    fn from(inner: Fold) -> Self {
        Self { outer: Fold::ONE, inner }
    }
}

/// Products of two walks over `rows` times `columns` places, summed for each channel:
/// `y[c] += sum over r, k of a[a + r * a_row + k * a_column + c] * b[b + r * b_row + k * b_column + c]`.
///
/// Products are added in order of `r`, then `k`. Distances wrap, so that a walk may go backwards. A walk ends where it
/// leaves its slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub columns: usize,
    /// First place in `a`.
    pub a: usize,
    /// Distance between rows in `a`.
    pub a_row: usize,
    /// Distance between columns in `a`.
    pub a_column: usize,
    /// First place in `b`.
    pub b: usize,
    /// Distance between rows in `b`.
    pub b_row: usize,
    /// Distance between columns in `b`.
    pub b_column: usize,
}

/// Windows side by side, in rows and columns: each reads `a` some places after the one before, and all of them the same of
/// `b`; its sums lie in `y` from `row * down.y + column * across.y` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// The first.
    pub first: Window,
    /// Rows of windows.
    pub down: Steps,
    /// Windows of a row.
    pub across: Steps,
    /// Channels of each.
    pub channels: usize,
}

/// How many windows, and the distances between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps {
    /// How many.
    pub count: usize,
    /// Distance in `a`.
    pub a: usize,
    /// Distance in `y`.
    pub y: usize,
}

impl Windows {
    /// One of them, and the place of its sums.
    pub fn at(&self, row: usize, column: usize) -> (Window, usize) {
        let at = |down: usize, across: usize| row.wrapping_mul(down).wrapping_add(column.wrapping_mul(across));
        let a = self.first.a.wrapping_add(at(self.down.a, self.across.a));
        (Window { a, ..self.first }, at(self.down.y, self.across.y))
    }

    /// The way of one tap through all windows, with `dy` for `b`, and the tap's place.
    pub fn tap(&self, row: usize, column: usize) -> (Window, usize) {
        let Self { first, down, across, .. } = *self;
        let at = |r: usize, k: usize| row.wrapping_mul(r).wrapping_add(column.wrapping_mul(k));
        let walk = Window {
            rows: down.count,
            columns: across.count,
            a: first.a.wrapping_add(at(first.a_row, first.a_column)),
            a_row: down.a,
            a_column: across.a,
            b: 0,
            b_row: down.y,
            b_column: across.y,
        };
        (walk, first.b.wrapping_add(at(first.b_row, first.b_column)))
    }
}

/// Some neighbouring columns of a matrix: as many as there are results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Columns {
    /// Elements of a row.
    pub row: usize,
    /// The first of the columns.
    pub first: usize,
}

/// Batch normalisation as its forward step did it, `y = clamp(x * scale + shift, lo, hi)`: rows of `x`, and for each
/// channel what scale and shift were made of.
#[derive(Clone, Copy, Debug)]
pub struct Normalised<'a> {
    /// Input, `[rows][channels]`.
    pub x: &'a [f32],
    /// Mean of the batch.
    pub mean: &'a [f32],
    /// Inverse deviation of the batch.
    pub inverse: &'a [f32],
    /// Factor: `scale = gamma * inverse`.
    pub gamma: &'a [f32],
    /// Term: `shift = beta - mean * scale`.
    pub beta: &'a [f32],
    /// Least output.
    pub lo: f32,
    /// Greatest output.
    pub hi: f32,
}

/// The window of a pool in an image of interleaved channels, wholly inside it: element `c` of pixel `(r, k)` lies at
/// `at + r * row + k * column + c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patch {
    /// Rows, at least 1.
    pub rows: usize,
    /// Pixels of a row, at least 1.
    pub columns: usize,
    /// Its first element.
    pub at: usize,
    /// Distance between rows.
    pub row: usize,
    /// Distance between the pixels of a row; the number of channels, or more if the window has gaps.
    pub column: usize,
}

impl Patch {
    /// Whether there is at least one pixel, and all of them lie in an image of `len` elements.
    pub fn fits(&self, channels: usize, len: usize) -> bool {
        let last_row = self.rows.checked_sub(1).and_then(|rows| rows.checked_mul(self.row)?.checked_add(self.at));
        let last = last_row.and_then(|at| self.columns.checked_sub(1)?.checked_mul(self.column)?.checked_add(at));
        last.and_then(|last| last.checked_add(channels)).is_some_and(|end| end <= len)
    }
}

/// Max pools side by side, without gaps or overlaps, in rows of pixels of interleaved channels: channel `c` of pixel
/// `(r, k)` of window `i` lies at `r * row + (i * columns + k) * channels + c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pools {
    /// Rows of a window, at least 1.
    pub rows: usize,
    /// Pixels of a window's row, at least 1.
    pub columns: usize,
    /// Windows.
    pub count: usize,
    /// Channels.
    pub channels: usize,
    /// Distance between rows.
    pub row: usize,
}

impl Pools {
    /// Where window `i` begins.
    pub fn window(&self, i: usize) -> Patch {
        let Self { rows, columns, channels, row, .. } = *self;
        Patch { rows, columns, at: i.saturating_mul(columns).saturating_mul(channels), row, column: channels }
    }

    /// Whether there is at least one window, all of them lie in an image of `image` elements, and their outputs in
    /// `outputs`.
    pub fn fit(&self, image: usize, outputs: usize) -> bool {
        let last = self.count.checked_sub(1).map(|last| self.window(last));
        last.is_some_and(|last| last.fits(self.channels, image))
            && self.count.checked_mul(self.channels).is_some_and(|needed| needed <= outputs)
    }
}
