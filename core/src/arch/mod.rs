//! Inner loops, one file for each instruction set.
//!
//! An [`Isa`] token says which loops to use; its existence proves that the processor has them. Every method has a
//! default body, the scalar definition, so a new token writes only what it does better. Integer methods give the
//! same bits on every token. Float methods of [`Scalar`] are the definition: sums start from what is there and add
//! products in index order, multiply then add, never fused; other tokens say how far they may differ.
//!
//! `unsafe` lives here and nowhere else in this crate.

#[cfg(all(target_arch = "arm", target_os = "none"))]
mod cortex_m;
#[cfg(any(test, feature = "std"))]
mod host;
pub mod layout;
#[cfg(all(target_arch = "riscv32", target_os = "none"))]
mod riscv;
mod run;
pub mod scalar;
#[cfg(all(any(target_arch = "arm", target_arch = "riscv32"), target_os = "none"))]
mod sums;
#[cfg(any(test, feature = "std"))]
mod threads;
#[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), any(test, feature = "std")))]
#[macro_use]
mod vector;
#[cfg(all(target_arch = "aarch64", any(test, feature = "std")))]
pub mod aarch64;
#[cfg(all(target_arch = "x86_64", any(test, feature = "std")))]
pub mod x86;

#[cfg(all(target_arch = "aarch64", any(test, feature = "std")))]
pub use aarch64::Neon;
#[cfg(any(armv7em, armv8m))]
pub use cortex_m::Dsp;
#[cfg(armv8m)]
pub use cortex_m::Mve;
#[cfg(armv6m)]
pub use cortex_m::Thumb1;
#[cfg(armv7m)]
pub use cortex_m::Thumb2;
#[cfg(all(target_arch = "arm", target_os = "none", target_abi = "eabihf"))]
pub(crate) use cortex_m::sqrt;
#[cfg(any(test, feature = "std"))]
pub use host::{Processor, Task, best, best_exact, run_best, run_on};
#[cfg(all(target_arch = "riscv32", target_os = "none"))]
pub use riscv::Rv32;
pub(crate) use run::Run;
pub use run::Slices;
pub use scalar::Scalar;
#[cfg(any(test, feature = "std"))]
pub use threads::Threads;
#[cfg(all(target_arch = "x86_64", any(test, feature = "std")))]
pub use x86::{Avx2, Avx2Exact, Avx512};

use crate::kernels::add::Sum;
use crate::kernels::requantize::Requantize;
use crate::kernels::util::from;
use crate::optim::Optimizer;
use crate::plan::{Context, Stored};
use crate::rng::Bits;
use core::ops::Range;
use layout::Layout;

/// Which token an image's weights were laid out and its scratch was sized for. Numbers are part of the image format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum IsaId {
    /// The definition; needs no scratch.
    Scalar = 0,
    /// x86-64 with AVX2 and FMA.
    Avx2 = 1,
    /// x86-64 with AVX-512.
    Avx512 = 2,
    /// x86-64 with AVX2, giving the scalar token's bits.
    Avx2Exact = 3,
    /// Cortex-M with the DSP extension: M4, M7, M33.
    Dsp = 4,
    /// Cortex-M with the vector extension (Helium): M55.
    Mve = 5,
    /// Cortex-M3.
    Thumb2 = 6,
    /// Cortex-M0.
    Thumb1 = 7,
    /// RISC-V with 32-bit integers.
    Rv32 = 8,
    /// AArch64, all of which has NEON.
    Neon = 9,
}

impl IsaId {
    /// All of them, in order of their numbers.
    pub const ALL: [Self; 10] = [
        Self::Scalar,
        Self::Avx2,
        Self::Avx512,
        Self::Avx2Exact,
        Self::Dsp,
        Self::Mve,
        Self::Thumb2,
        Self::Thumb1,
        Self::Rv32,
        Self::Neon,
    ];

    /// From its number.
    pub const fn from_u32(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Scalar),
            1 => Some(Self::Avx2),
            2 => Some(Self::Avx512),
            3 => Some(Self::Avx2Exact),
            4 => Some(Self::Dsp),
            5 => Some(Self::Mve),
            6 => Some(Self::Thumb2),
            7 => Some(Self::Thumb1),
            8 => Some(Self::Rv32),
            9 => Some(Self::Neon),
            _ => None,
        }
    }

    /// From its name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|id| id.name() == name)
    }

    /// Name as in tables and options.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Avx2Exact => "avx2-exact",
            Self::Dsp => "dsp",
            Self::Mve => "mve",
            Self::Thumb2 => "thumb2",
            Self::Thumb1 => "thumb1",
            Self::Rv32 => "rv32",
            Self::Neon => "neon",
        }
    }

    /// Whether float convolutions copy their filters into scratch, to multiply large matrices (a host with wide
    /// registers), or read them where they are (a device with little RAM, and a host that replays one).
    pub const fn packs(self) -> bool {
        matches!(self, Self::Avx2 | Self::Avx512 | Self::Neon)
    }

    /// Whether int8 weights lie in an order of the token's own; see [`layout`].
    pub const fn has_layout(self) -> bool {
        matches!(self, Self::Dsp | Self::Mve | Self::Thumb2 | Self::Thumb1 | Self::Rv32)
    }

    /// Whether programs with it have room for a second way of doing the same: a host's, which no device has.
    pub const fn has_room(self) -> bool {
        !matches!(self, Self::Scalar) && !self.has_layout()
    }

    /// Whether all float results are the scalar token's bits.
    pub const fn is_exact(self) -> bool {
        !self.packs()
    }

    /// Whether this token can run an image that was packed for `image`: there is scratch enough, and weights lie in
    /// an order that it reads. A host reads all of them.
    pub const fn can_run(self, image: Self) -> bool {
        let scratch = !self.packs() || image.packs();
        let readable = !image.has_layout() || image as u32 == self as u32 || cfg!(any(test, feature = "std"));
        scratch && readable
    }
}

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
            // The last element, if there is one; where its offset cannot be told, it is the greatest that can.
            let last = |count: usize, distance: usize| (count - 1).saturating_mul(distance);
            rows == 0 || columns == 0 || last(rows, row).saturating_add(last(columns, column)) < len
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

/// A token for one instruction set. See the module's page.
pub trait Isa: Copy + Send + Sync + core::fmt::Debug + 'static {
    /// Which one.
    const ID: IsaId;

    /// Its order of int8 weights, and the loops over them; [`layout::Plain`] if it has none.
    type Layout: Layout;

    /// See [`Isa::Layout`].
    fn layout(self) -> Self::Layout;

    /// Calls `task` with pieces of `0..items`, together all of them, and with the parts of each slice that belong to
    /// those items: `each` elements for one item. Tokens with several threads work on pieces at the same time.
    ///
    /// `cost` is what one item costs, in elements moved from memory to memory; a multiply-add counts a sixteenth. Little
    /// work is not worth a thread. Results must not depend on how the items are cut: a task sums within an item only.
    #[inline(always)]
    fn split<const N: usize>(
        self,
        items: usize,
        cost: usize,
        slices: [(&mut [f32], usize); N],
        task: impl Fn(Range<usize>, [&mut [f32]; N]) + Sync,
    ) {
        let _ = cost;
        task(0..items, slices.map(|(slice, _)| slice));
    }

    /// The token without its threads: for work that is a piece of other work.
    #[inline]
    #[must_use]
    fn alone(self) -> Self {
        self
    }

    /// `init + sum of a[i] * b[i]`.
    #[inline]
    fn dot_f32(self, init: f32, a: &[f32], b: &[f32]) -> f32 {
        scalar::dot_f32(init, a, b)
    }

    /// `y[i] += a * x[i]`.
    #[inline]
    fn axpy_f32(self, a: f32, x: &[f32], y: &mut [f32]) {
        scalar::axpy_f32(a, x, y);
    }

    /// See [`Window`]. Every token gives the same bits.
    #[inline(never)] // On a device it is better a function of its own: inlined, its sums would not stay in registers.
    fn window_f32(self, window: &Window, a: &[f32], b: &[f32], y: &mut [f32]) {
        self.vectorize(|| scalar::window_f32(window, a, b, y));
    }

    /// [`Isa::window_f32`] for neighbouring [`Windows`]. Every token gives the same bits.
    #[cfg_attr(target_os = "none", inline(never))]
    #[cfg_attr(not(target_os = "none"), inline(always))]
    fn windows_f32(self, windows: &Windows, a: &[f32], b: &[f32], y: &mut [f32]) {
        scalar::windows_f32(self, windows, a, b, y);
    }

    /// The way back to `b`, whose places do not overlap: every tap's place in `db` adds up, over the windows in order, the
    /// product of what it sees in `a` with the window's `dy`. Every token gives the same bits.
    #[inline(always)]
    fn windows_backward_f32(self, windows: &Windows, a: &[f32], dy: &[f32], db: &mut [f32]) {
        scalar::windows_backward_f32(self, windows, a, dy, db);
    }

    /// See [`Gemm`].
    #[inline]
    fn gemm_f32(self, shape: &Gemm, a: &[f32], b: &[f32], c: &mut [f32]) {
        scalar::gemm_f32(shape, a, b, c);
    }

    /// See [`Folds`]; each product as in [`Isa::gemm_f32`], on this thread alone.
    #[inline]
    fn fold_f32(self, shape: &Gemm, folds: Folds, a: &[f32], b: &[f32], c: &mut [f32]) {
        let Folds { outer, inner } = folds;
        for (o, i) in (0..outer.count).flat_map(|o| (0..inner.count).map(move |i| (o, i))) {
            let at = |outer: usize, inner: usize| o.saturating_mul(outer).saturating_add(i.saturating_mul(inner));
            self.alone().gemm_f32(shape, from(a, at(outer.a, inner.a)), from(b, at(outer.b, inner.b)), c);
        }
    }

    /// Limits every element to `lo..=hi`.
    #[inline]
    fn clamp_f32(self, lo: f32, hi: f32, y: &mut [f32]) {
        scalar::clamp_f32(lo, hi, y);
    }

    /// `y[i] += x[i]`.
    #[inline]
    fn accumulate_f32(self, x: &[f32], y: &mut [f32]) {
        scalar::accumulate_f32(x, y);
    }

    /// `y[i] = x[i]` where that is greater.
    #[inline]
    fn max_f32(self, x: &[f32], y: &mut [f32]) {
        scalar::max_f32(x, y);
    }

    /// `y[c]` = greatest element of channel `c` in the patch; not-a-number wins only as the first. `y` says how many
    /// channels there are.
    #[inline]
    fn greatest_f32(self, patch: &Patch, x: &[f32], y: &mut [f32]) {
        scalar::greatest_f32(patch, x, y);
    }

    /// Adds `dy[c]` to that element of `dx` where channel `c` of the patch has its first greatest one in `x`. `dy` says
    /// how many channels there are.
    #[inline]
    fn add_to_greatest_f32(self, patch: &Patch, x: &[f32], dy: &[f32], dx: &mut [f32]) {
        scalar::add_to_greatest_f32(patch, x, dy, dx);
    }

    /// Max pools with limits: `y[i][c]` is the greatest element of channel `c` in window `i`, limited to `lo..=hi`, and
    /// `places[i][c]` the number of the first such pixel, row by row; -1 if `y` is not truly between the limits. The
    /// places may be left out. Every token gives the same bits.
    #[inline]
    fn pool_f32(self, pools: &Pools, lo: f32, hi: f32, x: &[f32], y: &mut [f32], places: &mut [f32]) {
        scalar::pool_f32(pools, lo, hi, x, y, places);
    }

    /// The way back: `dx` is `dy` at the places and zero at all other pixels of the windows; `sums[c]` grows by every
    /// `dy[i][c]` that has a place, in order of `i`. Every token gives the same bits.
    #[inline]
    fn unpool_f32(self, pools: &Pools, dy: &[f32], places: &[f32], dx: &mut [f32], sums: &mut [f32]) {
        scalar::unpool_f32(pools, dy, places, dx, sums);
    }

    /// `sums[c] += sum over rows of x[c]`, in order. Every token gives the same bits, here and in the next four.
    #[inline]
    fn column_sums_f32(self, of: Columns, x: &[f32], sums: &mut [f32]) {
        scalar::column_sums_f32(of, x, sums);
    }

    /// `squares[c] += sum over rows of (x[c] - mean[c])^2`, in order; `mean` is that of these columns.
    #[inline]
    fn column_squares_f32(self, of: Columns, x: &[f32], mean: &[f32], squares: &mut [f32]) {
        scalar::column_squares_f32(of, x, mean, squares);
    }

    /// `y = clamp(x * scale + shift, lo, hi)`, row by row; in place, with `y` for `x`, if there is no `x`.
    #[inline]
    fn scale_shift_f32(self, x: Option<&[f32]>, scale: &[f32], shift: &[f32], lo: f32, hi: f32, y: &mut [f32]) {
        scalar::scale_shift_f32(x, scale, shift, lo, hi, y);
    }

    /// Over rows, in order: `dgamma[c] += sum of dy * (x - mean) * inverse` and `dbeta[c] += sum of dy`, where `dy` counts
    /// as zero unless `lo < y < hi`.
    #[inline]
    fn norm_gradients_f32(self, of: Columns, seen: &Normalised<'_>, dy: &[f32], dgamma: &mut [f32], dbeta: &mut [f32]) {
        scalar::norm_gradients_f32(of, seen, dy, dgamma, dbeta);
    }

    /// `dy` becomes `scale * ((dy - dbeta / count) - (x - mean) * inverse * (dgamma / count))`, with `dy` as in
    /// [`Isa::norm_gradients_f32`]; the product of the last two factors comes first.
    #[inline]
    fn norm_input_f32(self, seen: &Normalised<'_>, count: f32, dgamma: &[f32], dbeta: &[f32], dy: &mut [f32]) {
        scalar::norm_input_f32(seen, count, dgamma, dbeta, dy);
    }

    /// The update of weights `[dy.len()][x.len()]` by the gradient of one sample of a dense layer, `0 + dy[r] * x[c]`,
    /// without a place for that gradient; `slots` are the rule's, `[m, v]` for Adam. The bits are those of the gradient
    /// in a tile and the rule's method here. False, and nothing done, where the token has no loop for the rule.
    #[inline]
    fn update_outer_f32(self, o: &Optimizer, dy: &[f32], x: &[f32], w: &mut [f32], slots: [&mut [f32]; 2]) -> bool {
        let _ = (o, dy, x, w, slots);
        false
    }

    /// Plain gradient descent; see [`crate::optim`].
    #[inline]
    fn sgd_f32(self, o: &Optimizer, g: &[f32], w: &mut [f32]) {
        scalar::sgd_f32(o, g, w);
    }

    /// Momentum; see [`crate::optim`].
    #[inline]
    fn momentum_f32(self, o: &Optimizer, nesterov: bool, g: &[f32], w: &mut [f32], v: &mut [f32]) {
        scalar::momentum_f32(o, nesterov, g, w, v);
    }

    /// AdaGrad; see [`crate::optim`].
    #[inline]
    fn adagrad_f32(self, o: &Optimizer, g: &[f32], w: &mut [f32], v: &mut [f32]) {
        scalar::adagrad_f32(o, g, w, v);
    }

    /// Adam; see [`crate::optim`].
    #[inline]
    fn adam_f32(self, o: &Optimizer, g: &[f32], w: &mut [f32], m: &mut [f32], v: &mut [f32]) {
        scalar::adam_f32(o, g, w, m, v);
    }

    /// `init + sum of x[i] * w[i]`, weights as whole numbers. Every token gives the same bits.
    #[inline]
    fn dot_f32_i8(self, init: f32, x: &[f32], w: &[i8]) -> f32 {
        scalar::dot_f32_i8(init, x, w)
    }

    /// `init + sum of x[i] * w[i]`, wrapping.
    #[inline]
    fn dot_i8(self, init: i32, x: &[i8], w: &[i8]) -> i32 {
        scalar::dot_i8(init, x, w)
    }

    /// `acc[j] += sum of x[i] * w[j * row + i]`, wrapping: a piece of several outputs at once.
    #[inline]
    fn matvec_i8(self, x: &[i8], w: &[i8], row: usize, acc: &mut [i32]) {
        scalar::matvec_i8(x, w, row, acc);
    }

    /// `acc[i] += x[i] * w[i]`, wrapping.
    #[inline]
    fn multiply_add_i8(self, x: &[i8], w: &[i8], acc: &mut [i32]) {
        self.vectorize(|| scalar::multiply_add_i8(x, w, acc));
    }

    /// `acc[i] += a * w[i]`, wrapping.
    #[inline]
    fn axpy_i8(self, a: i8, w: &[i8], acc: &mut [i32]) {
        self.vectorize(|| scalar::axpy_i8(a, w, acc));
    }

    /// `acc[i] += x[i]`, wrapping.
    #[inline]
    fn accumulate_i8(self, x: &[i8], acc: &mut [i32]) {
        self.vectorize(|| scalar::accumulate_i8(x, acc));
    }

    /// `y[i] = max(y[i], x[i])`.
    #[inline]
    fn max_i8(self, x: &[i8], y: &mut [i8]) {
        self.vectorize(|| scalar::max_i8(x, y));
    }

    /// `y[i] = a[i] + b[i]`, rescaled; an absent input is `y` itself. See [`Sum`].
    #[inline]
    fn add_i8(self, sum: &Sum, a: Option<&[i8]>, b: Option<&[i8]>, y: &mut [i8]) {
        sum.add(a, b, y);
    }

    /// Sums of the outputs from `first` on to int8.
    #[inline]
    fn requantize_i8(self, to: &Requantize<'_>, first: usize, acc: &[i32], y: &mut [i8]) {
        self.vectorize(|| scalar::requantize_i8(to, first, acc, y));
    }

    /// `init + sum of x[i] * w[i]`, wrapping: 16-bit inputs, 8-bit weights.
    #[inline]
    fn dot_i16(self, init: i64, x: &[i16], w: &[i8]) -> i64 {
        self.vectorize(|| scalar::dot_i16(init, x, w))
    }

    /// `acc[i] += x[i] * w[i]`, wrapping.
    #[inline]
    fn multiply_add_i16(self, x: &[i16], w: &[i8], acc: &mut [i64]) {
        self.vectorize(|| scalar::multiply_add_i16(x, w, acc));
    }

    /// `init + sum of (a[i] * b[i]) >> right`, wrapping: mantissas of block floating point.
    #[inline]
    fn dot_fixed(self, init: i32, right: u32, a: &[i16], b: &[i16]) -> i32 {
        self.vectorize(|| scalar::dot_fixed(init, right, a, b))
    }

    /// `y[i] += (a * x[i]) >> right`, wrapping.
    #[inline]
    fn axpy_fixed(self, a: i16, right: u32, x: &[i16], y: &mut [i32]) {
        self.vectorize(|| scalar::axpy_fixed(a, right, x, y));
    }

    /// `w[i] -= (gradient[i] * rate / 2^16 + r[i]) >> right`, saturating, with products rounded down, `right` from 1 to 31
    /// and r the upper `right` bits of the next ones of `bits`. Gives the bits of the new weights, joined.
    #[inline]
    fn descend_fixed(self, rate: u32, right: u32, bits: Bits, gradient: &[i32], w: &mut [i16]) -> u32 {
        self.vectorize(|| scalar::descend_fixed(rate, right, bits, gradient, w))
    }

    /// Does nothing but multiply-adds in registers, and says how many floating-point operations it did: what a
    /// benchmark measures everything else by.
    fn peak_f32(self, rounds: usize) -> u64 {
        scalar::peak_f32(rounds)
    }

    /// Runs a step with this token.
    fn run_step(self, step: Stored<'_>, at: &mut Slices<'_>, context: &mut Context) {
        step.run(self, at, context);
    }

    /// Runs `body` compiled for this instruction set, as far as the compiler inlines it: for plain loops of kernels
    /// that have no method here. The bits are the same as without.
    #[inline(always)]
    fn vectorize<R>(self, body: impl FnOnce() -> R) -> R {
        body()
    }
}

#[cfg(test)]
mod tests;
