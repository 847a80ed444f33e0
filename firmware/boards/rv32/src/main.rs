//! QEMU's RISC-V `virt` machine with one 32-bit hart.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod device {
    use embernet_board_support::{Hardware, RamFlash, memory_mut, panic, serve, stack, uart16550};
    use embernet_core::arch::Scalar;
    use riscv_rt::entry;

    /// From `boards.toml`, by `build.rs`.
    mod facts {
        include!(concat!(env!("OUT_DIR"), "/facts.rs"));
    }

    const UART0: usize = 0x1000_0000;

    unsafe extern "C" {
        static mut _stack_end: u32;
        static mut _stack_start: u32;
    }

    #[entry]
    fn main() -> ! {
        // SAFETY: the linker script's ends of the stack that this program runs on.
        let stack = unsafe { stack::paint((&raw mut _stack_end).expose_provenance(), (&raw mut _stack_start).addr()) };
        // SAFETY: the machine's UART; nothing else in this program uses it.
        let link = unsafe { uart16550::Uart::new(UART0) };
        // SAFETY: memory that the linker script knows nothing of; `boards.toml` keeps the parts apart.
        // The machine has initialised it with zeros, or a loader has.
        let slots = facts::SLOTS.map(|origin| unsafe { memory_mut(origin, facts::SLOT_BYTES) });
        // SAFETY: likewise.
        let arena = unsafe { memory_mut(facts::ARENA, facts::ARENA_BYTES) };
        let ticks = || riscv::register::minstret::read() as u32;
        let hardware = Hardware { name: facts::NAME, tick_hz: facts::TICK_HZ, ticks, stack };
        serve(link, slots.map(RamFlash::<{ facts::ERASE_BYTES }>::new), hardware, arena, Scalar)
    }

    #[panic_handler]
    fn panicked(info: &core::panic::PanicInfo<'_>) -> ! {
        // SAFETY: the program that used the UART goes on no more.
        panic::panicked(&mut unsafe { uart16550::Uart::new(UART0) }, info)
    }

    #[unsafe(export_name = "ExceptionHandler")]
    fn faulted(_: &riscv_rt::TrapFrame) -> ! {
        // SAFETY: the program that used the UART goes on no more.
        panic::faulted(&mut unsafe { uart16550::Uart::new(UART0) }, riscv::register::mepc::read() as u32)
    }
}

#[cfg(not(target_os = "none"))]
fn main() {}
