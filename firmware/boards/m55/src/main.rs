//! Cortex-M55 of the MPS3 board with image AN547, as QEMU emulates it. The program stays in the secure state and
//! uses the secure aliases of memory and peripherals.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
embernet_board_support::cmsdk_board! {
    uart: 0x5930_3000,
    counter: embernet_board_support::sse300::Counter::new(0x5810_0000, 0x5810_1000)
}

#[cfg(not(target_os = "none"))]
include!("../../host.rs");
