//! Cortex-M4F of the MPS2 board with image AN386, as QEMU emulates it.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod device {
    use cortex_m as _; // its critical section
    use cortex_m_rt::{ExceptionFrame, entry, exception};
    use embernet_board_support::{Hardware, RamFlash, cmsdk, memory_mut, panic, serve, stack};
    use embernet_core::arch::Scalar;

    /// From `boards.toml`, by `build.rs`.
    mod facts {
        include!(concat!(env!("OUT_DIR"), "/facts.rs"));
    }

    const UART0: usize = 0x4000_4000;
    const TIMER0: usize = 0x4000_0000;
    /// 25 MHz over 115200 baud.
    const DIVIDER: u32 = 217;

    unsafe extern "C" {
        static mut _stack_end: u32;
        static mut _stack_start: u32;
    }

    #[entry]
    fn main() -> ! {
        // SAFETY: the linker script's ends of the stack that this program runs on.
        let stack = unsafe { stack::paint((&raw mut _stack_end).expose_provenance(), (&raw mut _stack_start).addr()) };
        // SAFETY: the machine's UART and timer; nothing else in this program uses them.
        let (link, timer) = unsafe { (cmsdk::Uart::new(UART0, DIVIDER), cmsdk::Timer::new(TIMER0)) };
        // SAFETY: memory that the linker script knows nothing of; `boards.toml` keeps the parts apart.
        // The machine's flash is memory, and has been initialised with zeros or by a loader.
        let slots = facts::SLOTS.map(|origin| unsafe { memory_mut(origin, facts::SLOT_BYTES) });
        // SAFETY: likewise.
        let arena = unsafe { memory_mut(facts::ARENA, facts::ARENA_BYTES) };
        let hardware = Hardware { name: facts::NAME, tick_hz: facts::TICK_HZ, ticks: move || timer.ticks(), stack };
        serve(link, slots.map(RamFlash::<{ facts::ERASE_BYTES }>::new), hardware, arena, Scalar)
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
