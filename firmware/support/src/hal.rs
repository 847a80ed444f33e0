//! Start-up of boards whose chip a HAL drives.

use core::sync::atomic::{Ordering, compiler_fence};

use embedded_io::{Read, Write};
use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
use embernet_app::Region;
use embernet_core::arch::Isa;

use crate::ram_flash::{FlashError, check};
use crate::{Facts, memory, panic, start};

/// How a HAL erases and programs the chip's flash. It is asked for whole units of the model slots only, by address.
pub trait Programmer {
    /// Bytes of an erase unit.
    const ERASE_BYTES: usize;
    /// Bytes of a program unit.
    const WRITE_BYTES: usize;
    /// Bytes at a slot's front that hold its records.
    const HEAD_BYTES: usize = Self::ERASE_BYTES;

    /// Erases `from..to`.
    ///
    /// # Errors
    /// The HAL's, which say nothing that a host could act upon: [`FlashError::Refused`].
    fn erase(&mut self, from: usize, to: usize) -> Result<(), FlashError>;

    /// Programs `bytes` at `at`.
    ///
    /// # Errors
    /// As [`Programmer::erase`].
    fn write(&mut self, at: usize, bytes: &[u8]) -> Result<(), FlashError>;
}

/// Tells the last words of the run before, then serves requests on `link` for ever.
///
/// # Safety
/// As [`start::run`]; the slots are flash that is mapped for reading and that only this program changes, through one
/// of the `programmers` each.
pub unsafe fn run<P: Programmer>(
    facts: &Facts,
    isa: impl Isa,
    mut link: impl Read + Write,
    ticks: impl FnMut() -> u32,
    programmers: [P; 2],
) -> ! {
    panic::tell(&mut link);
    let [first, second] = programmers;
    let [base, other] = facts.slots;
    let bytes = facts.slot_bytes;
    let slots = [Slot { base, bytes, programmer: first }, Slot { base: other, bytes, programmer: second }];
    // SAFETY: the caller's promise.
    unsafe { start::run(facts, isa, link, ticks, slots) }
}

/// A slot in flash that is mapped for reading.
#[derive(Debug)]
struct Slot<P> {
    base: usize,
    bytes: usize,
    programmer: P,
}

impl<P> ErrorType for Slot<P> {
    type Error = FlashError;
}

impl<P: Programmer> ReadNorFlash for Slot<P> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        let end = (offset as usize).saturating_add(bytes.len());
        let from = self.bytes().get(offset as usize..end).ok_or(FlashError::OutOfBounds)?;
        for (byte, from) in bytes.iter_mut().zip(from) {
            *byte = *from;
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes
    }
}

impl<P: Programmer> NorFlash for Slot<P> {
    const WRITE_SIZE: usize = P::WRITE_BYTES;
    const ERASE_SIZE: usize = P::ERASE_BYTES;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        check(from, to as usize, P::ERASE_BYTES, self.bytes)?;
        let done = self.programmer.erase(self.base + from as usize, self.base + to as usize);
        // The compiler does not see that the memory behind `bytes` changes.
        compiler_fence(Ordering::SeqCst);
        done
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        check(offset, (offset as usize).saturating_add(bytes.len()), P::WRITE_BYTES, self.bytes)?;
        let done = self.programmer.write(self.base + offset as usize, bytes);
        compiler_fence(Ordering::SeqCst);
        done
    }
}

impl<P: Programmer> Region for Slot<P> {
    const HEAD: usize = P::HEAD_BYTES;

    fn bytes(&self) -> &[u8] {
        // SAFETY: `run`'s caller vouched for the region; only `erase` and `write` change it, and they need this value
        // mutably, so not while the slice lives.
        unsafe { memory(self.base, self.bytes) }
    }
}
