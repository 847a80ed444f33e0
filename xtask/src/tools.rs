//! The programs that xtask starts.

use crate::paths;
use anyhow::{Context, Result, bail};
use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The cargo that started us, in the workspace's root.
///
/// Under rustup this is the toolchain that the caller chose (`cargo +name xtask …` included).
pub fn cargo() -> Command {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command.current_dir(paths::root());
    // What cargo set for running xtask itself says nothing about the child's packages,
    // and would make it rebuild whatever looks at these variables.
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            command.env_remove(name);
        }
    }
    command
}

/// The sysroot of the rustc that `cargo` uses: the same lookup that cargo does.
pub fn sysroot() -> Result<PathBuf> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
    let output = output(Command::new(rustc).args(["--print", "sysroot"]).current_dir(paths::root()))?;
    Ok(PathBuf::from(output.trim()))
}

/// The full path of a program on PATH.
pub fn find(program: &str) -> Option<PathBuf> {
    find_in(&env::var_os("PATH")?, program)
}

fn find_in(path: &OsStr, program: &str) -> Option<PathBuf> {
    env::split_paths(path).map(|dir| dir.join(program)).find(|candidate| is_program(candidate))
}

#[cfg(unix)]
pub fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
pub fn is_program(path: &Path) -> bool {
    path.is_file()
}

/// Whether we may install system packages.
pub fn is_root() -> bool {
    let id = Command::new("id").arg("-u").stderr(Stdio::null()).output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// How a command looks when typed, for messages.
pub fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Runs a command quietly and returns its standard output; the error carries the line of its complaint that says most.
pub fn output(command: &mut Command) -> Result<String> {
    let name = brief(command);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{name}`"))?;
    if !output.status.success() {
        bail!("{name}: {}", complaint(&output));
    }
    String::from_utf8(output.stdout).with_context(|| format!("{name} printed something that is not UTF-8"))
}

/// A command's program and first argument, such as `apt-get update`.
fn brief(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = std::iter::once(program).chain(command.get_args().take(1));
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn complaint(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines.clone().find(|line| line.starts_with("E:") || line.starts_with("error"));
    line.or_else(|| lines.next_back()).map_or_else(|| output.status.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_programs_and_only_programs() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("plain"), "text").unwrap();
        assert_eq!(find_in(dir.path().as_os_str(), "absent"), None);
        #[cfg(unix)]
        assert_eq!(find_in(dir.path().as_os_str(), "plain"), None);
        assert!(find("cargo").is_some() || env::var_os("CARGO").is_some());
    }

    #[test]
    fn a_failed_command_says_why() {
        let error = output(Command::new("cargo").arg("--no-such-flag")).unwrap_err().to_string();
        assert!(error.contains("--no-such-flag"), "{error}");
    }
}
