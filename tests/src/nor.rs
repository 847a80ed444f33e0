//! NOR flash with its real rules, whose power can be cut at any operation.

use std::sync::{Arc, Mutex, PoisonError};

use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};
use embernet_app::Region;
use embernet_core::rng::Rng;

use embernet::image::AlignedBytes;

/// Bytes of an erase page.
pub const PAGE: usize = 1024;

/// How many more operations there is power for; shared by both slots. An operation is one page
/// erased or one word programmed.
#[derive(Debug, Clone, Default)]
pub struct Power(Arc<Mutex<Supply>>);

#[derive(Debug, Default)]
struct Supply {
    left: Option<(usize, Cut)>,
    used: usize,
    /// What the cut hit, once it has happened.
    hit: Option<Operation>,
}

/// When within an operation the power fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Before anything has changed.
    Before,
    /// Within it: of the bits that were to change any may have, another set for each seed.
    Within(u64),
    /// Behind the last change, so that only the program does not hear of it.
    Behind,
}

/// What a cut hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A page being erased.
    Erase,
    /// A word being programmed.
    Program,
}

enum Moment {
    On,
    /// Power fails at this operation.
    Failing(Cut),
    Off,
}

impl Power {
    /// Cuts the power within the operation that follows `operations` others.
    pub fn cut_after(&self, operations: usize) {
        self.cut(operations, Cut::Within(operations as u64));
    }

    /// Cuts the power at the operation that follows `operations` others.
    pub fn cut(&self, operations: usize, cut: Cut) {
        self.supply(|supply| (supply.left, supply.hit) = (Some((operations, cut)), None));
    }

    /// Power is back. Says what the cut hit, if it has come to that.
    pub fn restore(&self) -> Option<Operation> {
        self.supply(|supply| {
            supply.left = None;
            supply.hit.take()
        })
    }

    /// Operations done since start.
    pub fn operations(&self) -> usize {
        self.supply(|supply| supply.used)
    }

    fn supply<T>(&self, work: impl FnOnce(&mut Supply) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn take(&self, operation: Operation) -> Moment {
        self.supply(|supply| {
            supply.used += 1;
            match &mut supply.left {
                _ if supply.hit.is_some() => Moment::Off,
                None => Moment::On,
                Some((0, cut)) => {
                    supply.hit = Some(operation);
                    Moment::Failing(*cut)
                }
                Some((left, _)) => {
                    *left -= 1;
                    Moment::On
                }
            }
        })
    }
}

/// Changes `cells` to `new` as far as a cut lets it: bits that are equal stay.
fn tear(cells: &mut [u8], new: impl Iterator<Item = u8>, cut: Cut) {
    let mut rng = match cut {
        Cut::Before => return,
        Cut::Behind => None,
        Cut::Within(seed) => Some(Rng::new(seed)),
    };
    // How far it has got: all bits change between a little and almost.
    let share = rng.as_mut().map_or(256, |rng| 1 + rng.below(255));
    for (cell, new) in cells.iter_mut().zip(new) {
        let changed = match &mut rng {
            None => 0xFF,
            Some(rng) => (0..8).fold(0, |bits, _| bits << 1 | u8::from(rng.below(256) < share)),
        };
        *cell = *cell & !changed | new & changed;
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
            match power.take(Operation::Erase) {
                Moment::On => page.fill(0xFF),
                Moment::Failing(cut) => {
                    tear(page, [0xFF; PAGE].into_iter(), cut);
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
            match power.take(Operation::Program) {
                Moment::On => word.copy_from_slice(new),
                Moment::Failing(cut) => {
                    tear(word, new.iter().copied(), cut);
                    return Err(NorError::NoPower);
                }
                Moment::Off => return Err(NorError::NoPower),
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
