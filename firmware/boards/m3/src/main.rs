//! Cortex-M3 of the MPS2 board with image AN385, as QEMU emulates it: no floating-point unit.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod device {
    use cortex_m as _; // its critical section
    use cortex_m_rt::{ExceptionFrame, entry, exception};
    use embernet_board_support::{cmsdk, emulated, panic};

    /// From `boards.toml`, by `build.rs`.
    mod facts {
        include!(concat!(env!("OUT_DIR"), "/facts.rs"));
    }

    const UART0: usize = 0x4000_4000;
    const TIMER0: usize = 0x4000_0000;
    /// 25 MHz over 115200 baud.
    const DIVIDER: u32 = 217;

    #[entry]
    fn main() -> ! {
        // SAFETY: the machine's UART and timer; nothing else in this program uses them.
        let (link, timer) = unsafe { (cmsdk::Uart::new(UART0, DIVIDER), cmsdk::Timer::new(TIMER0)) };
        // SAFETY: this machine's facts; its flash is memory, initialised with zeros or by a loader.
        unsafe { emulated::run::<{ facts::ERASE_BYTES }>(&facts::BOARD, facts::ISA, link, move || timer.ticks()) }
    }

    #[panic_handler]
    fn panicked(info: &core::panic::PanicInfo<'_>) -> ! {
        // SAFETY: the program that used the UART goes on no more.
        panic::panicked(&mut unsafe { cmsdk::Uart::new(UART0, DIVIDER) }, info)
    }

    #[exception]
    unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
        // SAFETY: the program that used the UART goes on no more.
        panic::faulted(&mut unsafe { cmsdk::Uart::new(UART0, DIVIDER) }, frame.pc())
    }
}

#[cfg(not(target_os = "none"))]
fn main() {}
