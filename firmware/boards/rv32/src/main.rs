//! QEMU's RISC-V `virt` machine with one 32-bit hart.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod device {
    use embernet_board_support::{emulated, panic, uart16550};
    use riscv_rt::entry;

    /// From `boards.toml`, by `build.rs`.
    mod facts {
        include!(concat!(env!("OUT_DIR"), "/facts.rs"));
    }

    const UART0: usize = 0x1000_0000;

    #[entry]
    fn main() -> ! {
        // SAFETY: the machine's UART; nothing else in this program uses it.
        let link = unsafe { uart16550::Uart::new(UART0) };
        let ticks = || riscv::register::minstret::read() as u32;
        // SAFETY: this machine's facts; its flash is memory, initialised with zeros or by a loader.
        unsafe { emulated::run::<{ facts::ERASE_BYTES }>(&facts::BOARD, facts::ISA, link, ticks) }
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
