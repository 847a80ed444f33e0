//! Firmware for tests: built once per board, started in QEMU.

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use embernet::link::{Board, Client, LogDecoder, Qemu, QemuOptions, find_program, workspace};

/// What keeps this machine from building and emulating `board`, if anything does.
pub fn obstacle(board: &Board) -> Option<String> {
    let Some(machine) = &board.qemu else { return Some(format!("QEMU does not emulate {}", board.name)) };
    if let Err(error) = find_program(&machine.program) {
        return Some(error.to_string());
    }
    if !has_target(&board.target) {
        return Some(format!("rustc has no target {}; `cargo xtask setup` adds it", board.target));
    }
    None
}

fn has_target(target: &str) -> bool {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).args(["--print", "sysroot"]).current_dir(workspace()).output();
    output.is_ok_and(|output| {
        let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        sysroot.join("lib/rustlib").join(target).join("lib").is_dir()
    })
}

/// Builds a board's firmware and gives its ELF. Further calls in this process cost nothing, and
/// in other processes little: cargo sees that it is up to date.
///
/// It lies in a target folder of its own, so that this cargo does not wait for the one that runs us.
///
/// # Panics
/// With cargo's messages, if it does not build.
pub fn build(board: &Board) -> PathBuf {
    static BUILT: Mutex<BTreeMap<String, Arc<OnceLock<PathBuf>>>> = Mutex::new(BTreeMap::new());
    let cell = {
        let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(built.entry(board.name.clone()).or_default())
    };
    cell.get_or_init(|| build_now(board)).clone()
}

fn build_now(board: &Board) -> PathBuf {
    let root = workspace();
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(&root).args(["build", "--quiet", "--profile", "firmware"]);
    command.args(["--package", &board.package, "--target", &board.target]);
    command.arg("--target-dir").arg(root.join("target/firmware"));
    // What the outer cargo says of our own package would make build scripts run again.
    for (name, _) in env::vars_os() {
        let inherited = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        if name.to_str().is_some_and(inherited) {
            command.env_remove(name);
        }
    }
    let output = command.output().expect("cargo starts");
    assert!(
        output.status.success(),
        "firmware of {} does not build:\n{}",
        board.name,
        String::from_utf8_lossy(&output.stderr)
    );
    board.firmware_in(&root)
}

/// Starts a board in QEMU, with `slot` in its flash, and says hello. Prints the device's log.
///
/// `None`, and a line that says why, where this machine cannot do that.
///
/// # Panics
/// If the firmware does not build or the device does not answer.
pub fn start(name: &str, slot: Option<Vec<u8>>) -> Option<Client> {
    let board = Board::named(name).expect("a board of boards.toml");
    if let Some(obstacle) = obstacle(board) {
        eprintln!("skipped: board {name}: {obstacle}");
        return None;
    }
    let elf = build(board);
    let options = QemuOptions { slot, ..QemuOptions::default() };
    let qemu = Qemu::start(board, &elf, &options).expect("QEMU starts");
    let mut client = Client::connect(qemu).unwrap_or_else(|error| panic!("{name}: {error}"));
    let decoder = LogDecoder::new(&std::fs::read(&elf).expect("the ELF is there")).expect("a log table");
    let name = name.to_owned();
    client.log_to(decoder, move |line| eprintln!("[{name}] {line}"));
    Some(client)
}
