//! What can go wrong between the PC and a device.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use embernet_core::wire::{Fault, WireError};

/// What can go wrong between the PC and a device.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// No board has this name.
    #[error("there is no board `{name}`; known: {}", known.join(", "))]
    UnknownBoard {
        /// The name asked for.
        name: String,
        /// All boards.
        known: Vec<&'static str>,
    },
    /// The board is a real one only.
    #[error("QEMU does not emulate board `{board}`")]
    NotEmulated {
        /// The board's name.
        board: String,
    },
    /// The board's firmware has not been built.
    #[error("no firmware at {}: build it with `cargo xtask firmware {board}`", path.display())]
    NoFirmware {
        /// The board's name.
        board: String,
        /// Where it should be.
        path: PathBuf,
    },
    /// QEMU is not installed.
    #[error("`{program}` is not on PATH: `cargo xtask setup` gets it, or set EMBERNET_QEMU_DIR to its folder")]
    NoQemu {
        /// The program that was looked for.
        program: String,
    },
    /// QEMU did not start.
    #[error("cannot start {}", program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A preloaded slot could not be prepared.
    #[error("cannot write the slot for QEMU")]
    SlotFile {
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// No serial port has this name.
    #[error("there is no serial port {port}; {}: is the board plugged in?", here(ports))]
    NoPort {
        /// The name asked for.
        port: String,
        /// The ports of this machine.
        ports: Vec<String>,
    },
    /// Another program has the serial port.
    #[error("serial port {port} is in use: close the program that has it open, then try again")]
    BusyPort {
        /// The port's name.
        port: String,
    },
    /// The serial port is not for this user.
    #[error("this user may not open serial port {port}; on Linux its group may, often `dialout`")]
    ForbiddenPort {
        /// The port's name.
        port: String,
    },
    /// A serial port could not be opened for another reason.
    #[error("cannot open serial port {port}")]
    Serial {
        /// The port's name.
        port: String,
        /// What the system said.
        #[source]
        source: serialport::Error,
    },
    /// The link is gone: QEMU ended, the cable is out.
    #[error("{what} is gone{}", detail(status))]
    Gone {
        /// The other end, such as `QEMU (m4)`.
        what: String,
        /// How it ended, if known.
        status: String,
    },
    /// Reading or writing failed.
    #[error("{what}: link failed")]
    Io {
        /// The other end.
        what: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The board's program does not build.
    #[error("firmware of {board} does not build: {message}")]
    Build {
        /// The board.
        board: String,
        /// What cargo said.
        message: String,
    },
    /// A file that is no program.
    #[error("{}: {message}", path.display())]
    Elf {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// No answer.
    #[error("{what} does not answer `{request}`: waited {:.1} s{}", waited.as_secs_f64(), doubt(request))]
    Silent {
        /// The other end.
        what: String,
        /// The request.
        request: &'static str,
        /// How long.
        waited: Duration,
    },
    /// The device speaks another version of the protocol.
    #[error("the device speaks protocol version {found}, this program version {known}: use firmware of this release")]
    Version {
        /// The device's.
        found: u16,
        /// Ours.
        known: u16,
    },
    /// The device refused.
    #[error("`{request}` refused: {fault}")]
    Refused {
        /// The request.
        request: &'static str,
        /// Why.
        fault: Fault,
    },
    /// The firmware has a bug.
    #[error("the firmware panicked at {file}:{line}")]
    Panicked {
        /// The source file.
        file: String,
        /// The line.
        line: u32,
    },
    /// The firmware has a bug.
    #[error("the processor faulted at address {address:#010x}")]
    Faulted {
        /// The program counter.
        address: u32,
    },
    /// An answer to another question.
    #[error("unexpected answer to `{request}`")]
    Unexpected {
        /// The request.
        request: &'static str,
    },
    /// Bytes that are no message although their checksum is right.
    #[error("the device's message is not understood")]
    Wire(#[source] WireError),
    /// The image does not fit a slot.
    #[error("the image has {need} bytes, {board} takes {have}")]
    ImageTooLarge {
        /// The device.
        board: String,
        /// Bytes of the image.
        need: u64,
        /// Bytes that a slot takes.
        have: u64,
    },
    /// The model needs more memory than the device has.
    #[error("the model needs {need} bytes of RAM, {board} has {have}")]
    ArenaTooSmall {
        /// The device.
        board: String,
        /// Bytes the model needs.
        need: u64,
        /// Bytes the device has.
        have: u64,
    },
    /// Data of another length than the model's.
    #[error("{what} has {found} bytes, expected {expected}")]
    Length {
        /// Which data.
        what: &'static str,
        /// Bytes given.
        found: usize,
        /// Bytes expected.
        expected: usize,
    },
    /// The firmware's ELF has no log table.
    #[error("no defmt table in the firmware: {reason}")]
    LogTable {
        /// What the decoder said.
        reason: String,
    },
}

fn here(ports: &[String]) -> String {
    if ports.is_empty() { "none is here".into() } else { format!("here are {}", ports.join(", ")) }
}

/// What may be wrong with a device that has not said a word yet.
fn doubt(request: &str) -> &'static str {
    if request == "hello" { "; is embernet's firmware on it, and does it run at this rate?" } else { "" }
}

fn detail(status: &str) -> String {
    if status.is_empty() { String::new() } else { format!(": {status}") }
}
