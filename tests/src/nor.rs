//! NOR flash with its real rules, whose power can be cut at any operation.

use std::sync::{Arc, Mutex, PoisonError};

use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};
use embernet_app::Region;

use embernet::image::AlignedBytes;

/// Bytes of an erase page.
pub const PAGE: usize = 1024;

/// How many more operations there is power for; shared by both slots. An operation is one page
/// erased or one word programmed.
#[derive(Debug, Clone, Default)]
pub struct Power(Arc<Mutex<Supply>>);

#[derive(Debug, Default)]
struct Supply {
    left: Option<usize>,
    used: usize,
}

enum Moment {
    On,
    /// Power fails in the middle of this operation.
    Failing,
    Off,
}

impl Power {
    /// Cuts the power in the middle of the operation that follows `operations` others.
    pub fn cut_after(&self, operations: usize) {
        self.supply(|supply| supply.left = Some(operations));
    }

    /// Power is back.
    pub fn restore(&self) {
        self.supply(|supply| supply.left = None);
    }

    /// Operations done since start.
    pub fn operations(&self) -> usize {
        self.supply(|supply| supply.used)
    }

    fn supply<T>(&self, work: impl FnOnce(&mut Supply) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn take(&self) -> Moment {
        self.supply(|supply| {
            supply.used += 1;
            match &mut supply.left {
                None => Moment::On,
                // `usize::MAX` marks that the failing operation is over.
                Some(usize::MAX) => Moment::Off,
                Some(0) => {
                    supply.left = Some(usize::MAX);
                    Moment::Failing
                }
                Some(left) => {
                    *left -= 1;
                    Moment::On
                }
            }
        })
    }
}

/// One slot's flash; `HEAD` bytes at its front hold records.
#[derive(Debug, Clone)]
pub struct Nor<const HEAD: usize = PAGE> {
    cells: AlignedBytes,
    power: Power,
    erased: Vec<u32>,
}

/// What this flash refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NorError {
    /// Not a multiple of the unit.
    NotAligned,
    /// Beyond the end.
    OutOfBounds,
    /// A word that is not erased: programming it again could not set its bits.
    NotErased,
    /// No power.
    NoPower,
}

impl std::fmt::Display for NorError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for NorError {}

impl NorFlashError for NorError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::NotAligned => NorFlashErrorKind::NotAligned,
            Self::OutOfBounds => NorFlashErrorKind::OutOfBounds,
            Self::NotErased | Self::NoPower => NorFlashErrorKind::Other,
        }
    }
}

impl Nor {
    /// Two slots on one power supply, whose records have a page of their own.
    pub fn slots(bytes: usize) -> ([Self; 2], Power) {
        Self::pair(bytes)
    }
}

impl<const HEAD: usize> Nor<HEAD> {
    /// Flash of `bytes` bytes full of junk, as whatever lay there before.
    pub fn new(bytes: usize, power: Power) -> Self {
        let mut cells = AlignedBytes::zeroed(bytes);
        for (place, cell) in cells.iter_mut().enumerate() {
            *cell = (place * 37 % 251) as u8;
        }
        Self { cells, power, erased: vec![0; bytes / PAGE] }
    }

    /// Two slots on one power supply.
    pub fn pair(bytes: usize) -> ([Self; 2], Power) {
        let power = Power::default();
        ([Self::new(bytes, power.clone()), Self::new(bytes, power.clone())], power)
    }

    /// Puts bytes at the front, as a programmer does.
    pub fn flash(&mut self, bytes: &[u8]) {
        self.cells[..bytes.len()].copy_from_slice(bytes);
    }

    /// How often each page has been erased.
    pub fn wear(&self) -> &[u32] {
        &self.erased
    }

    /// Turns one bit of the byte at `offset` over, as ageing flash may.
    pub fn tip(&mut self, offset: usize) {
        self.cells[offset] ^= 1;
    }

    fn range(&mut self, start: u32, end: usize, unit: usize) -> Result<&mut [u8], NorError> {
        let start = start as usize;
        if !start.is_multiple_of(unit) || !end.is_multiple_of(unit) {
            return Err(NorError::NotAligned);
        }
        self.cells.get_mut(start..end).ok_or(NorError::OutOfBounds)
    }
}

impl<const HEAD: usize> ErrorType for Nor<HEAD> {
    type Error = NorError;
}

impl<const HEAD: usize> ReadNorFlash for Nor<HEAD> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorError> {
        let end = offset as usize + bytes.len();
        bytes.copy_from_slice(self.range(offset, end, 1)?);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.cells.len()
    }
}

impl<const HEAD: usize> NorFlash for Nor<HEAD> {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = PAGE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorError> {
        let power = self.power.clone();
        let first = from as usize / PAGE;
        self.range(from, to as usize, PAGE)?;
        for number in first..to as usize / PAGE {
            self.erased[number] += 1;
            let page = &mut self.cells[number * PAGE..][..PAGE];
            match power.take() {
                Moment::On => page.fill(0xFF),
                Moment::Failing => {
                    page[..PAGE / 2].fill(0xFF);
                    return Err(NorError::NoPower);
                }
                Moment::Off => return Err(NorError::NoPower),
            }
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorError> {
        let power = self.power.clone();
        let cells = self.range(offset, offset as usize + bytes.len(), Self::WRITE_SIZE)?;
        for (word, new) in cells.chunks_mut(4).zip(bytes.chunks(4)) {
            if word.iter().any(|cell| *cell != 0xFF) {
                return Err(NorError::NotErased);
            }
            let programmed = match power.take() {
                Moment::On => 4,
                Moment::Failing => 2,
                Moment::Off => 0,
            };
            word[..programmed].copy_from_slice(&new[..programmed]);
            if programmed < 4 {
                return Err(NorError::NoPower);
            }
        }
        Ok(())
    }
}

impl<const HEAD: usize> Region for Nor<HEAD> {
    const HEAD: usize = HEAD;

    fn bytes(&self) -> &[u8] {
        &self.cells
    }
}
