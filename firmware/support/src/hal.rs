//! Start-up of boards whose chip a HAL drives.

use core::ops::Range;
use core::sync::atomic::{Ordering, compiler_fence};

use embedded_io::{Read, Write};
use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
use embernet_app::Region;
use embernet_core::arch::Isa;

use crate::ram_flash::{FlashError, check};
use crate::{Facts, memory, panic, start};

/// What erases and programs the chip's flash. It is asked for whole units of the model slots only, by address.
///
/// Every [`Driver`] is one.
pub trait Programmer {
    /// Bytes of an erase unit.
    const ERASE_BYTES: usize;
    /// Bytes of a program unit.
    const WRITE_BYTES: usize;

    /// Erases `from..to`, which lies in `slot`.
    ///
    /// # Errors
    /// The HAL's, which say nothing that a host could act upon: [`FlashError::Refused`].
    fn erase(&mut self, slot: &Range<usize>, from: usize, to: usize) -> Result<(), FlashError>;

    /// Programs `bytes` at `at` in `slot`.
    ///
    /// # Errors
    /// As [`Programmer::erase`].
    fn write(&mut self, slot: &Range<usize>, at: usize, bytes: &[u8]) -> Result<(), FlashError>;

    /// Whether `from..to` can be read ([`Driver::is_readable`]).
    fn is_readable(&self, _from: usize, _to: usize) -> bool {
        true
    }
}

/// A HAL's driver for flash.
pub trait Driver {
    /// The HAL's type.
    type Flash<'d>: NorFlash;

    /// Does `work` with the driver of the flash in which `slot` lies, and with the offset that it has for the slot's
    /// first byte.
    fn with<T>(slot: &Range<usize>, work: impl FnOnce(&mut Self::Flash<'_>, u32) -> T) -> T;

    /// Flash has changed at `from..to`: whatever a cache holds of it is old.
    fn forget(_from: usize, _to: usize) {}

    /// Whether `from..to` can be read: flash that corrects errors may answer with a fault where an erase or a program
    /// was cut.
    fn is_readable(_from: usize, _to: usize) -> bool {
        true
    }
}

impl<D: Driver> Programmer for D {
    const ERASE_BYTES: usize = <D::Flash<'_> as NorFlash>::ERASE_SIZE;
    const WRITE_BYTES: usize = <D::Flash<'_> as NorFlash>::WRITE_SIZE;

    fn erase(&mut self, slot: &Range<usize>, from: usize, to: usize) -> Result<(), FlashError> {
        let [first, end] = [from, to].map(|at| (at - slot.start) as u32);
        let done = D::with(slot, |flash, offset| flash.erase(offset + first, offset + end).is_ok());
        D::forget(from, to);
        if done { Ok(()) } else { Err(FlashError::Refused) }
    }

    fn write(&mut self, slot: &Range<usize>, at: usize, bytes: &[u8]) -> Result<(), FlashError> {
        let done = D::with(slot, |flash, offset| flash.write(offset + (at - slot.start) as u32, bytes).is_ok());
        D::forget(at, at + bytes.len());
        if done { Ok(()) } else { Err(FlashError::Refused) }
    }

    fn is_readable(&self, from: usize, to: usize) -> bool {
        D::is_readable(from, to)
    }
}

/// Bytes of the records at a slot's front: its first erase unit, or the front of that, where it is a large one.
const fn head_bytes<P: Programmer>() -> usize {
    if P::ERASE_BYTES < 4096 { P::ERASE_BYTES } else { 4096 }
}

/// Whether a board's table of slots says what its flash driver does.
pub const fn agrees<P: Programmer>(erase_bytes: usize, head_bytes: usize) -> bool {
    P::ERASE_BYTES == erase_bytes && self::head_bytes::<P>() == head_bytes
}

/// What every Cortex-M board with a HAL starts with: its facts, which are compared with its flash driver's, and what
/// happens to last words.
#[macro_export]
macro_rules! hal_board {
    ($flash:ty) => {
        $crate::facts!();
        $crate::keep_last_words!();
        const _: () = assert!($crate::hal::agrees::<$flash>(facts::ERASE_BYTES, facts::HEAD_BYTES));
    };
}

/// Starts the processor's cycle counter and gives the function that reads it.
#[cfg(any(armv7m, armv7em, armv8m))]
pub fn cycle_counter(mut debug: cortex_m::peripheral::DCB, mut counter: cortex_m::peripheral::DWT) -> fn() -> u32 {
    debug.enable_trace();
    cortex_m::peripheral::DWT::unlock();
    counter.enable_cycle_counter();
    cortex_m::peripheral::DWT::cycle_count
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
    let [at, other] = facts.slots.map(|origin| origin..origin + facts.slot_bytes);
    let slots = [Slot { at, programmer: first }, Slot { at: other, programmer: second }];
    // SAFETY: the caller's promise.
    unsafe { start::run(facts, isa, link, ticks, slots) }
}

/// A slot in flash that is mapped for reading.
#[derive(Debug)]
struct Slot<P> {
    at: Range<usize>,
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
        self.at.len()
    }
}

impl<P: Programmer> NorFlash for Slot<P> {
    const WRITE_SIZE: usize = P::WRITE_BYTES;
    const ERASE_SIZE: usize = P::ERASE_BYTES;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        check(from, to as usize, P::ERASE_BYTES, self.at.len())?;
        let done = self.programmer.erase(&self.at, self.at.start + from as usize, self.at.start + to as usize);
        // The compiler does not see that the memory behind `bytes` changes.
        compiler_fence(Ordering::SeqCst);
        done
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        check(offset, (offset as usize).saturating_add(bytes.len()), P::WRITE_BYTES, self.at.len())?;
        let done = self.programmer.write(&self.at, self.at.start + offset as usize, bytes);
        compiler_fence(Ordering::SeqCst);
        done
    }
}

impl<P: Programmer> Region for Slot<P> {
    const HEAD: usize = head_bytes::<P>();

    fn bytes(&self) -> &[u8] {
        // SAFETY: `run`'s caller vouched for the region; only `erase` and `write` change it, and they need this value
        // mutably, so not while the slice lives.
        unsafe { memory(self.at.start, self.at.len()) }
    }

    fn is_readable(&self, offset: usize, bytes: usize) -> bool {
        let from = self.at.start.saturating_add(offset);
        self.programmer.is_readable(from, from.saturating_add(bytes).min(self.at.end))
    }
}
