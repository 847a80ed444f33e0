//! What tests of this package share; `embernet_tests::shared` is the same for those that cross packages.

use std::path::{Path, PathBuf};

/// A file or folder of the shared data beside the checkout, or `None` after saying what is skipped.
pub fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: this needs ../shared/data/{name}, which is not here");
    None
}
