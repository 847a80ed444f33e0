//! Sums over windows, a vector of channels at a time. Products are rounded before they are added, as the scalar token
//! does.
//!
//! # Safety
//! Every function needs a processor with `V`'s instructions. Memory is reached only through slices, below their
//! length.

use super::Vector;
use super::loops::for_each;
use crate::arch::{Window, Windows};

/// See [`crate::arch::Isa::window_f32`].
#[inline(always)]
pub unsafe fn window<V: Vector>(window: &Window, a: &[f32], b: &[f32], y: &mut [f32]) {
    // Sums that are in the making at a time: enough to hide the latency of an addition.
    const VECTORS: usize = 4;
    let mut channel = 0;
    // SAFETY: instructions as the caller says; `each` has looked at the ends of what is read, and `y` holds the
    // channels that are written.
    unsafe {
        while channel < y.len() {
            let channels = (y.len() - channel).min(VECTORS * V::LANES);
            let to = y.as_mut_ptr().add(channel);
            match channels.div_ceil(V::LANES) {
                1 => strip::<V, 1>(window, channel, channels, a, b, to),
                2 => strip::<V, 2>(window, channel, channels, a, b, to),
                3 => strip::<V, 3>(window, channel, channels, a, b, to),
                _ => strip::<V, VECTORS>(window, channel, channels, a, b, to),
            }
            channel += channels;
        }
    }
}

/// [`window`] for some neighbouring channels: `VECTORS` vectors, of which the last may be cut short.
///
/// # Safety
/// As [`window`]; `y` is valid for `channels` floats.
#[inline(always)]
unsafe fn strip<V: Vector, const VECTORS: usize>(
    window: &Window,
    channel: usize,
    channels: usize,
    a: &[f32],
    b: &[f32],
    y: *mut f32,
) {
    let last = channels - (VECTORS - 1) * V::LANES;
    // SAFETY: a mask covers what is left of the channels; places are compared with the slices' ends.
    unsafe {
        let mask = V::mask(last);
        let load = |from: *const f32, vector: usize| {
            let from = from.add(vector * V::LANES);
            if vector + 1 < VECTORS || last == V::LANES { V::load(from) } else { V::load_masked(from, mask) }
        };
        let mut sums = [V::splat(0.0); VECTORS];
        for (vector, sum) in sums.iter_mut().enumerate() {
            *sum = load(y, vector);
        }
        // The last channels that lie within the slices decide how far this strip may walk.
        let inside = |at: usize, len: usize| at.checked_add(channels).is_some_and(|end| end <= len);
        let (mut a_row, mut b_row) = (window.a.wrapping_add(channel), window.b.wrapping_add(channel));
        'walk: for _ in 0..window.rows {
            let (mut a_at, mut b_at) = (a_row, b_row);
            for _ in 0..window.columns {
                if !inside(a_at, a.len()) || !inside(b_at, b.len()) {
                    break 'walk;
                }
                let (a, b) = (a.as_ptr().add(a_at), b.as_ptr().add(b_at));
                for (vector, sum) in sums.iter_mut().enumerate() {
                    *sum = sum.add(load(a, vector).mul(load(b, vector)));
                }
                a_at = a_at.wrapping_add(window.a_column);
                b_at = b_at.wrapping_add(window.b_column);
            }
            a_row = a_row.wrapping_add(window.a_row);
            b_row = b_row.wrapping_add(window.b_row);
        }
        for (vector, sum) in sums.iter().enumerate() {
            let to = y.add(vector * V::LANES);
            if vector + 1 < VECTORS || last == V::LANES { sum.store(to) } else { sum.store_masked(to, mask) }
        }
    }
}

/// Windows between the one whose gradient is added and the one whose places are asked for: as long as memory takes.
const AHEAD: usize = 16;

/// Most rows and columns of a window whose taps stay in registers.
const MOST: usize = 3;

/// Calls a function with a window's rows and columns as constants; gives up where a window is larger.
macro_rules! with_taps {
    ($windows:ident, $function:ident::<$vector:ident>($($argument:expr),*), else $other:expr) => {
        match ($windows.first.rows, $windows.first.columns) {
            (1, 1) => $function::<$vector, 1, 1>($($argument),*),
            (1, 2) => $function::<$vector, 1, 2>($($argument),*),
            (1, 3) => $function::<$vector, 1, 3>($($argument),*),
            (2, 1) => $function::<$vector, 2, 1>($($argument),*),
            (2, 2) => $function::<$vector, 2, 2>($($argument),*),
            (2, 3) => $function::<$vector, 2, 3>($($argument),*),
            (3, 1) => $function::<$vector, 3, 1>($($argument),*),
            (3, 2) => $function::<$vector, 3, 2>($($argument),*),
            (MOST, MOST) => $function::<$vector, 3, 3>($($argument),*),
            _ => $other,
        }
    };
}

/// Whether all places lie in slices of these lengths.
fn fits(windows: &Windows, a: usize, b: usize, y: usize) -> bool {
    let Windows { first, down, across, channels } = *windows;
    let inside = |start: usize, walks: &[(usize, usize)], len: usize| {
        // Distances wrap: one beyond the middle of the numbers goes backwards.
        let (mut low, mut high) = (start as i128, start as i128 + channels as i128);
        for &(count, distance) in walks {
            let reach = (count as i128 - 1).max(0) * distance as isize as i128;
            if reach < 0 { low += reach } else { high += reach }
        }
        low >= 0 && high <= len as i128
    };
    let taps = |row, column| [(first.rows, row), (first.columns, column)];
    let [rows, columns] = taps(first.a_row, first.a_column);
    inside(first.a, &[(down.count, down.a), (across.count, across.a), rows, columns], a)
        && inside(first.b, &taps(first.b_row, first.b_column), b)
        && inside(0, &[(down.count, down.y), (across.count, across.y)], y)
}

/// See [`crate::arch::Isa::windows_f32`].
#[inline(always)]
pub unsafe fn windows<V: Vector>(windows: &Windows, a: &[f32], b: &[f32], y: &mut [f32]) {
    // SAFETY: instructions as the caller says; `fits` has looked at all places.
    unsafe {
        if fits(windows, a.len(), b.len(), y.len()) {
            with_taps!(windows, sweep::<V>(windows, a.as_ptr(), b.as_ptr(), y.as_mut_ptr()), else one_by_one::<V>(windows, a, b, y));
        } else {
            one_by_one::<V>(windows, a, b, y);
        }
    }
}

#[inline(always)]
unsafe fn one_by_one<V: Vector>(windows: &Windows, a: &[f32], b: &[f32], y: &mut [f32]) {
    for (r, k) in (0..windows.down.count).flat_map(|r| (0..windows.across.count).map(move |k| (r, k))) {
        let (one, to) = windows.at(r, k);
        let y = y.get_mut(to..to.wrapping_add(windows.channels)).unwrap_or_default();
        // SAFETY: instructions as the caller says.
        unsafe { window::<V>(&one, a, b, y) };
    }
}

/// Windows of `ROWS x COLUMNS` taps, which stay in registers.
///
/// # Safety
/// As [`windows`]; all places are valid.
#[inline(always)]
unsafe fn sweep<V: Vector, const ROWS: usize, const COLUMNS: usize>(
    windows: &Windows,
    a: *const f32,
    b: *const f32,
    y: *mut f32,
) {
    let Windows { first, down, across, channels } = *windows;
    // SAFETY: the caller's promises; distances wrap, but the places that they lead to are valid.
    unsafe {
        for_each::<V>(
            channels,
            #[inline(always)]
            |lanes| {
                let mut taps = [[V::splat(0.0); COLUMNS]; ROWS];
                for (r, row) in taps.iter_mut().enumerate() {
                    for (k, tap) in row.iter_mut().enumerate() {
                        *tap = lanes.read(b.wrapping_add(place(first.b, r, first.b_row, k, first.b_column)));
                    }
                }
                let (mut a_row, mut y_row) = (a.wrapping_add(first.a), y);
                for _ in 0..down.count {
                    let (mut from, mut to) = (a_row, y_row);
                    for _ in 0..across.count {
                        let mut sum = lanes.read(to);
                        for (r, row) in taps.iter().enumerate() {
                            for (k, tap) in row.iter().enumerate() {
                                let x = lanes.read(from.wrapping_add(place(0, r, first.a_row, k, first.a_column)));
                                sum = sum.add(x.mul(*tap));
                            }
                        }
                        lanes.write(sum, to);
                        (from, to) = (from.wrapping_add(across.a), to.wrapping_add(across.y));
                    }
                    (a_row, y_row) = (a_row.wrapping_add(down.a), y_row.wrapping_add(down.y));
                }
            },
        );
    }
}

/// See [`crate::arch::Isa::windows_backward_f32`].
#[inline(always)]
pub unsafe fn windows_backward<V: Vector>(windows: &Windows, a: &[f32], dy: &[f32], db: &mut [f32]) {
    // SAFETY: instructions as the caller says; `fits` has looked at all places.
    unsafe {
        if fits(windows, a.len(), db.len(), dy.len()) {
            with_taps!(windows, gather::<V>(windows, a.as_ptr(), dy.as_ptr(), db.as_mut_ptr()), else tap_by_tap::<V>(windows, a, dy, db));
        } else {
            tap_by_tap::<V>(windows, a, dy, db);
        }
    }
}

#[inline(always)]
unsafe fn tap_by_tap<V: Vector>(windows: &Windows, a: &[f32], dy: &[f32], db: &mut [f32]) {
    let (rows, columns) = (windows.first.rows, windows.first.columns);
    for (r, k) in (0..rows).flat_map(|r| (0..columns).map(move |k| (r, k))) {
        let (walk, to) = windows.tap(r, k);
        let db = db.get_mut(to..to.wrapping_add(windows.channels)).unwrap_or_default();
        // SAFETY: instructions as the caller says.
        unsafe { window::<V>(&walk, a, dy, db) };
    }
}

/// The gradient of `ROWS x COLUMNS` taps, whose sums stay in registers.
///
/// # Safety
/// As [`windows_backward`]; all places are valid.
#[inline(always)]
unsafe fn gather<V: Vector, const ROWS: usize, const COLUMNS: usize>(
    windows: &Windows,
    a: *const f32,
    dy: *const f32,
    db: *mut f32,
) {
    let Windows { first, down, across, channels } = *windows;
    // SAFETY: as for `sweep`.
    unsafe {
        for_each::<V>(
            channels,
            #[inline(always)]
            |lanes| {
                let to = |r: usize, k: usize| db.wrapping_add(place(first.b, r, first.b_row, k, first.b_column));
                let mut taps = [[V::splat(0.0); COLUMNS]; ROWS];
                for (r, row) in taps.iter_mut().enumerate() {
                    for (k, tap) in row.iter_mut().enumerate() {
                        *tap = lanes.read(to(r, k));
                    }
                }
                let (mut a_row, mut dy_row) = (a.wrapping_add(first.a), dy);
                // Where a thread has some of the channels only, the processor does not guess what it reads next.
                let newest = place(0, ROWS - 1, first.a_row, COLUMNS - 1, first.a_column);
                let newest = newest.wrapping_add(AHEAD.wrapping_mul(across.a));
                for _ in 0..down.count {
                    let (mut from, mut dy) = (a_row, dy_row);
                    for _ in 0..across.count {
                        V::prefetch(from.wrapping_add(newest), 1);
                        V::prefetch(dy.wrapping_add(AHEAD.wrapping_mul(across.y)), 1);
                        let gradient = lanes.read(dy);
                        for (r, row) in taps.iter_mut().enumerate() {
                            for (k, tap) in row.iter_mut().enumerate() {
                                let x = lanes.read(from.wrapping_add(place(0, r, first.a_row, k, first.a_column)));
                                *tap = tap.add(x.mul(gradient));
                            }
                        }
                        (from, dy) = (from.wrapping_add(across.a), dy.wrapping_add(across.y));
                    }
                    (a_row, dy_row) = (a_row.wrapping_add(down.a), dy_row.wrapping_add(down.y));
                }
                for (r, row) in taps.iter().enumerate() {
                    for (k, tap) in row.iter().enumerate() {
                        lanes.write(*tap, to(r, k));
                    }
                }
            },
        );
    }
}

/// `start + r * row + k * column`, wrapping.
#[inline(always)]
fn place(start: usize, r: usize, row: usize, k: usize, column: usize) -> usize {
    start.wrapping_add(r.wrapping_mul(row)).wrapping_add(k.wrapping_mul(column))
}
