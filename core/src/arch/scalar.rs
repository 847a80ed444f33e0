//! The definition of every inner loop, in plain Rust.
//!
//! Loops may tile across outputs, never across a sum, so that every target gives the same bits.

mod norm;

pub use norm::{column_squares_f32, column_sums_f32, norm_gradients_f32, norm_input_f32, scale_shift_f32};

use super::layout::Plain;
use super::{Gemm, Isa, IsaId, Patch, Pools, Window, Windows};
use crate::kernels::fixed::mul_q16;
use crate::kernels::fixed::update::subtract;
use crate::kernels::requantize::Requantize;
use crate::kernels::util::{copy, from, from_mut, rows, rows_mut, sub, sub_mut};
use crate::math;
use crate::memory::Slices;
use crate::optim::{Optimizer, TINY, TINY_SQUARE};
use crate::plan::{COMPACT, Context, Stored};
use crate::quant;
use crate::rng::Bits;
use core::hint::black_box;

/// Runs anywhere; the bits that all promises refer to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scalar;

impl Isa for Scalar {
    const ID: IsaId = IsaId::Scalar;
    type Layout = Plain;

    fn layout(self) -> Plain {
        Plain
    }

    // Not inlined, so that a device program's kernels are compiled in this crate: its optimisation level is theirs.
    #[inline(never)]
    fn run_step(self, step: Stored<'_>, at: &mut Slices<'_>, context: &mut Context) {
        step.run(self, at, context);
    }
}

/// See [`Isa::dot_f32`].
#[inline]
pub fn dot_f32(init: f32, a: &[f32], b: &[f32]) -> f32 {
    let mut sum = init;
    for (a, b) in a.iter().zip(b) {
        sum += a * b;
    }
    sum
}

/// See [`Isa::dot_f32_i8`].
#[inline]
pub fn dot_f32_i8(init: f32, x: &[f32], w: &[i8]) -> f32 {
    let mut sum = init;
    for (x, w) in x.iter().zip(w) {
        sum += x * f32::from(*w);
    }
    sum
}

/// See [`Isa::axpy_f32`].
#[inline]
pub fn axpy_f32(a: f32, x: &[f32], y: &mut [f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += a * x;
    }
}

/// See [`Isa::peak_f32`].
pub fn peak_f32(rounds: usize) -> u64 {
    const SUMS: usize = 8;
    let (a, b) = (black_box(0.999), black_box(1e-6));
    let mut sums = [1.0f32; SUMS];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = *sum * a + b;
        }
    }
    black_box(sums);
    2 * SUMS as u64 * rounds as u64
}

/// See [`Isa::window_f32`].
///
/// Works on eight channels at a time: their sums stay in registers for the whole window.
#[inline(always)]
pub fn window_f32(window: &Window, a: &[f32], b: &[f32], y: &mut [f32]) {
    let (blocks, rest) = y.as_chunks_mut::<8>();
    let mut channel = 0;
    for [y0, y1, y2, y3, y4, y5, y6, y7] in blocks {
        let (mut s0, mut s1, mut s2, mut s3) = (*y0, *y1, *y2, *y3);
        let (mut s4, mut s5, mut s6, mut s7) = (*y4, *y5, *y6, *y7);
        window.each(channel, a, b, |[a0, a1, a2, a3, a4, a5, a6, a7], [b0, b1, b2, b3, b4, b5, b6, b7]| {
            s0 += a0 * b0;
            s1 += a1 * b1;
            s2 += a2 * b2;
            s3 += a3 * b3;
            s4 += a4 * b4;
            s5 += a5 * b5;
            s6 += a6 * b6;
            s7 += a7 * b7;
        });
        (*y0, *y1, *y2, *y3) = (s0, s1, s2, s3);
        (*y4, *y5, *y6, *y7) = (s4, s5, s6, s7);
        channel += 8;
    }
    for y in rest {
        let mut sum = *y;
        window.each(channel, a, b, |[a], [b]| sum += a * b);
        *y = sum;
        channel += 1;
    }
}

/// See [`Isa::windows_f32`].
#[inline(always)]
pub fn windows_f32<I: Isa>(isa: I, windows: &Windows, a: &[f32], b: &[f32], y: &mut [f32]) {
    for (r, k) in (0..windows.down.count).flat_map(|r| (0..windows.across.count).map(move |k| (r, k))) {
        let (window, to) = windows.at(r, k);
        isa.window_f32(&window, a, b, sub_mut(y, to, windows.channels));
    }
}

/// See [`Isa::windows_backward_f32`]: tap by tap.
#[inline(always)]
pub fn windows_backward_f32<I: Isa>(isa: I, windows: &Windows, a: &[f32], dy: &[f32], db: &mut [f32]) {
    for (r, k) in (0..windows.first.rows).flat_map(|r| (0..windows.first.columns).map(move |k| (r, k))) {
        let (walk, to) = windows.tap(r, k);
        isa.window_f32(&walk, a, dy, sub_mut(db, to, windows.channels));
    }
}

impl Window {
    /// Calls `visit` with `N` channels of every place, in order; stops at the first one outside.
    #[inline(always)]
    fn each<const N: usize>(&self, channel: usize, a: &[f32], b: &[f32], mut visit: impl FnMut(&[f32; N], &[f32; N])) {
        let (mut a_row, mut b_row) = (self.a.wrapping_add(channel), self.b.wrapping_add(channel));
        for _ in 0..self.rows {
            let (mut a_at, mut b_at) = (a_row, b_row);
            for _ in 0..self.columns {
                let (Some(a), Some(b)) = (a.get(a_at..a_at.wrapping_add(N)), b.get(b_at..b_at.wrapping_add(N))) else {
                    return;
                };
                if let (Some(a), Some(b)) = (a.first_chunk(), b.first_chunk()) {
                    visit(a, b);
                }
                a_at = a_at.wrapping_add(self.a_column);
                b_at = b_at.wrapping_add(self.b_column);
            }
            a_row = a_row.wrapping_add(self.a_row);
            b_row = b_row.wrapping_add(self.b_row);
        }
    }
}

/// See [`Isa::gemm_f32`].
///
/// Works on four rows of B or four columns of it at a time; each element of C still sees one product after the other.
pub fn gemm_f32(g: &Gemm, a: &[f32], b: &[f32], c: &mut [f32]) {
    if !g.fits(a.len(), b.len(), c.len()) {
        return;
    }
    for i in 0..g.m {
        let Some(c) = c.get_mut(i * g.c_row..i * g.c_row + g.n) else { return };
        let a = a.get(i * g.a_row..).unwrap_or(&[]);
        if !COMPACT && g.b_col == 1 {
            add_rows(g, a, b, c);
        } else if !COMPACT && g.a_col == 1 && g.b_row == 1 {
            add_columns(g, a, b, c);
        } else {
            add_elements(g, a, b, c);
        }
    }
}

/// One row of C from rows of B that are contiguous: four of them for each time that C is loaded and stored.
fn add_rows(g: &Gemm, a: &[f32], b: &[f32], c: &mut [f32]) {
    let at = |p: usize| Some((*a.get(p * g.a_col)?, b.get(p * g.b_row..p * g.b_row + g.n)?));
    let mut p = 0;
    while p + 4 <= g.k {
        let (Some((a0, b0)), Some((a1, b1)), Some((a2, b2)), Some((a3, b3))) = (at(p), at(p + 1), at(p + 2), at(p + 3))
        else {
            return;
        };
        for ((((c, b0), b1), b2), b3) in c.iter_mut().zip(b0).zip(b1).zip(b2).zip(b3) {
            *c = (((*c + a0 * b0) + a1 * b1) + a2 * b2) + a3 * b3;
        }
        p += 4;
    }
    while p < g.k {
        let Some((a, b)) = at(p) else { return };
        axpy_f32(a, b, c);
        p += 1;
    }
}

/// One row of C from columns of B that are contiguous, as the row of A is: four sums share each load of A.
fn add_columns(g: &Gemm, a: &[f32], b: &[f32], c: &mut [f32]) {
    let Some(a) = a.get(..g.k) else { return };
    let column = |j: usize| b.get(j * g.b_col..j * g.b_col + g.k);
    let mut j = 0;
    let (quads, rest) = c.as_chunks_mut::<4>();
    for [c0, c1, c2, c3] in quads {
        let (Some(b0), Some(b1), Some(b2), Some(b3)) = (column(j), column(j + 1), column(j + 2), column(j + 3)) else {
            return;
        };
        let (mut s0, mut s1, mut s2, mut s3) = (*c0, *c1, *c2, *c3);
        for ((((a, b0), b1), b2), b3) in a.iter().zip(b0).zip(b1).zip(b2).zip(b3) {
            s0 += a * b0;
            s1 += a * b1;
            s2 += a * b2;
            s3 += a * b3;
        }
        (*c0, *c1, *c2, *c3) = (s0, s1, s2, s3);
        j += 4;
    }
    for c in rest {
        let Some(b) = column(j) else { return };
        *c = dot_f32(*c, a, b);
        j += 1;
    }
}

/// One row of C, whatever the strides.
fn add_elements(g: &Gemm, a: &[f32], b: &[f32], c: &mut [f32]) {
    for (j, c) in c.iter_mut().enumerate() {
        for p in 0..g.k {
            let (Some(a), Some(b)) = (a.get(p * g.a_col), b.get(p * g.b_row + j * g.b_col)) else { return };
            *c += a * b;
        }
    }
}

/// See [`Isa::clamp_f32`].
#[inline]
pub fn clamp_f32(lo: f32, hi: f32, y: &mut [f32]) {
    for y in y {
        *y = math::clamp(*y, lo, hi);
    }
}

/// See [`Isa::accumulate_f32`].
#[inline]
pub fn accumulate_f32(x: &[f32], y: &mut [f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += x;
    }
}

/// See [`Isa::max_f32`].
#[inline]
pub fn max_f32(x: &[f32], y: &mut [f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = math::max(*y, *x);
    }
}

/// See [`Isa::greatest_f32`].
#[inline]
pub fn greatest_f32(patch: &Patch, x: &[f32], y: &mut [f32]) {
    let channels = y.len();
    copy(sub(x, patch.at, channels), y);
    let mut row = patch.at;
    for _ in 0..patch.rows {
        let mut at = row;
        for _ in 0..patch.columns {
            max_f32(sub(x, at, channels), y);
            at = at.wrapping_add(patch.column);
        }
        row = row.wrapping_add(patch.row);
    }
}

/// See [`Isa::add_to_greatest_f32`].
#[inline]
pub fn add_to_greatest_f32(patch: &Patch, x: &[f32], dy: &[f32], dx: &mut [f32]) {
    for (channel, dy) in dy.iter().enumerate() {
        if let Some(dx) = dx.get_mut(greatest_at(patch, channel, x)) {
            *dx += dy;
        }
    }
}

/// [`add_to_greatest_f32`] over `x` itself, for a window that shares nothing with others: its other elements become 0.
pub fn leave_at_greatest_f32(patch: &Patch, dy: &[f32], x: &mut [f32]) {
    for (channel, dy) in dy.iter().enumerate() {
        let greatest = greatest_at(patch, channel, x);
        let mut first = patch.at.wrapping_add(channel);
        for _ in 0..patch.rows {
            let mut at = first;
            for _ in 0..patch.columns {
                if let Some(x) = x.get_mut(at) {
                    *x = 0.0;
                }
                at = at.wrapping_add(patch.column);
            }
            first = first.wrapping_add(patch.row);
        }
        if let Some(x) = x.get_mut(greatest) {
            *x += dy;
        }
    }
}

/// Where the first greatest element of a window's channel lies.
#[inline]
fn greatest_at(patch: &Patch, channel: usize, x: &[f32]) -> usize {
    let mut first = patch.at.wrapping_add(channel);
    let (mut greatest_at, mut greatest) = (first, x.get(first).copied().unwrap_or(0.0));
    for _ in 0..patch.rows {
        let mut at = first;
        for _ in 0..patch.columns {
            let value = x.get(at).copied().unwrap_or(0.0);
            if value > greatest {
                (greatest_at, greatest) = (at, value);
            }
            at = at.wrapping_add(patch.column);
        }
        first = first.wrapping_add(patch.row);
    }
    greatest_at
}

/// See [`Isa::pool_f32`].
#[inline]
pub fn pool_f32(pools: &Pools, lo: f32, hi: f32, x: &[f32], y: &mut [f32], places: &mut [f32]) {
    if !pools.fit(x.len(), y.len()) {
        return;
    }
    let mut places = places.iter_mut();
    for (i, y) in rows_mut(y, pools.channels).take(pools.count).enumerate() {
        let window = pools.window(i);
        for (channel, y) in y.iter_mut().enumerate() {
            let mut pixels = pixels(&window).map(|at| x.get(at + channel).copied().unwrap_or(0.0));
            let (mut greatest, mut place) = (pixels.next().unwrap_or(0.0), 0.0);
            for (pixel, value) in (1..).zip(pixels) {
                if value > greatest {
                    (greatest, place) = (value, pixel as f32);
                }
            }
            *y = math::clamp(greatest, lo, hi);
            if let Some(to) = places.next() {
                *to = if lo < *y && *y < hi { place } else { -1.0 };
            }
        }
    }
}

/// See [`Isa::unpool_f32`].
#[inline]
pub fn unpool_f32(pools: &Pools, dy: &[f32], places: &[f32], dx: &mut [f32], sums: &mut [f32]) {
    if !pools.fit(dx.len(), dy.len().min(places.len())) {
        return;
    }
    let outputs = rows(dy, pools.channels).zip(rows(places, pools.channels));
    for (i, (dy, places)) in outputs.take(pools.count).enumerate() {
        for (pixel, at) in pixels(&pools.window(i)).enumerate() {
            for ((dx, dy), place) in from_mut(dx, at).iter_mut().zip(dy).zip(places) {
                *dx = if *place == pixel as f32 { *dy } else { 0.0 };
            }
        }
        for ((sum, dy), place) in sums.iter_mut().zip(dy).zip(places) {
            *sum += if *place > -1.0 { *dy } else { 0.0 };
        }
    }
}

/// Where the pixels of a window begin, row by row.
fn pixels(window: &Patch) -> impl Iterator<Item = usize> {
    let Patch { rows, columns, at, row, column } = *window;
    (0..rows).flat_map(move |r| (0..columns).map(move |k| at + r * row + k * column))
}

/// See [`Isa::sgd_f32`].
#[inline]
pub fn sgd_f32(o: &Optimizer, g: &[f32], w: &mut [f32]) {
    for (w, g) in w.iter_mut().zip(g) {
        let g = o.decayed(*g, *w);
        *w -= o.rate * g;
    }
}

/// See [`Isa::momentum_f32`].
#[inline]
pub fn momentum_f32(o: &Optimizer, nesterov: bool, g: &[f32], w: &mut [f32], v: &mut [f32]) {
    let momentum = o.settings.momentum;
    for ((w, g), v) in w.iter_mut().zip(g).zip(v) {
        let g = o.decayed(*g, *w);
        *v = math::settle(momentum * *v - o.rate * g, TINY_SQUARE);
        *w += if nesterov { momentum * *v - o.rate * g } else { *v };
    }
}

/// See [`Isa::adagrad_f32`].
#[inline]
pub fn adagrad_f32(o: &Optimizer, g: &[f32], w: &mut [f32], v: &mut [f32]) {
    for ((w, g), v) in w.iter_mut().zip(g).zip(v) {
        let g = o.decayed(*g, *w);
        *v += g * g;
        *w -= o.rate * g / math::sqrt(*v + o.settings.epsilon);
    }
}

/// See [`Isa::adam_f32`].
#[inline]
pub fn adam_f32(o: &Optimizer, g: &[f32], w: &mut [f32], m: &mut [f32], v: &mut [f32]) {
    let (one_minus_beta_1, one_minus_beta_2) = (1.0 - o.settings.momentum, 1.0 - o.settings.beta_2);
    for (((w, g), m), v) in w.iter_mut().zip(g).zip(m).zip(v) {
        let g = math::settle(o.decayed(*g, *w), TINY);
        *m = math::settle(*m + (g - *m) * one_minus_beta_1, TINY);
        *v = math::settle(*v + (g * g - *v) * one_minus_beta_2, TINY_SQUARE);
        *w -= o.rate * *m / (math::sqrt(*v) + o.settings.epsilon);
    }
}

/// `sum + x * w`, wrapping.
#[inline(always)]
fn madd(sum: i32, x: i8, w: i8) -> i32 {
    sum.wrapping_add(i32::from(x) * i32::from(w))
}

/// See [`Isa::dot_i8`].
#[inline]
pub fn dot_i8(init: i32, x: &[i8], w: &[i8]) -> i32 {
    let mut sum = init;
    for (x, w) in x.iter().zip(w) {
        sum = sum.wrapping_add(i32::from(*x) * i32::from(*w));
    }
    sum
}

/// See [`Isa::matvec_i8`].
#[inline]
pub fn matvec_i8(x: &[i8], w: &[i8], row: usize, acc: &mut [i32]) {
    let len = x.len();
    let mut rest = w;
    let (quads, last) = acc.as_chunks_mut();
    for quad in quads {
        let (w0, w1) = (next_row(&mut rest, len, row), next_row(&mut rest, len, row));
        let (w2, w3) = (next_row(&mut rest, len, row), next_row(&mut rest, len, row));
        quad_i8(x, [w0, w1, w2, w3], quad);
    }
    for acc in last {
        *acc = dot_i8(*acc, x, next_row(&mut rest, len, row));
    }
}

/// Four outputs of [`matvec_i8`], which share every load of x.
// Where this is one with what calls it, a device's registers do not suffice for the loop.
#[cfg_attr(target_os = "none", inline(never))]
#[cfg_attr(not(target_os = "none"), inline(always))]
fn quad_i8(x: &[i8], [w0, w1, w2, w3]: [&[i8]; 4], [a0, a1, a2, a3]: &mut [i32; 4]) {
    let (mut s0, mut s1, mut s2, mut s3) = (*a0, *a1, *a2, *a3);
    for ((((x, w0), w1), w2), w3) in x.iter().zip(w0).zip(w1).zip(w2).zip(w3) {
        let x = i32::from(*x);
        s0 = s0.wrapping_add(x * i32::from(*w0));
        s1 = s1.wrapping_add(x * i32::from(*w1));
        s2 = s2.wrapping_add(x * i32::from(*w2));
        s3 = s3.wrapping_add(x * i32::from(*w3));
    }
    (*a0, *a1, *a2, *a3) = (s0, s1, s2, s3);
}

/// The next row's `len` weights: walking on by `row` costs a device less than computing where each row begins.
#[inline(always)]
fn next_row<'a>(rest: &mut &'a [i8], len: usize, row: usize) -> &'a [i8] {
    let w = sub(rest, 0, len);
    *rest = from(rest, row);
    w
}

/// See [`Isa::multiply_add_i8`].
// In a function of its own a device has registers enough for it.
#[cfg_attr(target_os = "none", inline(never))]
#[cfg_attr(not(target_os = "none"), inline)]
pub fn multiply_add_i8(x: &[i8], w: &[i8], acc: &mut [i32]) {
    let len = acc.len().min(x.len()).min(w.len());
    let (acc, x, w) = (sub_mut(acc, 0, len), sub(x, 0, len), sub(w, 0, len));
    // Four at a time, written out: a device spends as much on the loop as on one of them.
    let ((quads, acc), (x_quads, x), (w_quads, w)) = (acc.as_chunks_mut(), x.as_chunks(), w.as_chunks());
    for ((quad, &[x0, x1, x2, x3]), &[w0, w1, w2, w3]) in quads.iter_mut().zip(x_quads).zip(w_quads) {
        let [a0, a1, a2, a3] = *quad;
        *quad = [madd(a0, x0, w0), madd(a1, x1, w1), madd(a2, x2, w2), madd(a3, x3, w3)];
    }
    for ((acc, x), w) in acc.iter_mut().zip(x).zip(w) {
        *acc = madd(*acc, *x, *w);
    }
}

/// See [`Isa::axpy_i8`].
#[inline]
pub fn axpy_i8(a: i8, w: &[i8], acc: &mut [i32]) {
    for (acc, w) in acc.iter_mut().zip(w) {
        *acc = acc.wrapping_add(i32::from(a) * i32::from(*w));
    }
}

/// See [`Isa::accumulate_i8`].
#[inline]
pub fn accumulate_i8(x: &[i8], acc: &mut [i32]) {
    for (acc, x) in acc.iter_mut().zip(x) {
        *acc = acc.wrapping_add(i32::from(*x));
    }
}

/// See [`Isa::max_i8`].
#[inline]
pub fn max_i8(x: &[i8], y: &mut [i8]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = (*y).max(*x);
    }
}

/// See [`Isa::requantize_i8`].
#[inline]
pub fn requantize_i8(to: &Requantize<'_>, first: usize, acc: &[i32], y: &mut [i8]) {
    if let (&[multiplier], &[shift]) = (to.multiplier, to.shift) {
        // One multiplier for all: repeated, so that there is one loop for a device to keep.
        for (acc, y) in acc.chunks(8).zip(y.chunks_mut(8)) {
            requantize_each(to, &[multiplier; 8], &[shift; 8], acc, y);
        }
        return;
    }
    requantize_each(to, from(to.multiplier, first), from(to.shift, first), acc, y);
}

/// [`requantize_i8`] with a multiplier and a shift for each output.
#[cfg_attr(target_os = "none", inline(never))]
#[cfg_attr(not(target_os = "none"), inline(always))]
fn requantize_each(to: &Requantize<'_>, multiplier: &[i32], shift: &[i32], acc: &[i32], y: &mut [i8]) {
    for (((y, acc), multiplier), shift) in y.iter_mut().zip(acc).zip(multiplier).zip(shift) {
        *y = quant::requantize_i8(*acc, *multiplier, *shift, to.zero_point, to.lo, to.hi);
    }
}

/// See [`Isa::dot_i16`].
#[inline]
pub fn dot_i16(init: i64, x: &[i16], w: &[i8]) -> i64 {
    // A product has at most 22 bits and a sign, so 256 of them add up within 32: wide additions are rare.
    const PIECE: usize = 256;
    let mut sum = init;
    for (x, w) in x.chunks(PIECE).zip(w.chunks(PIECE)) {
        let piece = x.iter().zip(w).fold(0i32, |sum, (x, w)| sum.wrapping_add(i32::from(*x) * i32::from(*w)));
        sum = sum.wrapping_add(i64::from(piece));
    }
    sum
}

/// See [`Isa::dot_fixed`].
#[inline(always)]
pub fn dot_fixed(init: i32, right: u32, a: &[i16], b: &[i16]) -> i32 {
    let right = right.min(31);
    a.iter().zip(b).fold(init, |sum, (a, b)| sum.wrapping_add((i32::from(*a) * i32::from(*b)) >> right))
}

/// See [`Isa::axpy_fixed`].
#[inline(always)]
pub fn axpy_fixed(a: i16, right: u32, x: &[i16], y: &mut [i32]) {
    let (a, right) = (i32::from(a), right.min(31));
    for (y, x) in y.iter_mut().zip(x) {
        *y = y.wrapping_add((a * i32::from(*x)) >> right);
    }
}

/// See [`Isa::descend_fixed`].
#[inline]
pub fn descend_fixed(rate: u32, right: u32, mut bits: Bits, gradient: &[i32], w: &mut [i16]) -> u32 {
    let (right, mut all) = (right.clamp(1, 31), 0);
    for (w, g) in w.iter_mut().zip(gradient) {
        all |= subtract(mul_q16(*g, rate), right, bits.advance(), w);
    }
    all
}

/// See [`Isa::multiply_add_i16`].
#[inline]
pub fn multiply_add_i16(x: &[i16], w: &[i8], acc: &mut [i64]) {
    for ((acc, x), w) in acc.iter_mut().zip(x).zip(w) {
        *acc = acc.wrapping_add(i64::from(i32::from(*x) * i32::from(*w)));
    }
}
