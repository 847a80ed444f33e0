//! The greatest elements of a pool's windows, neighbouring channels side by side; without branches, so that it does
//! not matter which element is the greatest. Nothing is rounded, so every token gives the scalar bits.
//!
//! # Safety
//! As for [`super::loops`].

use super::Vector;
use super::loops::for_each;
use crate::arch::{Patch, scalar};

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
                        greatest = greatest.max(lanes.read(first.add(r * patch.row + k * channels)));
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
                        let x = lanes.read(first.add(r * patch.row + k * channels));
                        let greater = x.greater(greatest);
                        greatest = x.select(greatest, greater);
                        found = V::splat((r * columns + k) as f32).select(found, greater);
                    }
                }
                let dy = lanes.load(dy);
                for r in 0..rows {
                    for k in 0..columns {
                        let to = to.add(r * patch.row + k * channels);
                        let (dx, here) = (lanes.read(to), found.equal(V::splat((r * columns + k) as f32)));
                        lanes.write(dx.add(dy).select(dx, here), to);
                    }
                }
            }
        ));
    }
}
