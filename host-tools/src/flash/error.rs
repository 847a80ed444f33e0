//! What can go wrong while a board is flashed.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::TooLarge;
use crate::link::{Board, LinkError};

/// What can go wrong while a board is flashed.
#[derive(Debug, thiserror::Error)]
pub enum FlashError {
    /// The image is larger than a slot.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// The device is another one.
    #[error("the device is a `{found}`, not a `{expected}`")]
    WrongBoard {
        /// What it says it is.
        found: String,
        /// What was asked for.
        expected: String,
    },
    /// The link to the program on the board.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The board has no such boot loader.
    #[error("board `{board}` has no boot loader that shows up as a drive")]
    NoUf2 {
        /// The board.
        board: String,
    },
    /// A folder without the file that every such drive has.
    #[error("{} is no drive of a UF2 boot loader: it has no INFO_UF2.TXT with a Board-ID", path.display())]
    NoDrive {
        /// The folder.
        path: PathBuf,
    },
    /// The drive of another board.
    #[error("{} is the drive of a `{found}`, expected `{expected}`", path.display())]
    OtherDrive {
        /// The folder.
        path: PathBuf,
        /// Its Board-ID.
        found: String,
        /// The board's.
        expected: String,
    },
    /// The drive takes no files.
    #[error("{} is read-only: unlock the drive or mount it for writing, then flash again", path.display())]
    ReadOnly {
        /// The folder.
        path: PathBuf,
    },
    /// The drive took no file for another reason.
    #[error("cannot write {}", path.display())]
    Drive {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The board's chip is not known to probes.
    #[error("board `{board}` names no chip for debug probes")]
    NoChip {
        /// The board.
        board: String,
    },
    /// No debug probe.
    #[error("no debug probe is connected: is the board plugged in by its debug port?")]
    NoProbe,
    /// More than one, or none of this name.
    #[error("{}; name one with --probe: {}", unclear(wanted), found.join(", "))]
    WhichProbe {
        /// The name asked for; empty where none was.
        wanted: String,
        /// Those that are connected.
        found: Vec<String>,
    },
    /// The probe has no chip behind it, or none that it can talk to.
    #[error("no {chip} answers behind the debug probe: {reason}")]
    NoAnswer {
        /// The board's chip.
        chip: String,
        /// What the probe said.
        reason: String,
    },
    /// Another chip.
    #[error("the chip behind the debug probe is {}, not {board}'s {chip}: nothing was changed", kind(found))]
    WrongChip {
        /// The board.
        board: String,
        /// Its chip.
        chip: String,
        /// What the chip's identification reads.
        found: u32,
    },
    /// A debug probe, or the chip behind it.
    #[error("debug probe: {0}")]
    Probe(String),
    /// What was read back is not what was written.
    #[error("flash at {address:#010x} reads {found:#04x}, written was {expected:#04x}; the old model is still active")]
    Differs {
        /// The first address that differs.
        address: u32,
        /// What is there.
        found: u8,
        /// What was written.
        expected: u8,
    },
}

impl FlashError {
    /// Why a drive did not take a file.
    pub(super) fn of_drive(drive: &Path, file: PathBuf, source: io::Error) -> Self {
        match source.kind() {
            ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => Self::ReadOnly { path: drive.into() },
            _ => Self::Drive { path: file, source },
        }
    }
}

fn unclear(wanted: &str) -> String {
    if wanted.is_empty() {
        "several debug probes are connected".into()
    } else {
        format!("{wanted} is not the name of one connected debug probe")
    }
}

/// The chip that reads so, if it is that of a board here.
fn kind(found: &u32) -> String {
    let board = Board::all().find(|board| board.chip_id.is_some_and(|id| id.is(*found)));
    match board.and_then(|board| board.chip.as_ref().zip(Some(&board.name))) {
        Some((chip, board)) => format!("{board}'s {chip}"),
        None => format!("another one ({found:#010x})"),
    }
}
