//! BBC micro:bit, version 1: Cortex-M0 of an nRF51822 with 256 KB of flash and 16 KB of RAM.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod device {
    use cortex_m as _; // its critical section
    use cortex_m_rt::{ExceptionFrame, entry, exception};
    use embernet_board_support::{Hardware, memory_mut, nrf51, panic, serve, stack};

    /// From `boards.toml`, by `build.rs`.
    mod facts {
        include!(concat!(env!("OUT_DIR"), "/facts.rs"));
    }

    /// The pins that lead to the USB chip.
    const TX_PIN: u32 = 24;
    const RX_PIN: u32 = 25;

    const _: () = assert!(facts::ERASE_BYTES == nrf51::PAGE);

    unsafe extern "C" {
        static mut __euninit: u32;
        static mut _stack_end: u32;
        static mut _stack_start: u32;
    }

    #[entry]
    fn main() -> ! {
        let (statics_end, stack_end) =
            ((&raw mut __euninit).expose_provenance(), (&raw mut _stack_end).expose_provenance());
        // SAFETY: the linker script's ends of the stack that this program runs on.
        let stack = unsafe { stack::paint(stack_end, (&raw mut _stack_start).addr()) };
        // SAFETY: nothing else in this program uses UART and timer.
        let (link, timer) = unsafe { (nrf51::Uart::new(TX_PIN, RX_PIN), nrf51::Timer::new()) };
        // SAFETY: pages of flash behind the firmware's, as `boards.toml` keeps them apart.
        let slots = facts::SLOTS.map(|origin| unsafe { nrf51::Flash::new(origin, facts::SLOT_BYTES) });
        // SAFETY: the memory between the statics and the stack, which nothing else uses. It has no
        // value yet, and any bytes are a valid arena.
        let arena = unsafe { memory_mut(statics_end, stack_end - statics_end) };
        let hardware = Hardware { name: facts::NAME, tick_hz: facts::TICK_HZ, ticks: move || timer.ticks(), stack };
        serve(link, slots, hardware, arena, facts::ISA)
    }

    #[panic_handler]
    fn panicked(info: &core::panic::PanicInfo<'_>) -> ! {
        // SAFETY: the program that used the UART goes on no more.
        panic::panicked(&mut unsafe { nrf51::Uart::new(TX_PIN, RX_PIN) }, info)
    }

    #[exception]
    unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
        // SAFETY: the program that used the UART goes on no more.
        panic::faulted(&mut unsafe { nrf51::Uart::new(TX_PIN, RX_PIN) }, frame.pc())
    }
}

#[cfg(not(target_os = "none"))]
fn main() {}
