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
mod id;
pub mod layout;
#[cfg(all(target_arch = "riscv32", target_os = "none"))]
mod riscv;
mod rows;
mod run;
pub mod scalar;
mod shapes;
mod stored;
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
pub use id::IsaId;
#[cfg(all(target_arch = "riscv32", target_os = "none"))]
pub use riscv::Rv32;
pub use rows::{Rows, RowsMut, copy};
pub(crate) use run::Run;
pub use run::Slices;
pub use scalar::Scalar;
pub use shapes::{Columns, Fold, Folds, Gemm, Normalised, Patch, Pools, Steps, Window, Windows};
pub use stored::Stored;
#[cfg(any(test, feature = "std"))]
pub use threads::Threads;
#[cfg(all(target_arch = "x86_64", any(test, feature = "std")))]
pub use x86::{Avx2, Avx2Exact, Avx512};

use crate::kernels::add::Sum;
use crate::kernels::requantize::Requantize;
use crate::kernels::util::{clear, from, start_from_bias};
use crate::optim::Optimizer;
use crate::plan::Context;
use crate::rng::Bits;
use core::ops::Range;
use layout::Layout;

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

    /// `y[j] = b[j] + sum of x[i] * w[j][i]`: a dense layer's way forward for one sample; an empty `b` counts as zeros.
    #[inline]
    fn dense_one_f32(self, x: &[f32], w: &[f32], b: &[f32], y: &mut [f32]) {
        let (k, n) = (x.len(), y.len());
        start_from_bias(b, n, y);
        self.gemm_f32(&Gemm { m: 1, n, k, a_row: k, a_col: 1, b_row: 1, b_col: k, c_row: n }, x, w, y);
    }

    /// `dx[i] = sum of dy[j] * w[j][i]`: its way back.
    #[inline]
    fn dense_one_backward_f32(self, dy: &[f32], w: &[f32], dx: &mut [f32]) {
        let (k, n) = (dy.len(), dx.len());
        clear(dx);
        self.gemm_f32(&Gemm { m: 1, n, k, a_row: k, a_col: 1, b_row: n, b_col: 1, c_row: n }, dy, w, dx);
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
    /// without a place for that gradient; `state` is the rule's, slot after slot. The bits are those of the gradient
    /// in a tile and the rule's method here. False, and nothing done, where the token has no loop for the rule.
    #[inline]
    fn update_outer_f32(self, o: &Optimizer, dy: &[f32], x: &[f32], w: &mut [f32], state: &mut [f32]) -> bool {
        let _ = (o, dy, x, w, state);
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
