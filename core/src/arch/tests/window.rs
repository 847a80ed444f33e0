//! Sums over windows.

use super::{Suite, assert_same_bits, on_every_token};
use crate::arch::{Isa, Scalar, Steps, Window, Windows, scalar};
use crate::rng::Rng;
use std::vec::Vec;

#[derive(Clone, Copy)]
struct Sums;

impl Suite for Sums {
    fn check<I: Isa>(self, isa: I) {
        let mut rng = Rng::new(11);
        let mut noise = |len: usize| -> Vec<f32> { (0..len).map(|_| rng.uniform_f32(-1.0, 1.0)).collect() };
        let (a, b) = (noise(2000), noise(2000));
        for channels in (0..=33_usize).chain([64]) {
            for (rows, columns) in [(0_usize, 3_usize), (3, 0), (1, 1), (3, 2), (2, 5)] {
                for backwards in [false, true] {
                    // The second walk may end where it began and come back from there.
                    let [b_row, b_column] = [5 * channels + 3, channels];
                    let (b_first, b_row, b_column) = if backwards {
                        (rows * b_row + columns * b_column, b_row.wrapping_neg(), b_column.wrapping_neg())
                    } else {
                        (1, b_row, b_column)
                    };
                    let (a_row, a_column) = (7 * channels, channels + 1);
                    let window = Window { rows, columns, a: 2, a_row, a_column, b: b_first, b_row, b_column };
                    let start = noise(channels);
                    let mut expected = start.clone();
                    for (c, y) in expected.iter_mut().enumerate() {
                        for row in 0..rows {
                            for column in 0..columns {
                                let at = |first: usize, r: usize, k: usize| {
                                    first.wrapping_add(row.wrapping_mul(r)).wrapping_add(column.wrapping_mul(k)) + c
                                };
                                *y += a[at(2, a_row, a_column)] * b[at(b_first, b_row, b_column)];
                            }
                        }
                    }
                    let mut found = start;
                    isa.window_f32(&window, &a, &b, &mut found);
                    assert_same_bits(&found, &expected, &std::format!("{} {window:?}", I::ID.name()));
                }
            }
        }
    }
}

#[test]
fn every_token_gives_the_defined_bits() {
    on_every_token(Sums);
}

#[derive(Clone, Copy)]
struct Outside;

impl Suite for Outside {
    fn check<I: Isa>(self, isa: I) {
        let mut y = [1.0; 9];
        let window = Window { rows: 2, columns: 2, a: 0, a_row: 9, a_column: 9, b: 0, b_row: 9, b_column: 9 };
        isa.window_f32(&window, &[], &[1.0; 36], &mut y);
        isa.window_f32(&Window { a: usize::MAX / 2, ..window }, &[1.0; 36], &[1.0; 36], &mut y);
        isa.window_f32(&Window { b: usize::MAX / 2, ..window }, &[1.0; 36], &[1.0; 36], &mut y);
        assert_eq!(y, [1.0; 9]);
        isa.window_f32(&Window { rows: usize::MAX, ..window }, &[1.0; 36], &[1.0; 36], &mut y);
        // Places 0, 9; 9, 18; 18, 27; 27, and 36 is outside.
        assert_eq!(y, [8.0; 9], "a walk ends where it leaves its slice");
    }
}

#[test]
fn places_outside_are_no_harm() {
    on_every_token(Outside);
}

#[derive(Clone, Copy)]
struct Neighbours;

impl Suite for Neighbours {
    fn check<I: Isa>(self, isa: I) {
        let mut rng = Rng::new(12);
        let mut noise = |len: usize| -> Vec<f32> { (0..len).map(|_| rng.uniform_f32(-1.0, 1.0)).collect() };
        let (a, b, y) = (noise(6000), noise(1200), noise(2000));
        for channels in (0..=33_usize).chain([64, 130]) {
            for (rows, columns) in [(0, 2), (1, 1), (1, 3), (2, 2), (2, 3), (3, 1), (3, 3), (4, 2)] {
                for (count, backwards) in [(0, false), (1, true), (4, false), (4, true)] {
                    let (b_row, b_column) = (columns * channels, channels);
                    let last = (rows * columns).saturating_sub(1) * channels;
                    let turn = |distance: usize| if backwards { distance.wrapping_neg() } else { distance };
                    let first = Window {
                        rows,
                        columns,
                        a: 3,
                        a_row: 5 * channels + 1,
                        a_column: channels,
                        b: if backwards { last } else { 0 },
                        b_row: turn(b_row),
                        b_column: turn(b_column),
                    };
                    let across = Steps { count, a: 2 * channels, y: channels + 2 };
                    let down = Steps { count: 3 - count / 2, a: 7 * channels + 2, y: 4 * (channels + 2) };
                    let windows = Windows { first, down, across, channels };
                    let what = std::format!("{} {windows:?}", I::ID.name());
                    let (mut found, mut expected) = (y.clone(), y.clone());
                    isa.windows_f32(&windows, &a, &b, &mut found);
                    scalar::windows_f32(Scalar, &windows, &a, &b, &mut expected);
                    assert_same_bits(&found, &expected, &what);
                    let (mut found, mut expected) = (b.clone(), b.clone());
                    isa.windows_backward_f32(&windows, &a, &y, &mut found);
                    scalar::windows_backward_f32(Scalar, &windows, &a, &y, &mut expected);
                    assert_same_bits(&found, &expected, &what);
                    // How far a walk gets that leaves its slice is each token's own affair; no place outside is.
                    isa.windows_f32(&windows, a.get(..200).unwrap_or(&a), &b, &mut found);
                    isa.windows_backward_f32(&windows, a.get(..200).unwrap_or(&a), &y, &mut expected);
                }
            }
        }
    }
}

#[test]
fn neighbouring_windows_are_windows() {
    on_every_token(Neighbours);
}
