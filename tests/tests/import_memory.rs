//! No file makes an importer take more than sixteen times its size and 64 MB.
//!
//! One test alone in its process: the allocator counts what everybody takes.

use embernet::import::tflite;
use embernet_core::rng::Rng;
use embernet_tests::{robust, shared};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Bytes taken at most while `work` ran, beyond what was taken before.
fn peak(work: impl FnOnce()) -> usize {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    work();
    MEMORY.peak_usage().saturating_sub(before)
}

fn limit(file: usize) -> usize {
    16 * file + (64 << 20)
}

#[test]
fn files_cannot_ask_for_more_memory_than_their_size_allows() {
    let Some(folder) = shared::dir("the importers' memory", "models") else { return };
    let mut originals: Vec<Vec<u8>> = std::fs::read_dir(folder)
        .expect("the folder can be read")
        .flatten()
        .filter_map(|entry| std::fs::read(entry.path().join("model.tflite")).ok())
        .collect();
    originals.sort();
    assert!(!originals.is_empty());
    let mut rng = Rng::new(8);
    let mut most = 0.0f64;
    for original in &originals {
        let taken = peak(|| drop(tflite::from_bytes(original).expect("a good model")));
        most = most.max(taken as f64 / original.len() as f64);
        assert!(taken <= limit(original.len()), "{taken} bytes for a file of {}", original.len());
        for _ in 0..300 {
            let mut mutant = original.clone();
            robust::mutate_words(&mut mutant, &mut rng);
            let taken = peak(|| drop(tflite::from_bytes(&mutant)));
            assert!(taken <= limit(mutant.len()), "{taken} bytes for a file of {}", mutant.len());
        }
    }
    println!("good models take at most {most:.1} times their size");
}
