//! Narrow state: what comes back of a value, and that neither tiles nor passes change a bit.

use super::*;
use crate::arch::Scalar;
use crate::kernels::testing::{bits, noise as values};
use crate::optim::{GradSink, Optimizer, Update};
use crate::rng::Rng;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

const FORMATS: [StateFormat; 2] = [StateFormat::Bf16, StateFormat::Block8];

fn block(format: StateFormat, elements: usize, square: bool) -> Block {
    Block { format, elements, start: 0, slot: usize::from(square), square }
}

fn stored(of: &Block, update: u32, values: &[f32]) -> Vec<f32> {
    let mut slot = vec![0.0; of.format.slot_bytes(values.len()) / 4];
    of.store(update, values, &mut slot);
    let mut back = vec![0.0; values.len()];
    of.load(&slot, &mut back);
    back
}

#[test]
fn layouts() {
    let adam = OptimizerRecord::adam(0.1);
    let bytes = |record: OptimizerRecord, elements| state_bytes(layout(&record).unwrap(), elements);
    assert_eq!([0, 1, 64, 65].map(|n| bytes(adam, n)), [0, 8, 512, 520]);
    assert_eq!([0, 1, 64, 65].map(|n| bytes(adam.with_state(StateFormat::Bf16), n)), [0, 8, 256, 264]);
    assert_eq!([0, 1, 64, 65].map(|n| bytes(adam.with_state(StateFormat::Block8), n)), [0, 8, 136, 136]);
    assert_eq!(bytes(OptimizerRecord::sgd(0.1).with_passes(2), 5), 20);
    assert_eq!(bytes(adam.with_state(StateFormat::Block8).with_passes(9), 64), 136 + 256);
    assert_eq!(layout(&OptimizerRecord { state: 3, ..adam }), None);
    assert_eq!(layout(&adam.with_passes(0)), None);
    assert!(
        is_layout(layout(&adam.with_passes(7)).unwrap()) && !is_layout(5) && !is_layout(0x300) && !is_layout(1 << 17)
    );
    assert!(state_bytes(u32::MAX, usize::MAX) == usize::MAX);
}

proptest! {
    /// A value comes back as one of its two neighbours: an eighth of its power of two apart in 8 bits, a 128th in 16.
    #[test]
    fn values_come_back_rounded(seed: u64, update: u32, count in 1..=BLOCK, scale in -60i32..60) {
        let mut rng = Rng::new(seed);
        let scale = 2f32.powi(scale);
        for format in FORMATS {
            for square in [false, true] {
                let values: Vec<f32> = values(&mut rng, count).iter()
                    .map(|v| if square { v * v * scale } else { v * scale }).collect();
                let greatest = values.iter().fold(0.0f32, |most, v| most.max(v.abs()));
                let back = stored(&block(format, count, square), update, &values);
                for (value, back) in values.iter().zip(back) {
                    // The greatest values have no upper neighbour.
                    let (step, least) = match format {
                        StateFormat::Bf16 => (1.0 / 128.0, 0.0),
                        _ => (1.0 / 8.0, greatest * if square { 2f32.powi(-31) } else { 2f32.powi(-15) }),
                    };
                    prop_assert!((value - back).abs() <= value.abs() * step + least, "{value} {back} of {greatest}");
                    prop_assert!(back == 0.0 || back.signum() == value.signum());
                    prop_assert!(!square || *value == 0.0 || back > 0.0, "{value}");
                }
            }
        }
    }

    /// Whatever the state holds, an update ends.
    #[test]
    fn any_state_is_some_state(words in proptest::collection::vec(any::<u32>(), 0..80), gradient: f32, count in 1usize..140) {
        for format in FORMATS {
            let settings = OptimizerRecord::adam(0.1).with_state(format);
            let mut state: Vec<f32> = words.iter().map(|w| f32::from_bits(*w)).collect();
            let mut w = vec![1.0; count];
            let optimizer = &Optimizer::at_step(settings, 3);
            Update { isa: Scalar, optimizer, w: &mut w[..], state: &mut state }.gradient(&vec![gradient; count]);
        }
    }
}

#[test]
fn zeros_stay_and_means_are_right() {
    for format in FORMATS {
        assert_eq!(bits(&stored(&block(format, 2, false), 1, &[0.0, 1.0])), bits(&[0.0, 1.0]));
        // Between two neighbours; rounded in 4,000 updates. The mean of so many throws is within a 50th of the
        // neighbours' distance, which is an eighth at most.
        let value = 1.3;
        let mean =
            (0..4000).map(|update| f64::from(stored(&block(format, 1, false), update, &[value])[0])).sum::<f64>()
                / 4000.0;
        assert!((mean - f64::from(value)).abs() < 0.0025, "{mean}");
    }
}

fn all() -> Vec<OptimizerRecord> {
    let rules = [OptimizerRecord::momentum(0.05, 0.9, true), OptimizerRecord::adam(0.01)];
    rules.into_iter().flat_map(|rule| FORMATS.map(|format| rule.with_state(format))).collect()
}

/// Ten updates of so many parameters, gradients in such tiles.
fn run(settings: OptimizerRecord, count: usize, tile: usize) -> (Vec<u32>, Vec<u32>) {
    let mut rng = Rng::new(4);
    let mut w = values(&mut rng, count);
    let mut state = vec![0.0; state_bytes(layout(&settings).unwrap(), count) / 4];
    for step in 1..=10 {
        let gradient = values(&mut rng, count);
        let optimizer = &Optimizer::at_step(settings, step);
        let update = Update { isa: Scalar, optimizer, w: &mut w[..], state: &mut state };
        update.whole(&mut vec![0.0; BLOCK + tile], |room, part| {
            assert_eq!(room.len(), tile);
            for (index, piece) in gradient.chunks(tile).enumerate() {
                part.tile(index * tile, piece);
            }
        });
    }
    (bits(&w), bits(&state))
}

#[test]
fn tiles_do_not_change_bits() {
    for settings in all() {
        for count in [1, 63, 64, 65, 200] {
            let whole = run(settings, count, count);
            for tile in [1, 2, 7, 63, 64, 65, 100, 128] {
                assert!(run(settings, count, tile) == whole, "{settings:?}: {count} in tiles of {tile}");
            }
        }
    }
}

/// Each format finds the bottom of a bowl, and stays within a few of its own roundings of what f32 does.
#[test]
fn narrow_state_goes_downhill() {
    for settings in all() {
        let descend = |settings: OptimizerRecord| {
            let mut rng = Rng::new(3);
            let mut w = values(&mut rng, 150);
            let mut state = vec![0.0; state_bytes(layout(&settings).unwrap(), w.len()) / 4];
            for step in 1..=400 {
                let gradient: Vec<f32> = w.iter().map(|w| 2.0 * w).collect();
                let optimizer = &Optimizer::at_step(settings, step);
                Update { isa: Scalar, optimizer, w: &mut w[..], state: &mut state }.gradient(&gradient);
            }
            w.iter().map(|w| w * w).sum::<f32>()
        };
        let (narrow, plain) = (descend(settings), descend(settings.with_state(StateFormat::F32)));
        assert!(narrow < 0.01 + 2.0 * plain, "{settings:?}: {narrow} against {plain}");
    }
}

#[test]
fn passes_add_up() {
    let plain = [OptimizerRecord::sgd(0.1), OptimizerRecord::adam(0.01)];
    for settings in plain.into_iter().chain(all()) {
        let mut rng = Rng::new(6);
        let (count, gradients) = (70, [(); 3].map(|()| values(&mut rng, 70)));
        let start = values(&mut rng, count);
        let state = |settings: &OptimizerRecord| vec![0.0; state_bytes(layout(settings).unwrap(), count) / 4];
        // At once.
        let mut sum = vec![0.0; count];
        gradients.iter().for_each(|g| sum.iter_mut().zip(g).for_each(|(sum, g)| *sum += g));
        let (mut w, mut expected_state) = (start.clone(), state(&settings));
        let optimizer = &Optimizer::at_step(settings, 1);
        Update { isa: Scalar, optimizer, w: &mut w[..], state: &mut expected_state }.gradient(&sum);
        // In three passes: by a kernel that goes on from what was left, and by one that knows its own pass only.
        let settings = settings.with_passes(3);
        for by_tiles in [true, false] {
            let (mut found, mut state) = (start.clone(), state(&settings));
            for (pass, gradient) in gradients.iter().enumerate() {
                let mut optimizer = Optimizer::at_step(settings, 1);
                (optimizer.first, optimizer.last) = (pass == 0, pass == 2);
                let update = Update { isa: Scalar, optimizer: &optimizer, w: &mut found[..], state: &mut state };
                if !by_tiles {
                    update.gradient(gradient);
                    continue;
                }
                update.whole(&mut vec![0.0; BLOCK + 9], |tile, part| {
                    for (index, piece) in gradient.chunks(9).enumerate() {
                        let tile = &mut tile[..piece.len()];
                        part.begin(index * 9, tile);
                        tile.iter_mut().zip(piece).for_each(|(sum, g)| *sum += g);
                        part.tile(index * 9, tile);
                    }
                });
            }
            assert_eq!(bits(&found), bits(&w), "{settings:?}");
            assert_eq!(bits(&state[..expected_state.len()]), bits(&expected_state));
        }
    }
}
