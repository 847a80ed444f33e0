//! Nucleo-F411RE: Cortex-M4F of an STM32F411 with 512 KB of flash and 128 KB of RAM. The link is USART2, the serial port
//! of the debug probe on the board.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod device {
    use cortex_m_rt::entry;
    use embernet_board_support::hal::{cycle_counter, run};
    use embernet_board_support::stm32f4::{Sectors, nucleo64};
    use stm32f4xx_hal::pac::Peripherals;

    embernet_board_support::hal_board!(Sectors);

    #[entry]
    fn main() -> ! {
        let (core, chip) = (cortex_m::Peripherals::take().unwrap(), Peripherals::take().unwrap());
        chip.RCC.apb1enr().modify(|_, w| w.pwren().set_bit());
        // The regulator's scale 1: a reset leaves it at 2, which is enough for 84 MHz only (RM0383, 5.4.1).
        // SAFETY: one of the field's values.
        chip.PWR.cr().modify(|_, w| unsafe { w.vos().bits(0b11) });
        let link = nucleo64(chip.RCC, chip.GPIOA, chip.USART2, facts::CLOCK_HZ, facts::BAUD);
        let ticks = cycle_counter(core.DCB, core.DWT);
        // SAFETY: this machine's facts; the slots are sectors behind the firmware's, and each driver changes its own.
        unsafe { run(&facts::BOARD, facts::ISA, link, ticks, [Sectors, Sectors]) }
    }
}

#[cfg(not(target_os = "none"))]
include!("../../host.rs");
