//! What can go wrong while a board is flashed.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::TooLarge;
use crate::link::LinkError;

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
