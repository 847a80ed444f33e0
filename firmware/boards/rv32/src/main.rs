//! QEMU's RISC-V `virt` machine with one 32-bit hart.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod device {
    use embernet_board_support::{emulated, panic, uart16550};
    use riscv_rt::entry;

    embernet_board_support::facts!();

    fn uart() -> uart16550::Uart {
        // SAFETY: the machine's UART; nothing else in this program uses it, and last words are said by a program that
        // goes on no more.
        unsafe { uart16550::Uart::new(0x1000_0000) }
    }

    #[entry]
    fn main() -> ! {
        let ticks = || riscv::register::minstret::read() as u32;
        // SAFETY: this machine's facts; its flash is memory, initialised with zeros or by a loader.
        unsafe { emulated::run::<{ facts::ERASE_BYTES }>(&facts::BOARD, facts::ISA, uart(), ticks) }
    }

    #[panic_handler]
    fn panicked(info: &core::panic::PanicInfo<'_>) -> ! {
        panic::panicked(&mut uart(), info)
    }

    #[unsafe(export_name = "ExceptionHandler")]
    fn faulted(_: &riscv_rt::TrapFrame) -> ! {
        panic::faulted(&mut uart(), riscv::register::mepc::read() as u32)
    }
}

#[cfg(not(target_os = "none"))]
include!("../../host.rs");
