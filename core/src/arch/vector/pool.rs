//! The greatest elements of a pool's windows, neighbouring channels side by side; without branches, so that it does
//! not matter which element is the greatest. Nothing is rounded, so every token gives the scalar bits.
//!
//! # Safety
//! As for [`super::loops`].

use super::Vector;
use super::loops::for_each;
use crate::arch::{Patch, Pools, scalar};

/// Places are counted in floats, which are exact so far.
const MOST_PLACES: usize = 1 << 24;

/// Calls `body` with rows and columns of the patch: as constants for the most common one, so that its loops unroll.
macro_rules! with_size {
    ($patch:expr, |$rows:ident, $columns:ident| $body:expr) => {
        if ($patch.rows, $patch.columns) == (2, 2) {
            let ($rows, $columns) = (2, 2);
            $body
        } else {
            let ($rows, $columns) = ($patch.rows, $patch.columns);
            $body
        }
    };
}

/// See [`crate::arch::Isa::greatest_f32`].
#[inline(always)]
pub unsafe fn greatest<V: Vector>(patch: &Patch, x: &[f32], y: &mut [f32]) {
    let channels = y.len();
    if !patch.fits(channels, x.len()) {
        return scalar::greatest_f32(patch, x, y);
    }
    // SAFETY: instructions as the caller says; all of the patch lies in `x`, and `y` has a place for every channel.
    unsafe {
        let first = x.as_ptr().add(patch.at);
        with_size!(patch, |rows, columns| for_each::<V>(
            channels,
            #[inline(always)]
            |lanes| {
                let mut greatest = lanes.read(first);
                for r in 0..rows {
                    for k in 0..columns {
                        greatest = greatest.max(lanes.read(first.add(r * patch.row + k * patch.column)));
                    }
                }
                lanes.store(greatest, y);
            }
        ));
    }
}

/// See [`crate::arch::Isa::add_to_greatest_f32`].
#[inline(always)]
pub unsafe fn add_to_greatest<V: Vector>(patch: &Patch, x: &[f32], dy: &[f32], dx: &mut [f32]) {
    let channels = dy.len();
    if !patch.fits(channels, x.len().min(dx.len())) || patch.rows.saturating_mul(patch.columns) > MOST_PLACES {
        return scalar::add_to_greatest_f32(patch, x, dy, dx);
    }
    // SAFETY: instructions as the caller says; all of the patch lies in `x` and in `dx`.
    unsafe {
        let (first, to) = (x.as_ptr().add(patch.at), dx.as_mut_ptr().add(patch.at));
        with_size!(patch, |rows, columns| for_each::<V>(
            channels,
            #[inline(always)]
            |lanes| {
                let (mut greatest, mut found) = (lanes.read(first), V::splat(0.0));
                for r in 0..rows {
                    for k in 0..columns {
                        let x = lanes.read(first.add(r * patch.row + k * patch.column));
                        let greater = x.greater(greatest);
                        greatest = x.select(greatest, greater);
                        found = V::splat((r * columns + k) as f32).select(found, greater);
                    }
                }
                let dy = lanes.load(dy);
                for r in 0..rows {
                    for k in 0..columns {
                        let to = to.add(r * patch.row + k * patch.column);
                        let (dx, here) = (lanes.read(to), found.equal(V::splat((r * columns + k) as f32)));
                        lanes.write(dx.add(dy).select(dx, here), to);
                    }
                }
            }
        ));
    }
}

/// See [`crate::arch::Isa::pool_f32`].
#[inline(always)]
pub unsafe fn pool<V: Vector>(pools: &Pools, lo: f32, hi: f32, x: &[f32], y: &mut [f32], places: &mut [f32]) {
    let outputs = if places.is_empty() { y.len() } else { y.len().min(places.len()) };
    if !pools.fit(x.len(), outputs) || pools.rows.saturating_mul(pools.columns) > MOST_PLACES {
        return scalar::pool_f32(pools, lo, hi, x, y, places);
    }
    let Pools { count, channels, row, .. } = *pools;
    let keeps_places = !places.is_empty();
    // SAFETY: instructions as the caller says; all windows lie in `x`, and their outputs in `y` and `places`.
    unsafe {
        let (lowest, highest, none) = (V::splat(lo), V::splat(hi), V::splat(-1.0));
        with_size!(pools, |rows, columns| for i in 0..count {
            let first = x.as_ptr().add(i * columns * channels);
            let (y, places) = (y.as_mut_ptr().add(i * channels), places.as_mut_ptr().wrapping_add(i * channels));
            for_each::<V>(
                channels,
                #[inline(always)]
                |lanes| {
                    let (mut greatest, mut found) = (lanes.read(first), V::splat(0.0));
                    for r in 0..rows {
                        for k in 0..columns {
                            let x = lanes.read(first.add(r * row + k * channels));
                            let greater = x.greater(greatest);
                            greatest = x.select(greatest, greater);
                            found = V::splat((r * columns + k) as f32).select(found, greater);
                        }
                    }
                    let limited = greatest.max(lowest).min(highest);
                    lanes.write(limited, y);
                    if keeps_places {
                        let above = found.select(none, limited.greater(lowest));
                        lanes.write(above.select(none, highest.greater(limited)), places);
                    }
                },
            );
        });
    }
}

/// See [`crate::arch::Isa::unpool_f32`].
#[inline(always)]
pub unsafe fn unpool<V: Vector>(pools: &Pools, dy: &[f32], places: &[f32], dx: &mut [f32], sums: &mut [f32]) {
    let fit = pools.fit(dx.len(), dy.len().min(places.len())) && pools.channels == sums.len();
    if !fit || pools.rows.saturating_mul(pools.columns) > MOST_PLACES {
        return scalar::unpool_f32(pools, dy, places, dx, sums);
    }
    let Pools { count, channels, row, .. } = *pools;
    // SAFETY: instructions as the caller says; all windows lie in `dx`, their outputs in `dy` and `places`, and `sums`
    // has a place for every channel.
    unsafe {
        let (none, zero) = (V::splat(-1.0), V::splat(0.0));
        with_size!(pools, |rows, columns| for_each::<V>(
            channels,
            #[inline(always)]
            |lanes| {
                let mut sum = lanes.load(sums);
                for i in 0..count {
                    let to = dx.as_mut_ptr().add(i * columns * channels);
                    let place = lanes.read(places.as_ptr().add(i * channels));
                    let dy = lanes.read(dy.as_ptr().add(i * channels));
                    sum = sum.add(dy.select(zero, place.greater(none)));
                    for r in 0..rows {
                        for k in 0..columns {
                            let here = place.equal(V::splat((r * columns + k) as f32));
                            lanes.write(dy.select(zero, here), to.add(r * row + k * channels));
                        }
                    }
                }
                lanes.store(sum, sums);
            }
        ));
    }
}
