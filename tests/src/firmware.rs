//! Firmware for tests: built once per board, started in QEMU.

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use embernet::link::{
    Board, Client, FirmwareOptions, LogDecoder, Patience, Qemu, QemuOptions, Transport, build_firmware, cargo_build,
    find_program, workspace,
};

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

/// Whether rustc can build for it.
pub fn has_target(target: &str) -> bool {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).args(["--print", "sysroot"]).current_dir(workspace()).output();
    output.is_ok_and(|output| {
        let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        sysroot.join("lib/rustlib").join(target).join("lib").is_dir()
    })
}

/// Builds a board's firmware and gives its ELF. The whole one costs further calls in this process nothing, and those
/// in other processes little: cargo sees that it is up to date.
///
/// # Panics
/// With cargo's messages, if it does not build.
pub fn build(board: &Board, options: &FirmwareOptions) -> PathBuf {
    static BUILT: Mutex<BTreeMap<String, Arc<OnceLock<PathBuf>>>> = Mutex::new(BTreeMap::new());
    let build = || build_firmware(board, options).unwrap_or_else(|error| panic!("{error}"));
    if *options != FirmwareOptions::default() {
        return build();
    }
    let cell = {
        let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(built.entry(board.name.clone()).or_default())
    };
    cell.get_or_init(build).clone()
}

/// Builds one of `firmware/examples` with its sensor simulated, for the chip of `board`, and gives its ELF.
///
/// # Panics
/// With cargo's messages, if it does not build.
pub fn build_example(program: &str, board: &Board) -> PathBuf {
    let folder = workspace().join("target/firmware");
    let mut command = cargo_build("embernet-examples", &board.target, &folder);
    command.args(["--features", "device,simulated", "--bin", program]);
    let output = command.output().expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    folder.join(&board.target).join("firmware").join(program)
}

/// Starts a board in QEMU, with `slot` in its flash, and says hello. Prints the device's log.
///
/// `None`, and a line that says why, where this machine cannot do that.
///
/// # Panics
/// If the firmware does not build or the device does not answer.
pub fn start(name: &str, slot: Option<Vec<u8>>) -> Option<Client> {
    start_with(name, &FirmwareOptions::default(), slot)
}

/// [`start`] with a program that carries what `options` say.
///
/// # Panics
/// As [`start`].
pub fn start_with(name: &str, options: &FirmwareOptions, slot: Option<Vec<u8>>) -> Option<Client> {
    launch(name, options, &QemuOptions { slot, ..QemuOptions::default() })
}

/// [`start`] with these options for QEMU.
///
/// # Panics
/// As [`start`].
pub fn start_in(name: &str, options: &QemuOptions) -> Option<Client> {
    launch(name, &FirmwareOptions::default(), options)
}

/// [`start_in`] with a program that carries what `program` says.
///
/// # Panics
/// As [`start`].
pub fn start_program_in(name: &str, program: &FirmwareOptions, options: &QemuOptions) -> Option<Client> {
    launch(name, program, options)
}

/// [`start_in`] with other waiting times.
///
/// # Panics
/// As [`start`].
pub fn start_patiently(name: &str, options: &QemuOptions, patience: Patience) -> Option<Client> {
    launch_with(name, &FirmwareOptions::default(), options, Some(patience))
}

fn launch(name: &str, program: &FirmwareOptions, options: &QemuOptions) -> Option<Client> {
    launch_with(name, program, options, None)
}

fn launch_with(
    name: &str,
    program: &FirmwareOptions,
    options: &QemuOptions,
    patience: Option<Patience>,
) -> Option<Client> {
    let board = Board::named(name).expect("a board of boards.toml");
    if let Some(obstacle) = obstacle(board) {
        eprintln!("skipped: board {name}: {obstacle}");
        return None;
    }
    let elf = build(board, program);
    let qemu = Qemu::start(board, &elf, options).expect("QEMU starts");
    let patience = patience.unwrap_or_else(|| qemu.patience());
    let mut client = Client::connect_with(Box::new(qemu), patience).unwrap_or_else(|error| panic!("{name}: {error}"));
    // A program without a log has no table of its texts.
    if let Ok(decoder) = LogDecoder::new(&std::fs::read(&elf).expect("the ELF is there")) {
        let name = name.to_owned();
        client.log_to(decoder, move |line| eprintln!("[{name}] {line}"));
    }
    Some(client)
}
