//! No file makes an importer take more than sixteen times its size and 64 MB.
//!
//! One test alone in its process: the allocator counts what everybody takes.

use embernet::import::{onnx, tflite};
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

/// The files of this name among the shared models.
fn models(name: &str) -> Vec<Vec<u8>> {
    let Some(folder) = shared::dir("the importers' memory", "models") else { return Vec::new() };
    let entries = std::fs::read_dir(folder).expect("the folder can be read").flatten();
    let mut files: Vec<Vec<u8>> = entries.filter_map(|entry| std::fs::read(entry.path().join(name)).ok()).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

/// Imports good files and damaged ones.
fn stays_within_bounds(originals: &[Vec<u8>], import: impl Fn(&[u8]) -> bool) {
    let mut rng = Rng::new(8);
    let mut most = 0.0f64;
    for original in originals {
        let taken = peak(|| assert!(import(original), "a good model"));
        most = most.max(taken as f64 / original.len() as f64);
        assert!(taken <= limit(original.len()), "{taken} bytes for a file of {}", original.len());
        for _ in 0..300 {
            let mut mutant = original.clone();
            robust::mutate_words(&mut mutant, &mut rng);
            let taken = peak(|| _ = import(&mutant));
            assert!(taken <= limit(mutant.len()), "{taken} bytes for a file of {}", mutant.len());
        }
    }
    println!("good models take at most {most:.1} times their size");
}

#[test]
fn files_cannot_ask_for_more_memory_than_their_size_allows() {
    stays_within_bounds(&models("model.tflite"), |bytes| tflite::from_bytes(bytes).is_ok());
    let onnx = |bytes: &[u8]| onnx::from_bytes(bytes, &Default::default()).is_ok();
    stays_within_bounds(&models("model.onnx"), onnx);
    // Empty nodes, two bytes each, in a graph of 8 MB.
    let nodes: Vec<u8> = [0x0a, 0].repeat(4 << 20);
    let mut bytes = vec![0x08, 8, 0x42, 2, 0x10, 13, 0x3a, 0x80, 0x80, 0x80, 0x04];
    bytes.extend(nodes);
    let taken = peak(|| assert!(!onnx(&bytes)));
    assert!(taken <= limit(bytes.len()), "{taken} bytes for a file of {}", bytes.len());
}
