//! Nucleo-H743ZI: Cortex-M7F of an STM32H743 with 2 MB of flash, 128 KB of fast RAM for the program and 512 KB for
//! models. The link is USART3, the serial port of the debug probe on the board.
//!
//! Slots lie in the second bank of flash, so that the program runs on while it is erased and programmed.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod device {
    use cortex_m::peripheral::DWT;
    use cortex_m_rt::entry;
    use embedded_storage::nor_flash::NorFlash;
    use embernet_board_support::hal::{Programmer, run};
    use embernet_board_support::{FlashError, Polled};
    use stm32h7xx_hal::flash::{FlashExt, UnlockedFlashBank};
    use stm32h7xx_hal::pac::Peripherals;
    use stm32h7xx_hal::prelude::*;

    embernet_board_support::facts!();
    embernet_board_support::keep_last_words!();

    #[entry]
    fn main() -> ! {
        let (Some(mut core), Some(chip)) = (cortex_m::Peripherals::take(), Peripherals::take()) else {
            unreachable!("nobody has taken them before")
        };
        core.SCB.enable_icache();
        core.SCB.enable_dcache(&mut core.CPUID);
        let power = chip.PWR.constrain().freeze();
        let clocks = chip.RCC.constrain().sys_ck(facts::CLOCK_HZ.Hz()).freeze(power, &chip.SYSCFG);
        let pins = chip.GPIOD.split(clocks.peripheral.GPIOD);
        let pins = (pins.pd8.into_alternate(), pins.pd9.into_alternate());
        let rate = facts::BAUD.bps();
        let Ok(serial) = chip.USART3.serial(pins, rate, clocks.peripheral.USART3, &clocks.clocks) else {
            unreachable!("the clocks suit this rate")
        };
        let (mut tx, mut rx) = serial.split();
        let link = Polled::new(move || rx.read(), move |byte| tx.write(byte));

        core.DCB.enable_trace();
        DWT::unlock();
        core.DWT.enable_cycle_counter();
        // SAFETY: this machine's facts; the slots are sectors of the bank that has no program, and each driver changes
        // its own.
        unsafe { run(&facts::BOARD, facts::ISA, link, DWT::cycle_count, [Flash, Flash]) }
    }

    /// The second bank of the chip's flash.
    struct Flash;

    /// Where its driver's offset 0 lies.
    const BANK: usize = 0x0810_0000;

    impl Flash {
        /// Does `work` with the driver, then forgets what the data cache holds of `from..from + bytes`.
        fn change<E>(
            from: usize,
            bytes: usize,
            work: impl FnOnce(&mut UnlockedFlashBank<'_>) -> Result<(), E>,
        ) -> Result<(), FlashError> {
            // SAFETY: nothing else uses the flash controller or the cache's.
            let (chip, mut core) = unsafe { (Peripherals::steal(), cortex_m::Peripherals::steal()) };
            let (_, Some(mut bank)) = chip.FLASH.split() else { return Err(FlashError::Refused) };
            let done = work(&mut bank.unlocked()).map_err(|_| FlashError::Refused);
            core.SCB.clean_invalidate_dcache_by_address(from, bytes);
            done
        }
    }

    impl Programmer for Flash {
        const ERASE_BYTES: usize = facts::ERASE_BYTES;
        const WRITE_BYTES: usize = UnlockedFlashBank::WRITE_SIZE;
        const HEAD_BYTES: usize = facts::HEAD_BYTES;

        fn erase(&mut self, from: usize, to: usize) -> Result<(), FlashError> {
            Self::change(from, to - from, |bank| bank.erase((from - BANK) as u32, (to - BANK) as u32))
        }

        fn write(&mut self, at: usize, bytes: &[u8]) -> Result<(), FlashError> {
            Self::change(at, bytes.len(), |bank| bank.write((at - BANK) as u32, bytes))
        }
    }

    const _: () = assert!(facts::ERASE_BYTES == UnlockedFlashBank::ERASE_SIZE);
}

#[cfg(not(target_os = "none"))]
include!("../../host.rs");
