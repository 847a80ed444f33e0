//! Raspberry Pi Pico 2: Cortex-M33 of an RP2350 with 520 KB of RAM; 4 MB of flash beside it. The link is its USB.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod device {
    use cortex_m::peripheral::DWT;
    use cortex_m_rt::entry;
    use embernet_board_support::rp;

    embernet_board_support::facts!();
    embernet_board_support::keep_last_words!();

    #[entry]
    fn main() -> ! {
        let Some(mut core) = cortex_m::Peripherals::take() else { unreachable!("nobody has taken them before") };
        core.DCB.enable_trace();
        core.DWT.enable_cycle_counter();
        let chip = embassy_rp::init(Default::default());
        // SAFETY: this machine's facts; the slots are flash behind the firmware's.
        unsafe { rp::run(chip, &facts::BOARD, facts::ISA, facts::USB, DWT::cycle_count) }
    }
}

#[cfg(not(target_os = "none"))]
include!("../../host.rs");
