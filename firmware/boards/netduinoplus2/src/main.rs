//! Netduino Plus 2: Cortex-M4F of an STM32F405 with 1 MB of flash and 128 KB of RAM. The link is USART1 at PB6 (to the
//! host) and PB7 (from it).
//!
//! The same program runs in QEMU, which has neither a clock controller nor a flash controller nor a cycle counter for
//! this chip: there it leaves the clocks alone, has its slots in RAM that the chip lacks, and counts with TIM2.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod device {
    use core::ops::Range;

    use cortex_m_rt::entry;
    use embernet_board_support::hal::{Programmer, cycle_counter, run};
    use embernet_board_support::stm32f4::Sectors;
    use embernet_board_support::{FlashError, Polled, memory_mut};
    use stm32f4xx_hal::pac::Peripherals;
    use stm32f4xx_hal::prelude::*;
    use stm32f4xx_hal::rcc::Config;
    use stm32f4xx_hal::serial::config;

    embernet_board_support::hal_board!(Flash);

    #[entry]
    fn main() -> ! {
        let (core, chip) = (cortex_m::Peripherals::take().unwrap(), Peripherals::take().unwrap());
        // No clock runs, not even the one that a reset starts: only QEMU says so.
        let is_emulated = chip.RCC.cr().read().bits() == 0;
        let (facts, clocks) = match is_emulated {
            true => (&facts::EMULATED, Config::hsi()),
            false => (&facts::BOARD, Config::hse(25.MHz()).sysclk(facts::CLOCK_HZ.Hz())),
        };
        let mut rcc = chip.RCC.freeze(clocks);
        let pins = chip.GPIOB.split(&mut rcc);
        // The pins SCL and SDA of its headers. D0 and D1 would be USART6, which is not QEMU's first port.
        let settings = config::Config::default().baudrate(facts::BAUD.bps());
        let serial = chip.USART1.serial((pins.pb6, pins.pb7), settings, &mut rcc).unwrap();
        let (mut tx, mut rx) = serial.split();
        let link = Polled::new(move || rx.read(), move |byte| tx.write(byte));

        let cycles = cycle_counter(core.DCB, core.DWT);
        chip.TIM2.cr1().write(|w| w.cen().enabled());
        let ticks = move || if is_emulated { chip.TIM2.cnt().read().bits() } else { cycles() };
        // SAFETY: this machine's facts; the slots are sectors behind the firmware's, and each driver changes its own.
        unsafe { run(facts, facts::ISA, link, ticks, [Flash { is_emulated }, Flash { is_emulated }]) }
    }

    /// The chip's flash; in QEMU memory that plays its part.
    struct Flash {
        is_emulated: bool,
    }

    impl Programmer for Flash {
        const ERASE_BYTES: usize = Sectors::ERASE_BYTES;
        const WRITE_BYTES: usize = Sectors::WRITE_BYTES;

        fn erase(&mut self, slot: &Range<usize>, from: usize, to: usize) -> Result<(), FlashError> {
            if self.is_emulated {
                // SAFETY: a slot's own memory, of which nobody holds a slice while it is erased.
                unsafe { memory_mut(from, to - from) }.fill(0xFF);
                return Ok(());
            }
            Sectors.erase(slot, from, to)
        }

        fn write(&mut self, slot: &Range<usize>, at: usize, bytes: &[u8]) -> Result<(), FlashError> {
            if self.is_emulated {
                // SAFETY: as in `erase`.
                let cells = unsafe { memory_mut(at, bytes.len()) };
                cells.iter_mut().zip(bytes).for_each(|(cell, byte)| *cell &= byte);
                return Ok(());
            }
            Sectors.write(slot, at, bytes)
        }
    }
}

#[cfg(not(target_os = "none"))]
include!("../../host.rs");
