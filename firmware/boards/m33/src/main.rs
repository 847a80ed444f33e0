//! Cortex-M33 of the MPS2 board with image AN505, as QEMU emulates it. The program stays in the secure state and
//! uses the secure aliases of memory and peripherals.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
embernet_board_support::cmsdk_board! {
    uart: 0x5020_0000,
    counter: embernet_board_support::cmsdk::Timer::new(0x5000_0000)
}

#[cfg(not(target_os = "none"))]
include!("../../host.rs");
