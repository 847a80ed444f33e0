//! Raspberry Pi Pico: Cortex-M0+ of an RP2040 with 264 KB of RAM; 2 MB of flash beside it. The link is its USB.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod device {
    use cortex_m_rt::entry;
    use embernet_board_support::rp;

    embernet_board_support::hal_board!(rp::External);

    #[entry]
    fn main() -> ! {
        let chip = embassy_rp::init(Default::default());
        // SAFETY: this machine's facts; the slots are flash behind the firmware's.
        unsafe { rp::run(chip, &facts::BOARD, facts::ISA, facts::USB, || embassy_rp::pac::TIMER.timerawl().read()) }
    }
}

#[cfg(not(target_os = "none"))]
include!("../../host.rs");
