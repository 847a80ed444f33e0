//! Where things lie in the workspace.

use std::path::PathBuf;

/// The workspace's root folder.
///
/// Cargo tells where this package lies when it runs it, which stays right when the folder has moved since the build.
pub fn root() -> PathBuf {
    let package =
        std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    match package.parent() {
        Some(root) => root.to_path_buf(),
        None => package,
    }
}

/// Where the firmware builds go; a folder of its own, so that host and board builds do not evict each other.
pub fn firmware_target() -> PathBuf {
    root().join("target/firmware")
}

/// Where programs go that do not carry everything: each build there replaces the one before.
pub fn lean_target() -> PathBuf {
    root().join("target/lean")
}

/// Where fuzzing builds, begins and ends.
pub fn fuzz_target() -> PathBuf {
    root().join("target/fuzz")
}

/// Where a private QEMU is unpacked when the system has none.
pub fn private_qemu() -> PathBuf {
    root().join("target/qemu")
}

/// The list of boards, which `firmware`, `sizes`, `qemu` and the host tools share.
pub fn boards_manifest() -> PathBuf {
    root().join("firmware/boards/boards.toml")
}

/// Test data that is too large for the repository; absent on a bare clone.
pub fn shared_data() -> PathBuf {
    root().join("../shared/data")
}
