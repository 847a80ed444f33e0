//! nRF52840 DK (PCA10056): Cortex-M4F with 1 MB of flash and 256 KB of RAM. The link is the serial port of the debug
//! probe on the board.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod device {
    use core::ops::Range;

    use cortex_m_rt::entry;
    use embedded_io::{ErrorType, Read, Write};
    use embernet_board_support::hal::{Driver, cycle_counter, run};
    use embernet_board_support::memory_mut;
    use nrf52840_hal::Clocks;
    use nrf52840_hal::gpio::{Level, p0};
    use nrf52840_hal::nvmc::Nvmc;
    use nrf52840_hal::pac::{NVMC, Peripherals, UARTE0};
    use nrf52840_hal::uarte::{Baudrate, Error, Parity, Pins, Uarte};

    embernet_board_support::hal_board!(Flash);

    const _: () = assert!(facts::BAUD == 115_200);

    #[entry]
    fn main() -> ! {
        let (core, chip) = (cortex_m::Peripherals::take().unwrap(), Peripherals::take().unwrap());
        // A UART wants the crystal's precision.
        Clocks::new(chip.CLOCK).enable_ext_hfosc();
        // Wired to the probe (Nordic's user guide of the DK, "Virtual COM port").
        let pins = p0::Parts::new(chip.P0);
        let pins = Pins {
            txd: pins.p0_06.into_push_pull_output(Level::High).degrade(),
            rxd: pins.p0_08.into_floating_input().degrade(),
            cts: None,
            rts: None,
        };
        let link = Link(Uarte::new(chip.UARTE0, pins, Parity::EXCLUDED, Baudrate::BAUD115200));
        let ticks = cycle_counter(core.DCB, core.DWT);
        // SAFETY: this machine's facts; the slots are pages behind the firmware's, and each driver changes its own.
        unsafe { run(&facts::BOARD, facts::ISA, link, ticks, [Flash, Flash]) }
    }

    /// The UART, which moves bytes between RAM and its pins only.
    struct Link(Uarte<UARTE0>);

    impl ErrorType for Link {
        type Error = Error;
    }

    impl Read for Link {
        fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Error> {
            let Some(first) = bytes.first_mut() else { return Ok(0) };
            let mut byte = [0];
            // A byte that came damaged is lost: the protocol repairs that.
            while self.0.read(&mut byte).is_err() {}
            [*first] = byte;
            Ok(1)
        }
    }

    impl Write for Link {
        fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
            let mut piece = [0; 64];
            let count = piece.iter_mut().zip(bytes).map(|(place, byte)| *place = *byte).count();
            match piece.get(..count) {
                None | Some([]) => Ok(0),
                Some(piece) => self.0.write(piece).map(|()| count),
            }
        }

        fn flush(&mut self) -> Result<(), Error> {
            Ok(())
        }
    }

    /// The chip's flash.
    struct Flash;

    impl Driver for Flash {
        type Flash<'d> = Nvmc<NVMC>;

        fn with<T>(slot: &Range<usize>, work: impl FnOnce(&mut Nvmc<NVMC>, u32) -> T) -> T {
            // SAFETY: a slot, of which nobody holds a slice while it changes; nothing else uses the controller.
            let (pages, chip) = unsafe { (memory_mut(slot.start, slot.len()), Peripherals::steal()) };
            work(&mut Nvmc::new(chip.NVMC, pages), 0)
        }
    }
}

#[cfg(not(target_os = "none"))]
include!("../../host.rs");
