//! Counts the memory that an importer takes.

use embernet_tests::robust::most_memory;
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Imports a file and panics if that took more memory than a file of its size may.
pub fn within<T>(bytes: &[u8], import: impl FnOnce(&[u8]) -> T) -> T {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let imported = import(bytes);
    let taken = MEMORY.peak_usage().saturating_sub(before);
    assert!(taken <= most_memory(bytes.len()), "{taken} bytes for a file of {}", bytes.len());
    imported
}
