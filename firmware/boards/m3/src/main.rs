//! Cortex-M3 of the MPS2 board with image AN385, as QEMU emulates it: no floating-point unit.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
embernet_board_support::cmsdk_board! {
    uart: 0x4000_4000,
    counter: embernet_board_support::cmsdk::Timer::new(0x4000_0000)
}

#[cfg(not(target_os = "none"))]
include!("../../host.rs");
