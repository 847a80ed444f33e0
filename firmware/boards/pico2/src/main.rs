//! Raspberry Pi Pico 2: Cortex-M33 of an RP2350 with 520 KB of RAM; 4 MB of flash beside it. The link is its USB.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod device {
    use cortex_m_rt::entry;
    use embernet_board_support::hal::cycle_counter;
    use embernet_board_support::rp;

    embernet_board_support::hal_board!(rp::External);

    #[entry]
    fn main() -> ! {
        let core = cortex_m::Peripherals::take().unwrap();
        let ticks = cycle_counter(core.DCB, core.DWT);
        let chip = embassy_rp::init(Default::default());
        // SAFETY: this machine's facts; the slots are flash behind the firmware's.
        unsafe { rp::run(chip, &facts::BOARD, facts::ISA, facts::USB, ticks) }
    }
}

#[cfg(not(target_os = "none"))]
include!("../../host.rs");
