//! Flashing by copying a file to the drive that a UF2 boot loader shows up as.
//!
//! Such a drive has a file `INFO_UF2.TXT` with a line `Board-ID: …` (Microsoft, "USB Flashing Format"); the boot loader
//! programs what is copied to it and restarts the board, and the drive is gone. Nothing of the flash can be read.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::{FlashError, Flashed, slot};
use crate::image::{Format, Piece, Target};
use crate::link::{Board, Slots, Uf2};

/// A boot loader's drive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drive {
    path: PathBuf,
    board_id: String,
}

/// The file that is written; boot loaders do not look at its name.
const FILE: &str = "EMBERNET.UF2";

impl Drive {
    /// The drive that is mounted at `path`.
    ///
    /// # Errors
    /// [`FlashError::NoDrive`]: it is none.
    pub fn open(path: &Path) -> Result<Self, FlashError> {
        let info = fs::read(path.join("INFO_UF2.TXT")).unwrap_or_default();
        let info = String::from_utf8_lossy(&info);
        let board_id = info.lines().find_map(|line| line.strip_prefix("Board-ID:"));
        match board_id {
            Some(id) => Ok(Self { path: path.into(), board_id: id.trim().into() }),
            None => Err(FlashError::NoDrive { path: path.into() }),
        }
    }

    /// Whether this is the drive of `board`'s boot loader; gives what UF2 files for it name.
    ///
    /// # Errors
    /// [`FlashError::NoUf2`], [`FlashError::OtherDrive`].
    pub fn check<'b>(&self, board: &'b Board) -> Result<&'b Uf2, FlashError> {
        let Some(uf2) = &board.uf2 else { return Err(FlashError::NoUf2 { board: board.name.clone() }) };
        if self.board_id != uf2.board_id {
            let (path, found) = (self.path.clone(), self.board_id.clone());
            return Err(FlashError::OtherDrive { path, found, expected: uf2.board_id.clone() });
        }
        Ok(uf2)
    }

    /// Copies `image` for slot `number` of `board` to the drive. `progress` hears bytes done and bytes in all.
    ///
    /// Its generation is the time in seconds, because the newest one on the board cannot be read.
    ///
    /// # Errors
    /// [`FlashError`]: another board's drive, an image that does not fit, a drive that takes no file.
    pub fn write(
        &self,
        board: &Board,
        image: &[u8],
        number: u8,
        progress: impl FnMut(usize, usize),
    ) -> Result<Flashed, FlashError> {
        self.write_by(|path| File::create(path), board, image, number, progress)
    }

    /// [`Drive::write`] to a file that `create` makes.
    fn write_by<W: Sink>(
        &self,
        create: impl FnOnce(&Path) -> io::Result<W>,
        board: &Board,
        image: &[u8],
        number: u8,
        mut progress: impl FnMut(usize, usize),
    ) -> Result<Flashed, FlashError> {
        let uf2 = self.check(board)?;
        let generation = seconds();
        let bytes = file(image, &board.slots, number, generation, uf2.family)?;
        let path = self.path.join(FILE);
        let failed = |source| FlashError::of_drive(&self.path, path.clone(), source);
        let mut file = create(&path).map_err(failed)?;
        for (index, part) in bytes.chunks(BLOCK).enumerate() {
            file.write_all(part).map_err(failed)?;
            progress(index * BLOCK + part.len(), bytes.len());
        }
        // The boot loader restarts the board with the last block, and the drive may be gone before it says so.
        let _ = file.finish();
        Ok(Flashed { slot: number, generation, sent: bytes.len() })
    }
}

/// A file on the drive.
trait Sink: Write {
    /// Waits until everything has arrived.
    fn finish(&self) -> io::Result<()>;
}

impl Sink for File {
    fn finish(&self) -> io::Result<()> {
        self.sync_all()
    }
}

/// Bytes that are written at a time: one block of UF2.
const BLOCK: usize = 512;

fn file(image: &[u8], slots: &Slots, number: u8, generation: u32, family: u32) -> Result<Vec<u8>, FlashError> {
    let address = slots.origins[usize::from(number.min(1))];
    let piece = Piece { address, bytes: slot(image, slots, generation)? };
    let target = Target { family: Some(family), ..Target::default() };
    let wrapped = Format::Uf2.wrap(vec![piece], &target);
    Ok(wrapped.unwrap_or_else(|error| unreachable!("a slot lies in the address space: {error}")))
}

/// Seconds since 1970, which last until 2106.
fn seconds() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind;

    const SLOTS: Slots = Slots::new([0x1000_0000, 0x1000_2000], 0x2000, 0x1000);

    fn board() -> Board {
        let uf2 = Some(Uf2 { family: 0xE48B_FF56, board_id: "RPI-RP2".into() });
        Board { uf2, slots: SLOTS, ..Board::named("m0").unwrap().clone() }
    }

    fn drive(info: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("INFO_UF2.TXT"), info).unwrap();
        folder
    }

    #[test]
    fn a_drive_gets_a_file_that_others_read() {
        let folder = drive("UF2 Bootloader v3.0\r\nModel: Raspberry Pi RP2\r\nBoard-ID: RPI-RP2\r\n");
        let image = vec![7; 300];
        let mut heard = Vec::new();
        let drive = Drive::open(folder.path()).unwrap();
        let flashed = drive.write(&board(), &image, 1, |done, total| heard.push((done, total))).unwrap();
        assert!(flashed.generation > 1_700_000_000 && flashed.slot == 1);
        let file = fs::read(folder.path().join(FILE)).unwrap();
        assert_eq!(heard.last(), Some(&(file.len(), file.len())));
        let (bytes, families) = uf2_decode::convert_from_uf2(&file).unwrap();
        assert_eq!(families.get(&0xE48B_FF56), Some(&u64::from(SLOTS.origins[1])));
        let expected = slot(&image, &SLOTS, flashed.generation).unwrap();
        assert_eq!(&bytes[..expected.len()], expected);
    }

    #[test]
    fn what_is_wrong_is_said_in_one_line() {
        let here = tempfile::tempdir().unwrap();
        let error = Drive::open(here.path()).unwrap_err();
        assert!(error.to_string().contains("is no drive of a UF2 boot loader"), "{error}");
        let other = drive("Board-ID: Other-v1\n");
        let other = Drive::open(other.path()).unwrap();
        let error = other.write(&board(), &[1], 0, |_, _| {}).unwrap_err();
        assert!(error.to_string().contains("is the drive of a `Other-v1`, expected `RPI-RP2`"), "{error}");
        let error = other.write(Board::named("m4").unwrap(), &[1], 0, |_, _| {}).unwrap_err();
        assert!(error.to_string().contains("`m4` has no boot loader"), "{error}");
        let right = drive("Board-ID: RPI-RP2\n");
        let right = Drive::open(right.path()).unwrap();
        let error = right.write(&board(), &[0; 0x1001], 0, |_, _| {}).unwrap_err();
        assert_eq!(error.to_string(), "the image has 4097 bytes, the board's slot takes 4096");
    }

    /// A drive that takes so many blocks and then says this.
    struct Failing(usize, ErrorKind);

    impl Write for Failing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(self.1.into());
            }
            self.0 -= 1;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Sink for Failing {
        fn finish(&self) -> io::Result<()> {
            Err(self.1.into())
        }
    }

    #[test]
    fn a_drive_that_takes_no_file_says_why() {
        let folder = drive("Board-ID: RPI-RP2\n");
        let drive = Drive::open(folder.path()).unwrap();
        let said = |sink: io::Result<Failing>| {
            let result = drive.write_by(|_| sink, &board(), &[1; 3000], 0, |_, _| {});
            result.map_err(|error| error.to_string().replace(&folder.path().display().to_string(), "D:"))
        };
        for kind in [ErrorKind::ReadOnlyFilesystem, ErrorKind::PermissionDenied] {
            let locked = "D: is read-only: unlock the drive or mount it for writing, then flash again";
            assert_eq!(said(Err(kind.into())).unwrap_err(), locked);
            // Some systems only notice when the first bytes are to be written.
            assert_eq!(said(Ok(Failing(0, kind))).unwrap_err(), locked);
        }
        let pulled = said(Ok(Failing(3, ErrorKind::NotConnected))).unwrap_err();
        assert!(pulled.starts_with("cannot write D:"), "{pulled}");
        // All has been written: the board restarts, and its drive goes away.
        assert!(said(Ok(Failing(usize::MAX, ErrorKind::NotConnected))).is_ok());
    }
}
