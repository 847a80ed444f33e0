//! Targets other than this PC's for the rustc in use.

use crate::tools;
use std::path::Path;
use std::process::Command;

/// Every target that a board or a build of core alone needs.
pub const TARGETS: [&str; 7] = [
    "thumbv6m-none-eabi",
    "thumbv7m-none-eabi",
    "thumbv7em-none-eabihf",
    "thumbv8m.main-none-eabihf",
    "riscv32imc-unknown-none-elf",
    "riscv32imac-unknown-none-elf",
    HOST_ARM,
];

/// The PC with another processor: what its inner loops are checked for.
pub const HOST_ARM: &str = "aarch64-unknown-linux-gnu";

/// Targets that could not be got.
#[derive(Debug)]
pub struct Lack {
    pub targets: Vec<&'static str>,
    pub line: String,
}

/// Adds the missing targets to the toolchain that runs us, never to another one.
pub fn ensure() -> Result<String, Lack> {
    let sysroot =
        tools::sysroot().map_err(|error| Lack { targets: TARGETS.to_vec(), line: format!("targets: {error:#}") })?;
    let name = toolchain(&sysroot);
    let shown = name.unwrap_or("this Rust");
    let missing = missing_in(&sysroot);
    if missing.is_empty() {
        return Ok(format!("all {} there ({shown})", TARGETS.len()));
    }

    let list = missing.join(" ");
    let Some(name) = name else {
        let line = format!(
            "targets: {list}: the Rust in {} was not installed by rustup; \
             get them from where it came from, or use rustup",
            sysroot.display()
        );
        return Err(Lack { targets: missing, line });
    };
    eprintln!("targets  adding {list} to {name}");
    let mut command = Command::new("rustup");
    command.args(["target", "add", "--toolchain", name]).args(&missing);
    let problem = tools::output(&mut command).err();
    let still = missing_in(&sysroot);
    if still.is_empty() {
        return Ok(format!("added {} ({name})", missing.len()));
    }
    let why = problem.map_or_else(|| "rustup did not bring them".to_owned(), |error| format!("{error:#}"));
    let line = format!("targets: {why}; to get them: rustup target add --toolchain {name} {}", still.join(" "));
    Err(Lack { targets: still, line })
}

/// The rustup toolchain that a sysroot belongs to: it lies in `…/toolchains/NAME`.
fn toolchain(sysroot: &Path) -> Option<&str> {
    let within = sysroot.parent()?.file_name()?;
    (within == "toolchains").then_some(())?;
    sysroot.file_name()?.to_str()
}

/// A target is there when its library folder holds a `core`.
fn missing_in(sysroot: &Path) -> Vec<&'static str> {
    let has_core = |target: &str| {
        let lib = sysroot.join("lib/rustlib").join(target).join("lib");
        let Ok(entries) = lib.read_dir() else {
            return false;
        };
        entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
    };
    TARGETS.into_iter().filter(|target| !has_core(target)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toolchains_are_named_by_their_folder() {
        assert_eq!(toolchain(Path::new("/r/toolchains/stable-x86_64")), Some("stable-x86_64"));
        assert_eq!(toolchain(Path::new("/usr")), None);
        assert_eq!(toolchain(Path::new("/")), None);
    }

    #[test]
    fn a_target_needs_its_core_library() {
        let sysroot = tempfile::tempdir().unwrap();
        assert_eq!(missing_in(sysroot.path()), TARGETS);
        let lib = sysroot.path().join("lib/rustlib/thumbv6m-none-eabi/lib");
        std::fs::create_dir_all(&lib).unwrap();
        assert_eq!(missing_in(sysroot.path()).len(), TARGETS.len(), "an empty folder is not a target");
        std::fs::write(lib.join("libcore-0123.rlib"), "").unwrap();
        assert_eq!(missing_in(sysroot.path()), TARGETS[1..]);
    }
}
