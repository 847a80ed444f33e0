//! Start-up of emulated boards: machines whose flash is plain memory and whose addresses are all known.

use embedded_io::{Read, Write};
use embernet_core::arch::Isa;

use crate::{Facts, RamFlash, memory_mut, start};

/// [`start::run`] with slots in memory.
///
/// # Safety
/// As there, and the slots are memory that nothing else uses and that the machine or a loader has initialised.
pub unsafe fn run<const ERASE_BYTES: usize>(
    facts: &Facts,
    isa: impl Isa,
    link: impl Read + Write,
    ticks: impl FnMut() -> u32,
) -> ! {
    // SAFETY: the caller's promise.
    let flash = facts.regions(|origin, bytes| RamFlash::<ERASE_BYTES>::new(unsafe { memory_mut(origin, bytes) }));
    // SAFETY: likewise.
    unsafe { start::run(facts, isa, link, ticks, flash) }
}

/// A whole board with Arm's CMSDK peripherals: the address of its UART, and its counter, whose clock is the UART's.
#[macro_export]
macro_rules! cmsdk_board {
    (uart: $uart:literal, counter: $counter:expr) => {
        use ::cortex_m as _; // its critical section
        use ::cortex_m_rt::entry;

        $crate::facts!();
        $crate::no_interrupts!();

        fn uart() -> $crate::cmsdk::Uart {
            // SAFETY: the machine's UART; nothing else in this program uses it, and last words are said by a program
            // that goes on no more.
            unsafe { $crate::cmsdk::Uart::new($uart, $crate::cmsdk::divider(facts::BOARD.tick_hz)) }
        }

        #[entry]
        fn main() -> ! {
            // SAFETY: the machine's counter; nothing else in this program uses it.
            let counter = unsafe { $counter };
            let ticks = move || counter.ticks();
            // SAFETY: this machine's facts; its flash is memory, initialised with zeros or by a loader.
            unsafe { $crate::emulated::run::<{ facts::ERASE_BYTES }>(&facts::BOARD, facts::ISA, uart(), ticks) }
        }

        $crate::say_last_words!(uart());
    };
}
