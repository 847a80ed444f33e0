//! Memory that behaves as NOR flash: for emulated machines whose flash region is plain memory,
//! and for tests on a PC.

use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};
use embernet_app::Region;

/// Programs words of 4 bytes and erases units of `ERASE` bytes, with the rules of NOR flash:
/// programming only clears bits.
#[derive(Debug)]
pub struct RamFlash<'a, const ERASE: usize> {
    bytes: &'a mut [u8],
}

/// What NOR flash refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlashError {
    /// An address or length that is no multiple of the unit.
    NotAligned,
    /// Beyond the end.
    OutOfBounds,
    /// The chip did not do it.
    Refused,
}

/// Whether `start..end` is whole units of a region; its last unit may be shorter.
pub(crate) fn check(start: u32, end: usize, unit: usize, region: usize) -> Result<(), FlashError> {
    let start = start as usize;
    if !start.is_multiple_of(unit) || !(end.is_multiple_of(unit) || end == region) {
        return Err(FlashError::NotAligned);
    }
    if start > end || end > region {
        return Err(FlashError::OutOfBounds);
    }
    Ok(())
}

impl core::fmt::Display for FlashError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::NotAligned => "flash access is not aligned",
            Self::OutOfBounds => "flash access is out of bounds",
            Self::Refused => "the chip has not erased or programmed its flash",
        })
    }
}

impl core::error::Error for FlashError {}

impl NorFlashError for FlashError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::NotAligned => NorFlashErrorKind::NotAligned,
            Self::OutOfBounds => NorFlashErrorKind::OutOfBounds,
            Self::Refused => NorFlashErrorKind::Other,
        }
    }
}

impl<'a, const ERASE: usize> RamFlash<'a, ERASE> {
    /// Takes memory as it is, which may already hold a slot.
    pub fn new(bytes: &'a mut [u8]) -> Self {
        Self { bytes }
    }

    fn range(&mut self, start: u32, end: usize, unit: usize) -> Result<&mut [u8], FlashError> {
        check(start, end, unit, self.bytes.len())?;
        self.bytes.get_mut(start as usize..end).ok_or(FlashError::OutOfBounds)
    }
}

impl<const ERASE: usize> ErrorType for RamFlash<'_, ERASE> {
    type Error = FlashError;
}

impl<const ERASE: usize> ReadNorFlash for RamFlash<'_, ERASE> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        let end = (offset as usize).saturating_add(bytes.len());
        bytes.copy_from_slice(self.range(offset, end, 1)?);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl<const ERASE: usize> NorFlash for RamFlash<'_, ERASE> {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = ERASE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        self.range(from, to as usize, ERASE)?.fill(0xFF);
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        let end = (offset as usize).saturating_add(bytes.len());
        for (cell, byte) in self.range(offset, end, Self::WRITE_SIZE)?.iter_mut().zip(bytes) {
            *cell &= byte;
        }
        Ok(())
    }
}

impl<const ERASE: usize> Region for RamFlash<'_, ERASE> {
    fn bytes(&self) -> &[u8] {
        self.bytes
    }
}
