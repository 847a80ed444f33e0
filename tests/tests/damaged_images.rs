//! 100,000 damaged images: each is refused with a typed error or runs like any other; no panic, no hang, nothing
//! outside the arena.

use embernet_core::rng::Rng;
use embernet_tests::robust;
use embernet_tests::robust::seeds::trained_images as images;

const ROUNDS: u32 = 100_000;

#[test]
fn whole_images_run() {
    for image in images() {
        assert!(robust::image(&image));
    }
}

#[test]
fn damaged_images_are_refused_or_run() {
    let images = images();
    let mut rng = Rng::new(2026);
    let mut accepted = 0;
    for round in 0..ROUNDS {
        let mut bytes = images[round as usize % images.len()].clone();
        robust::mutate(&mut bytes, &mut rng);
        // Most of the damage is made to look intact, or the checksums would hide all that lies behind them.
        if rng.below(8) != 0 {
            robust::repair_checksums(&mut bytes);
        }
        accepted += u32::from(robust::image(&bytes));
    }
    // Damaged weights and names are still images; damaged structure is not.
    println!("{accepted} of {ROUNDS} damaged images were still sound");
    assert!(accepted > ROUNDS / 20 && accepted < ROUNDS * 19 / 20, "{accepted}");
}
