//! Sums over windows.

use super::{Suite, assert_same_bits, on_every_token};
use crate::arch::{Isa, Window};
use crate::rng::Rng;
use std::vec::Vec;

#[derive(Clone, Copy)]
struct Windows;

impl Suite for Windows {
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
    on_every_token(Windows);
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
