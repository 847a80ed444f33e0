//! Nucleo-H743ZI: Cortex-M7F of an STM32H743 with 2 MB of flash, 128 KB of fast RAM for the program and 512 KB for
//! models. The link is USART3, the serial port of the debug probe on the board.
//!
//! Slots lie in the second bank of flash, so that the program runs on while it is erased and programmed.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod device {
    use core::ops::Range;

    use cortex_m_rt::entry;
    use embernet_board_support::Polled;
    use embernet_board_support::hal::{Driver, cycle_counter, run};
    use embernet_board_support::stm32h7::{self, SecondBank};
    use stm32h7xx_hal::flash::{FlashExt, UnlockedFlashBank};
    use stm32h7xx_hal::pac::Peripherals;
    use stm32h7xx_hal::prelude::*;

    embernet_board_support::hal_board!(Flash);

    #[entry]
    fn main() -> ! {
        let (mut core, chip) = (cortex_m::Peripherals::take().unwrap(), Peripherals::take().unwrap());
        core.SCB.enable_icache();
        core.SCB.enable_dcache(&mut core.CPUID);
        let power = chip.PWR.constrain().freeze();
        let clocks = chip.RCC.constrain().sys_ck(facts::CLOCK_HZ.Hz()).freeze(power, &chip.SYSCFG);
        let pins = chip.GPIOD.split(clocks.peripheral.GPIOD);
        // Wired to the probe (ST, UM2407, "Virtual COM port").
        let pins = (pins.pd8.into_alternate(), pins.pd9.into_alternate());
        let rate = facts::BAUD.bps();
        let serial = chip.USART3.serial(pins, rate, clocks.peripheral.USART3, &clocks.clocks).unwrap();
        let (mut tx, mut rx) = serial.split();
        let link = Polled::new(move || rx.read(), move |byte| tx.write(byte));

        let ticks = cycle_counter(core.DCB, core.DWT);
        // SAFETY: this machine's facts; the slots are sectors of the bank that has no program, and each driver changes
        // its own.
        unsafe { run(&facts::BOARD, facts::ISA, link, ticks, [Flash, Flash]) }
    }

    /// The second bank of the chip's flash.
    struct Flash;

    /// Where its driver's offset 0 lies.
    const BANK: usize = SecondBank::ORIGIN;

    impl Driver for Flash {
        type Flash<'d> = UnlockedFlashBank<'d>;

        fn with<T>(slot: &Range<usize>, work: impl FnOnce(&mut UnlockedFlashBank<'_>, u32) -> T) -> T {
            // SAFETY: nothing else uses the flash controller.
            let (_, bank) = unsafe { Peripherals::steal() }.FLASH.split();
            let mut bank = bank.unwrap();
            work(&mut bank.unlocked(), (slot.start - BANK) as u32)
        }

        fn forget(from: usize, to: usize) {
            // SAFETY: nothing else uses the cache's controller.
            let mut core = unsafe { cortex_m::Peripherals::steal() };
            core.SCB.clean_invalidate_dcache_by_address(from, to - from);
        }

        fn is_readable(from: usize, to: usize) -> bool {
            // SAFETY: this chip; nothing else uses the flash controller meanwhile.
            let mut bank = unsafe { SecondBank::new() };
            stm32h7::is_readable(&mut bank, from - BANK, to - BANK)
        }
    }
}

#[cfg(not(target_os = "none"))]
include!("../../host.rs");
