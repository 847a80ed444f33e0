//! What several boards share: UARTs, timers, flash drivers, stack paint, the log queue.
//!
//! Drivers are as small as the app needs them: polling, one instance, no interrupts.
//! Register drivers take the address of their peripheral; creating one is `unsafe`, because the
//! caller vouches for that address and for having it alone, and using one is not.
#![no_std]
#![warn(missing_docs)]

#[cfg(any(armv7m, armv7em, armv8m))]
mod bytes;
mod hardware;
#[cfg(all(target_os = "none", feature = "log"))]
pub mod log;
#[cfg(target_os = "none")]
mod marks;
mod mmio;
pub mod panic;
mod polled;
mod ram_flash;
pub mod stack;
#[cfg(target_os = "none")]
pub mod start;
pub mod stm32h7;

#[cfg(target_os = "none")]
pub mod emulated;
#[cfg(target_os = "none")]
pub mod hal;
#[cfg(feature = "rp")]
pub mod rp;
#[cfg(feature = "stm32f4")]
pub mod stm32f4;
#[cfg(feature = "usb")]
pub mod usb;

/// Drivers for Arm's CMSDK peripherals, as on the MPS2 boards.
pub mod cmsdk;
/// Drivers for Nordic's nRF51.
pub mod nrf51;
/// The counter of Arm's SSE-300 subsystem, as on the MPS3 board with image AN547.
pub mod sse300;
/// The 16550 UART of PCs and of many RISC-V systems.
pub mod uart16550;

/// The vectors of a Cortex-M's interrupts for a board without a HAL: none is ever enabled, and the linker script wants
/// one at least.
#[macro_export]
macro_rules! no_interrupts {
    () => {
        #[unsafe(link_section = ".vector_table.interrupts")]
        #[unsafe(no_mangle)]
        pub static __INTERRUPTS: [usize; 1] = [0];
    };
}

/// Tokens of instruction sets; `boards.toml` says which one a board's core has.
pub use embernet_core::arch;
pub use hardware::{Hardware, Regions, serve};
pub use mmio::{memory, memory_mut};
pub use polled::Polled;
pub use ram_flash::{FlashError, RamFlash};
#[cfg(target_os = "none")]
pub use start::Facts;
