//! Batch normalisation: sums over rows, one chain for each column.

use crate::arch::{Columns, Normalised};
use crate::kernels::util::{rows, rows_mut};
use crate::math;

/// The elements of the `c`-th of some columns.
#[inline(always)]
fn column(of: Columns, c: usize, x: &[f32]) -> impl Iterator<Item = f32> {
    rows(x, of.row).filter_map(move |row| row.get(of.first.wrapping_add(c)).copied())
}

/// See [`crate::arch::Isa::column_sums_f32`].
pub fn column_sums_f32(of: Columns, x: &[f32], sums: &mut [f32]) {
    for (c, to) in sums.iter_mut().enumerate() {
        let mut sum = *to;
        column(of, c, x).for_each(|x| sum += x);
        *to = sum;
    }
}

/// See [`crate::arch::Isa::column_squares_f32`].
pub fn column_squares_f32(of: Columns, x: &[f32], mean: &[f32], squares: &mut [f32]) {
    for (c, (to, mean)) in squares.iter_mut().zip(mean).enumerate() {
        let mut sum = *to;
        column(of, c, x).for_each(|x| sum += (x - mean) * (x - mean));
        *to = sum;
    }
}

/// See [`crate::arch::Isa::scale_shift_f32`].
pub fn scale_shift_f32(x: Option<&[f32]>, scale: &[f32], shift: &[f32], lo: f32, hi: f32, y: &mut [f32]) {
    let value = |x: f32, scale: f32, shift: f32| math::clamp(x * scale + shift, lo, hi);
    match x {
        Some(x) => {
            for (x, y) in rows(x, scale.len()).zip(rows_mut(y, scale.len())) {
                let factors = x.iter().zip(scale).zip(shift);
                y.iter_mut().zip(factors).for_each(|(y, ((x, scale), shift))| *y = value(*x, *scale, *shift));
            }
        }
        None => {
            for y in rows_mut(y, scale.len()) {
                y.iter_mut().zip(scale).zip(shift).for_each(|((y, scale), shift)| *y = value(*y, *scale, *shift));
            }
        }
    }
}

/// One channel of [`Normalised`].
#[derive(Clone, Copy)]
struct Channel {
    mean: f32,
    inverse: f32,
    scale: f32,
    shift: f32,
    lo: f32,
    hi: f32,
}

impl Channel {
    #[inline(always)]
    fn of(seen: &Normalised<'_>, channel: usize) -> Option<Self> {
        let (mean, inverse) = (*seen.mean.get(channel)?, *seen.inverse.get(channel)?);
        let scale = seen.gamma.get(channel)? * inverse;
        let shift = seen.beta.get(channel)? - mean * scale;
        Some(Self { mean, inverse, scale, shift, lo: seen.lo, hi: seen.hi })
    }

    /// The gradient before the activation.
    #[inline(always)]
    fn passed(&self, x: f32, dy: f32) -> f32 {
        let y = x * self.scale + self.shift;
        if self.lo < y && y < self.hi { dy } else { 0.0 }
    }
}

/// See [`crate::arch::Isa::norm_gradients_f32`].
pub fn norm_gradients_f32(of: Columns, seen: &Normalised<'_>, dy: &[f32], dgamma: &mut [f32], dbeta: &mut [f32]) {
    for (c, (dgamma, dbeta)) in dgamma.iter_mut().zip(dbeta).enumerate() {
        let Some(channel) = Channel::of(seen, of.first.wrapping_add(c)) else { return };
        let (mut products, mut sum) = (*dgamma, *dbeta);
        for (x, dy) in column(of, c, seen.x).zip(column(of, c, dy)) {
            let dy = channel.passed(x, dy);
            sum += dy;
            products += dy * ((x - channel.mean) * channel.inverse);
        }
        (*dgamma, *dbeta) = (products, sum);
    }
}

/// See [`crate::arch::Isa::norm_input_f32`].
pub fn norm_input_f32(seen: &Normalised<'_>, count: f32, dgamma: &[f32], dbeta: &[f32], dy: &mut [f32]) {
    let channels = dgamma.len();
    for (c, (dgamma, dbeta)) in dgamma.iter().zip(dbeta).enumerate() {
        let Some(channel) = Channel::of(seen, c) else { return };
        let (term, slope) = (dbeta / count, channel.inverse * (dgamma / count));
        for (x, dy) in rows(seen.x, channels).zip(rows_mut(dy, channels)) {
            if let (Some(x), Some(dy)) = (x.get(c), dy.get_mut(c)) {
                let passed = channel.passed(*x, *dy);
                *dy = channel.scale * ((passed - term) - (x - channel.mean) * slope);
            }
        }
    }
}
