//! Batch normalisation: rows go by, a few vectors of channels stay in registers.
//!
//! # Safety
//! Every function needs a processor with `V`'s instructions. Memory is reached only through slices, below their
//! length.

use super::Vector;
use super::loops::Lanes;
use crate::arch::{Columns, Normalised, scalar};

/// Most vectors of channels at a time: enough sums to hide the latency of an addition.
const MOST: usize = 4;

/// Calls `$work::<V, VECTORS>` with the lanes of neighbouring channels, from `$first` on, until all `$channels` are done.
macro_rules! each_strip {
    ($vector:ident, $first:expr, $channels:expr, |$lanes:ident, $vectors:ident| $work:expr) => {{
        let (mut at, end) = ($first, $first + $channels);
        while at < end {
            let left = (end - at) / $vector::LANES;
            if left >= MOST {
                const $vectors: usize = MOST;
                let $lanes = Lanes::<$vector>::strip::<$vectors>(at);
                $work;
                at += $vectors * $vector::LANES;
            } else if left >= 1 {
                const $vectors: usize = 1;
                let $lanes = Lanes::<$vector>::strip::<$vectors>(at);
                $work;
                at += $vector::LANES;
            } else {
                const $vectors: usize = 1;
                let $lanes = [Lanes::<$vector>::masked(at, end - at)];
                $work;
                at = end;
            }
        }
    }};
}

/// How many rows there are, if the columns lie within them.
fn rows(of: Columns, columns: usize, len: usize) -> Option<usize> {
    let rows = len.checked_div(of.row)?;
    (of.first.checked_add(columns)? <= of.row).then_some(rows)
}

/// See [`crate::arch::Isa::column_sums_f32`].
#[inline(always)]
pub unsafe fn sums<V: Vector>(of: Columns, x: &[f32], sums: &mut [f32]) {
    let Some(rows) = rows(of, sums.len(), x.len()) else { return scalar::column_sums_f32(of, x, sums) };
    // Lanes count from the row's first channel, results from the first of the columns.
    let to = sums.as_mut_ptr().wrapping_sub(of.first);
    // SAFETY: instructions as the caller says; the columns lie within every row, and there is a result for each.
    unsafe {
        each_strip!(V, of.first, sums.len(), |lanes, VECTORS| {
            let mut sum: [V; VECTORS] = lanes.map(|lanes| lanes.read(to));
            let mut x = x.as_ptr();
            for _ in 0..rows {
                for (sum, lanes) in sum.iter_mut().zip(&lanes) {
                    *sum = sum.add(lanes.read(x));
                }
                x = x.wrapping_add(of.row);
            }
            for (sum, lanes) in sum.into_iter().zip(&lanes) {
                lanes.write(sum, to);
            }
        });
    }
}

/// See [`crate::arch::Isa::column_squares_f32`].
#[inline(always)]
pub unsafe fn squares<V: Vector>(of: Columns, x: &[f32], mean: &[f32], squares: &mut [f32]) {
    let rows = rows(of, squares.len(), x.len()).filter(|_| mean.len() >= squares.len());
    let Some(rows) = rows else { return scalar::column_squares_f32(of, x, mean, squares) };
    let (mean, to) = (mean.as_ptr().wrapping_sub(of.first), squares.as_mut_ptr().wrapping_sub(of.first));
    // SAFETY: as in `sums`.
    unsafe {
        each_strip!(V, of.first, squares.len(), |lanes, VECTORS| {
            let mut sum: [V; VECTORS] = lanes.map(|lanes| lanes.read(to));
            let mean: [V; VECTORS] = lanes.map(|lanes| lanes.read(mean));
            let mut x = x.as_ptr();
            for _ in 0..rows {
                for ((sum, mean), lanes) in sum.iter_mut().zip(&mean).zip(&lanes) {
                    let distance = lanes.read(x).sub(*mean);
                    *sum = sum.add(distance.mul(distance));
                }
                x = x.wrapping_add(of.row);
            }
            for (sum, lanes) in sum.into_iter().zip(&lanes) {
                lanes.write(sum, to);
            }
        });
    }
}

/// See [`crate::arch::Isa::scale_shift_f32`].
#[inline(always)]
pub unsafe fn scale_shift<V: Vector>(x: Option<&[f32]>, scale: &[f32], shift: &[f32], lo: f32, hi: f32, y: &mut [f32]) {
    let channels = scale.len();
    let to = y.as_mut_ptr();
    let (from, len) = x.map_or((to.cast_const(), y.len()), |x| (x.as_ptr(), x.len().min(y.len())));
    let rows = len.checked_div(channels).filter(|_| shift.len() >= channels);
    let Some(rows) = rows else { return scalar::scale_shift_f32(x, scale, shift, lo, hi, y) };
    // SAFETY: instructions as the caller says; so many rows lie in both slices.
    unsafe {
        let (lo, hi) = (V::splat(lo), V::splat(hi));
        each_strip!(V, 0, channels, |lanes, VECTORS| {
            let scale: [V; VECTORS] = lanes.map(|lanes| lanes.load(scale));
            let shift: [V; VECTORS] = lanes.map(|lanes| lanes.load(shift));
            let (mut from, mut to) = (from, to);
            for _ in 0..rows {
                for ((scale, shift), lanes) in scale.iter().zip(&shift).zip(&lanes) {
                    lanes.write(lanes.read(from).mul(*scale).add(*shift).max(lo).min(hi), to);
                }
                (from, to) = (from.wrapping_add(channels), to.wrapping_add(channels));
            }
        });
    }
}

/// A vector of channels of [`Normalised`].
#[derive(Clone, Copy)]
struct Channels<V> {
    mean: V,
    inverse: V,
    scale: V,
    shift: V,
}

impl<V: Vector> Channels<V> {
    /// # Safety
    /// As [`sums`]; the lanes lie within the channels.
    #[inline(always)]
    unsafe fn of(seen: &Normalised<'_>, lanes: Lanes<V>) -> Self {
        // SAFETY: as the caller says.
        unsafe {
            let (mean, inverse) = (lanes.load(seen.mean), lanes.load(seen.inverse));
            let scale = lanes.load(seen.gamma).mul(inverse);
            Self { mean, inverse, scale, shift: lanes.load(seen.beta).sub(mean.mul(scale)) }
        }
    }

    /// The gradient before the activation.
    ///
    /// # Safety
    /// As [`sums`].
    #[inline(always)]
    unsafe fn passed(&self, x: V, dy: V, lo: V, hi: V) -> V {
        // SAFETY: as the caller says.
        unsafe {
            let (y, zero) = (x.mul(self.scale).add(self.shift), V::splat(0.0));
            dy.select(zero, y.greater(lo)).select(zero, hi.greater(y))
        }
    }
}

/// Whether there are numbers for so many channels.
fn covers(seen: &Normalised<'_>, channels: usize) -> bool {
    [seen.mean, seen.inverse, seen.gamma, seen.beta].iter().all(|values| values.len() >= channels)
}

/// See [`crate::arch::Isa::norm_gradients_f32`].
#[inline(always)]
pub unsafe fn gradients<V: Vector>(
    of: Columns,
    seen: &Normalised<'_>,
    dy: &[f32],
    dgamma: &mut [f32],
    dbeta: &mut [f32],
) {
    let channels = dgamma.len().min(dbeta.len());
    let rows = rows(of, channels, seen.x.len().min(dy.len())).filter(|_| covers(seen, of.first + channels));
    let Some(rows) = rows else { return scalar::norm_gradients_f32(of, seen, dy, dgamma, dbeta) };
    let [products_to, sums_to] = [dgamma, dbeta].map(|to| to.as_mut_ptr().wrapping_sub(of.first));
    // SAFETY: as in `sums`; `covers` has looked at the channels' numbers.
    unsafe {
        let (lo, hi) = (V::splat(seen.lo), V::splat(seen.hi));
        each_strip!(V, of.first, channels, |lanes, VECTORS| {
            let channels: [Channels<V>; VECTORS] = lanes.map(|lanes| Channels::of(seen, lanes));
            let mut sums: [[V; 2]; VECTORS] = lanes.map(|lanes| [lanes.read(products_to), lanes.read(sums_to)]);
            let (mut x, mut dy) = (seen.x.as_ptr(), dy.as_ptr());
            for _ in 0..rows {
                for (([products, sum], channels), lanes) in sums.iter_mut().zip(&channels).zip(&lanes) {
                    let x = lanes.read(x);
                    let passed = channels.passed(x, lanes.read(dy), lo, hi);
                    *sum = sum.add(passed);
                    *products = products.add(passed.mul(x.sub(channels.mean).mul(channels.inverse)));
                }
                (x, dy) = (x.wrapping_add(of.row), dy.wrapping_add(of.row));
            }
            for ([products, sum], lanes) in sums.into_iter().zip(&lanes) {
                lanes.write(products, products_to);
                lanes.write(sum, sums_to);
            }
        });
    }
}

/// See [`crate::arch::Isa::norm_input_f32`].
#[inline(always)]
pub unsafe fn input<V: Vector>(seen: &Normalised<'_>, count: f32, dgamma: &[f32], dbeta: &[f32], dy: &mut [f32]) {
    let channels = dgamma.len();
    let rows = seen.x.len().min(dy.len()).checked_div(channels);
    let Some(rows) = rows.filter(|_| covers(seen, channels) && dbeta.len() >= channels) else {
        return scalar::norm_input_f32(seen, count, dgamma, dbeta, dy);
    };
    // SAFETY: as in `gradients`.
    unsafe {
        let (lo, hi, count) = (V::splat(seen.lo), V::splat(seen.hi), V::splat(count));
        each_strip!(V, 0, channels, |lanes, VECTORS| {
            let of: [Channels<V>; VECTORS] = lanes.map(|lanes| Channels::of(seen, lanes));
            let term: [V; VECTORS] = lanes.map(|lanes| lanes.load(dbeta).div(count));
            let slope: [V; VECTORS] = lanes.map(|lanes| lanes.load(seen.inverse).mul(lanes.load(dgamma).div(count)));
            let (mut x, mut dy) = (seen.x.as_ptr(), dy.as_mut_ptr());
            for _ in 0..rows {
                for (((of, term), slope), lanes) in of.iter().zip(&term).zip(&slope).zip(&lanes) {
                    let x = lanes.read(x);
                    let passed = of.passed(x, lanes.read(dy), lo, hi);
                    let inner = passed.sub(*term).sub(x.sub(of.mean).mul(*slope));
                    lanes.write(of.scale.mul(inner), dy);
                }
                (x, dy) = (x.wrapping_add(channels), dy.wrapping_add(channels));
            }
        });
    }
}
