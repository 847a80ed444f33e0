//! Marks around what is timed, for the counting plugin in QEMU (`host-tools/src/counting/plugin.c`).
//!
//! Each is one instruction that does nothing: an unallocated hint on Arm, on RISC-V one that the manual keeps for such
//! uses. A device that is no emulator executes them likewise.

use core::arch::asm;

/// What follows is timed.
#[inline(always)]
pub fn begin() {
    // SAFETY: an instruction without effect.
    #[cfg(target_arch = "arm")]
    unsafe {
        asm!(".hword 0xbf60", options(nostack, preserves_flags));
    }
    // SAFETY: likewise.
    #[cfg(target_arch = "riscv32")]
    unsafe {
        asm!("slti x0, x0, 6", options(nostack, preserves_flags));
    }
}

/// What came before was timed.
#[inline(always)]
pub fn end() {
    // SAFETY: an instruction without effect.
    #[cfg(target_arch = "arm")]
    unsafe {
        asm!(".hword 0xbf70", options(nostack, preserves_flags));
    }
    // SAFETY: likewise.
    #[cfg(target_arch = "riscv32")]
    unsafe {
        asm!("slti x0, x0, 7", options(nostack, preserves_flags));
    }
}
