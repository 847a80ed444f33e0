//! BBC micro:bit, version 1: Cortex-M0 of an nRF51822 with 256 KB of flash and 16 KB of RAM.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod device {
    use cortex_m as _; // its critical section
    use cortex_m_rt::entry;
    use embernet_board_support::{nrf51, start};

    embernet_board_support::facts!();
    embernet_board_support::no_interrupts!();
    embernet_board_support::say_last_words!(uart());

    const _: () = assert!(facts::ERASE_BYTES == nrf51::PAGE);

    /// On the pins that lead to the USB chip.
    fn uart() -> nrf51::Uart {
        // SAFETY: nothing else in this program uses the UART, and last words are said by a program that goes on no
        // more.
        unsafe { nrf51::Uart::new(24, 25) }
    }

    #[entry]
    fn main() -> ! {
        // SAFETY: nothing else in this program uses the timer.
        let timer = unsafe { nrf51::Timer::new() };
        // SAFETY: pages of flash behind the firmware's, as `boards.toml` keeps them apart.
        let flash = facts::BOARD.regions(|origin, bytes| unsafe { nrf51::Flash::new(origin, bytes) });
        // SAFETY: this machine's facts.
        unsafe { start::run(&facts::BOARD, facts::ISA, uart(), move || timer.ticks(), flash) }
    }
}

#[cfg(not(target_os = "none"))]
include!("../../host.rs");
