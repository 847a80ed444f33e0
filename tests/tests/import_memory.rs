//! No file makes an importer take more than sixteen times its size and 64 MB, or panic; and what becomes of a damaged
//! file packs and runs, or is refused.
//!
//! One test at a time: the allocator counts what everybody takes.

use embernet::graph::Graph;
use embernet_core::rng::Rng;
use embernet_tests::robust::most_memory;
use embernet_tests::{robust, shared};
use peak_alloc::PeakAlloc;
use std::sync::Mutex;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

static ALONE: Mutex<()> = Mutex::new(());

/// Bytes taken at most while `work` ran, beyond what was taken before.
fn peak(work: impl FnOnce()) -> usize {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    work();
    MEMORY.peak_usage().saturating_sub(before)
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

/// An importer.
type Import = fn(&[u8]) -> Option<Graph>;

/// Imports good files and so many damaged ones of each; runs what is still a model.
fn stays_within_bounds(originals: &[Vec<u8>], mutants: usize, import: Import) {
    let mut rng = Rng::new(8);
    let (mut most, mut accepted) = (0.0f64, 0);
    for original in originals {
        let taken = peak(|| assert!(import(original).is_some(), "a good model"));
        most = most.max(taken as f64 / original.len() as f64);
        assert!(taken <= most_memory(original.len()), "{taken} bytes for a file of {}", original.len());
        for number in 0..mutants {
            let mut mutant = original.clone();
            match number % 2 {
                0 => robust::mutate_words(&mut mutant, &mut rng),
                _ => robust::mutate(&mut mutant, &mut rng),
            }
            let mut graph = None;
            let taken = peak(|| graph = import(&mutant));
            assert!(taken <= most_memory(mutant.len()), "{taken} bytes for a file of {}", mutant.len());
            accepted += usize::from(graph.is_some());
            graph.iter().for_each(robust::graph);
        }
    }
    let count = mutants * originals.len();
    println!("good models take at most {most:.1} times their size; {accepted} of {count} mutants were models");
}

/// Of every shared model, and of every seed that a fuzz target begins with: so many of each, as their number says.
fn mutants(of_model: usize, of_seed: fn(usize) -> usize) {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    stays_within_bounds(&models("model.tflite"), of_model, robust::tflite);
    stays_within_bounds(&models("model.onnx"), of_model, robust::onnx);
    let kinds: [(&str, Import); 3] =
        [("tflite", robust::tflite), ("onnx", robust::onnx), ("safetensors", robust::safetensors)];
    for (target, import) in kinds {
        let mut seeds = robust::seeds::of(target);
        seeds.retain(|bytes| import(bytes).is_some());
        stays_within_bounds(&seeds, of_seed(seeds.len()), import);
    }
}

#[test]
fn files_cannot_ask_for_more_memory_than_their_size_allows() {
    mutants(100, |_| 10);
}

#[test]
#[ignore = "minutes: 50,000 mutants of each kind of file"]
fn fifty_thousand_mutants_of_every_kind_cannot_either() {
    mutants(1000, |seeds| 50_000usize.div_ceil(seeds));
}

#[test]
fn many_empty_nodes_are_out_of_proportion() {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    // Empty nodes, two bytes each, in a graph of 8 MB.
    let nodes: Vec<u8> = [0x0a, 0].repeat(4 << 20);
    let mut bytes = vec![0x08, 8, 0x42, 2, 0x10, 13, 0x3a, 0x80, 0x80, 0x80, 0x04];
    bytes.extend(nodes);
    let taken = peak(|| assert!(robust::onnx(&bytes).is_none()));
    assert!(taken <= most_memory(bytes.len()), "{taken} bytes for a file of {}", bytes.len());
}
