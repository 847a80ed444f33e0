//! Greatest elements of a pool's windows.

use super::{Guarded, Suite, assert_same_bits, awkward, on_every_token};
use crate::arch::{Isa, Patch};
use crate::rng::Rng;
use std::vec::Vec;

/// Few different values, so that a window often holds its greatest one several times; now and then an awkward one.
fn repeating(rng: &mut Rng, i: usize) -> f32 {
    if rng.below(8) == 0 { awkward(i, rng) } else { rng.below(3) as f32 }
}

#[derive(Clone, Copy)]
struct Pools;

impl Suite for Pools {
    fn check<I: Isa>(self, isa: I) {
        let mut rng = Rng::new(12);
        for channels in 0..=130_usize {
            for (rows, columns) in [(1_usize, 1_usize), (2, 2), (2, 1), (3, 2), (2, 5)] {
                let patch = Patch { rows, columns, at: 3, row: (columns + 1) * channels };
                let len = patch.at + (rows - 1) * patch.row + columns * channels;
                let x = Guarded::new(len, channels % 5, |i| repeating(&mut rng, i));
                let dy: Vec<f32> = (0..channels).map(|i| awkward(i, &mut rng)).collect();
                let mut y = Guarded::new(channels, 1, |_| 7.0);
                let mut dx = Guarded::new(len, channels % 3, |i| repeating(&mut rng, i));
                let (mut greatest, mut gradient) = (std::vec![7.0; channels], dx.get().to_vec());
                for c in 0..channels {
                    let places = (0..rows).flat_map(|r| (0..columns).map(move |k| (r, k)));
                    let places = places.map(|(r, k)| patch.at + r * patch.row + k * channels + c);
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
    on_every_token(Pools);
}

#[derive(Clone, Copy)]
struct Outside;

impl Suite for Outside {
    fn check<I: Isa>(self, isa: I) {
        let patch = Patch { rows: 2, columns: 2, at: 0, row: 18 };
        let far = [Patch { at: usize::MAX - 3, ..patch }, Patch { row: usize::MAX / 2, ..patch }];
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
