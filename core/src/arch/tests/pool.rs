//! Greatest elements of a pool's windows.

use super::{Guarded, Suite, assert_same_bits, awkward, on_every_token};
use crate::arch::{Isa, Patch, Pools};
use crate::math;
use crate::rng::Rng;
use std::vec::Vec;

/// Few different values, so that a window often holds its greatest one several times; now and then an awkward one.
fn repeating(rng: &mut Rng, i: usize) -> f32 {
    if rng.below(8) == 0 { awkward(i, rng) } else { rng.below(3) as f32 }
}

#[derive(Clone, Copy)]
struct Windows;

impl Suite for Windows {
    fn check<I: Isa>(self, isa: I) {
        let mut rng = Rng::new(12);
        for channels in 0..=130_usize {
            for (rows, columns, gap) in [(1_usize, 1_usize, 1), (2, 2, 1), (2, 1, 1), (3, 2, 1), (2, 5, 1), (2, 2, 3)] {
                let column = gap * channels;
                let patch = Patch { rows, columns, at: 3, row: (columns + 1) * column, column };
                let len = patch.at + (rows - 1) * patch.row + (columns - 1) * column + channels;
                let x = Guarded::new(len, channels % 5, |i| repeating(&mut rng, i));
                let dy: Vec<f32> = (0..channels).map(|i| awkward(i, &mut rng)).collect();
                let mut y = Guarded::new(channels, 1, |_| 7.0);
                let mut dx = Guarded::new(len, channels % 3, |i| repeating(&mut rng, i));
                let (mut greatest, mut gradient) = (std::vec![7.0; channels], dx.get().to_vec());
                for c in 0..channels {
                    let places = (0..rows).flat_map(|r| (0..columns).map(move |k| (r, k)));
                    let places = places.map(|(r, k)| patch.at + r * patch.row + k * column + c);
                    let first = places.reduce(|best, at| if x.get()[at] > x.get()[best] { at } else { best });
                    let first = first.unwrap();
                    greatest[c] = x.get()[first];
                    gradient[first] += dy[c];
                }
                let what = std::format!("{} {patch:?}, {channels} channels", I::ID.name());
                isa.greatest_f32(&patch, x.get(), y.get_mut());
                assert_same_bits(y.get(), &greatest, &what);
                y.assert_guards(&what);
                isa.add_to_greatest_f32(&patch, x.get(), &dy, dx.get_mut());
                assert_same_bits(dx.get(), &gradient, &what);
                dx.assert_guards(&what);
            }
        }
    }
}

#[test]
fn every_token_finds_the_first_greatest() {
    on_every_token(Windows);
}

#[derive(Clone, Copy)]
struct Outside;

impl Suite for Outside {
    fn check<I: Isa>(self, isa: I) {
        let patch = Patch { rows: 2, columns: 2, at: 0, row: 18, column: 9 };
        let far = [
            Patch { at: usize::MAX - 3, ..patch },
            Patch { row: usize::MAX / 2, ..patch },
            Patch { column: usize::MAX, ..patch },
        ];
        for patch in far.into_iter().chain([patch]) {
            let (mut y, mut dx) = ([1.0; 9], [1.0; 20]);
            isa.greatest_f32(&patch, &[], &mut y);
            assert_eq!(y, [1.0; 9]);
            isa.add_to_greatest_f32(&patch, &[], &[2.0; 9], &mut dx);
            assert!(dx.iter().all(|dx| [1.0, 3.0].contains(dx)));
        }
    }
}

#[test]
fn places_outside_are_no_harm() {
    on_every_token(Outside);
}

#[derive(Clone, Copy)]
struct SideBySide;

impl Suite for SideBySide {
    fn check<I: Isa>(self, isa: I) {
        let mut rng = Rng::new(13);
        for channels in 0..=130_usize {
            for (rows, columns, count) in [(1_usize, 1_usize, 3_usize), (2, 2, 2), (2, 1, 1), (3, 2, 3), (2, 2, 0)] {
                let row = (columns * count + 1) * channels;
                let pools = Pools { rows, columns, count, channels, row };
                let len = (rows - 1) * row + columns * count * channels;
                let x = Guarded::new(len, channels % 5, |i| repeating(&mut rng, i));
                let dy = Guarded::new(count * channels, 2, |i| awkward(i, &mut rng));
                let (lo, hi) = (0.0, [f32::INFINITY, 2.0][channels % 2]);
                let mut y = Guarded::new(count * channels, 1, |_| 7.0);
                let mut places = Guarded::new(count * channels, 4, |_| 7.0);
                let mut dx = Guarded::new(len, channels % 3, |_| 7.0);
                let mut sums = Guarded::new(channels, 3, |i| i as f32);
                let (mut expected, mut found) = (std::vec![7.0; y.len], std::vec![7.0; y.len]);
                let (mut gradient, mut total) = (dx.get().to_vec(), sums.get().to_vec());
                for (i, c) in (0..count).flat_map(|i| (0..channels).map(move |c| (i, c))) {
                    let pixels = (0..rows).flat_map(|r| (0..columns).map(move |k| (r, k)));
                    let at = |(r, k): (usize, usize)| r * row + (i * columns + k) * channels + c;
                    let (output, pixels) = (i * channels + c, pixels.map(at).collect::<Vec<_>>());
                    let first = (1..pixels.len()).fold(0, |best, pixel| {
                        if x.get()[pixels[pixel]] > x.get()[pixels[best]] { pixel } else { best }
                    });
                    let y = math::clamp(x.get()[pixels[first]], lo, hi);
                    let inside = lo < y && y < hi;
                    (expected[output], found[output]) = (y, if inside { first as f32 } else { -1.0 });
                    for (pixel, &at) in pixels.iter().enumerate() {
                        gradient[at] = if inside && pixel == first { dy.get()[output] } else { 0.0 };
                    }
                    total[c] += if inside { dy.get()[output] } else { 0.0 };
                }
                let what = std::format!("{} {pools:?}", I::ID.name());
                isa.pool_f32(&pools, lo, hi, x.get(), y.get_mut(), &mut []);
                assert_same_bits(y.get(), &expected, &what);
                isa.pool_f32(&pools, lo, hi, x.get(), y.get_mut(), places.get_mut());
                assert_same_bits(y.get(), &expected, &what);
                assert_same_bits(places.get(), &found, &what);
                isa.unpool_f32(&pools, dy.get(), places.get(), dx.get_mut(), sums.get_mut());
                assert_same_bits(dx.get(), &gradient, &what);
                assert_same_bits(sums.get(), &total, &what);
                [y, places, dx, sums].iter().for_each(|guarded| guarded.assert_guards(&what));
            }
        }
    }
}

#[test]
fn every_token_pools_side_by_side() {
    on_every_token(SideBySide);
}
