//! The shared data that lies beside the checkout: models with golden outputs, operator vectors, training traces.
//!
//! A user's checkout has none. Tests ask [`dir`] and return early; what was skipped is printed, and
//! `cargo xtask test` says so once more.

use std::path::{Path, PathBuf};

/// The workspace's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests' folder lies in the workspace")
}

/// `../shared/data/PATH`, or `None` after saying that `test` is skipped.
pub fn dir(test: &str, path: &str) -> Option<PathBuf> {
    let dir = root().join("../shared/data").join(path);
    if dir.is_dir() {
        return Some(dir);
    }
    eprintln!("skipped: {test} needs ../shared/data/{path}, which is not here");
    None
}

/// Reads a `.npy` file.
///
/// # Panics
/// If it is missing or damaged: the data is part of the test.
pub fn npy(path: &Path) -> embernet::data::Array {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    embernet::data::npy::parse(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
