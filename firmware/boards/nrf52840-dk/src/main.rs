//! nRF52840 DK (PCA10056): Cortex-M4F with 1 MB of flash and 256 KB of RAM. The link is the serial port of the debug
//! probe on the board.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod device {
    use cortex_m::peripheral::DWT;
    use cortex_m_rt::entry;
    use embedded_io::{ErrorType, Read, Write};
    use embedded_storage::nor_flash::NorFlash;
    use embernet_board_support::hal::{Programmer, run};
    use embernet_board_support::{FlashError, memory_mut};
    use nrf52840_hal::gpio::{Level, p0};
    use nrf52840_hal::nvmc::Nvmc;
    use nrf52840_hal::pac::{NVMC, Peripherals, UARTE0};
    use nrf52840_hal::uarte::{Baudrate, Error, Parity, Pins, Uarte};
    use nrf52840_hal::{Clocks, pac};

    embernet_board_support::facts!();
    embernet_board_support::keep_last_words!();

    const _: () = assert!(facts::BAUD == 115_200);

    #[entry]
    fn main() -> ! {
        let (Some(mut core), Some(chip)) = (cortex_m::Peripherals::take(), Peripherals::take()) else {
            unreachable!("nobody has taken them before")
        };
        // A UART wants the crystal's precision.
        Clocks::new(chip.CLOCK).enable_ext_hfosc();
        let pins = p0::Parts::new(chip.P0);
        let pins = Pins {
            txd: pins.p0_06.into_push_pull_output(Level::High).degrade(),
            rxd: pins.p0_08.into_floating_input().degrade(),
            cts: None,
            rts: None,
        };
        let link = Link(Uarte::new(chip.UARTE0, pins, Parity::EXCLUDED, Baudrate::BAUD115200));
        core.DCB.enable_trace();
        core.DWT.enable_cycle_counter();
        // SAFETY: this machine's facts; the slots are pages behind the firmware's, and each driver changes its own.
        unsafe { run(&facts::BOARD, facts::ISA, link, DWT::cycle_count, [Flash, Flash]) }
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

    impl Flash {
        /// The driver for the pages around `from..to`, and where in them `from` lies.
        fn pages(from: usize, to: usize) -> (Nvmc<NVMC>, usize) {
            let offset = from % facts::ERASE_BYTES;
            let bytes = (offset + to - from).next_multiple_of(facts::ERASE_BYTES);
            // SAFETY: pages of a slot, of which nobody holds a slice while they change; nothing else uses the
            // controller.
            let (pages, chip) = unsafe { (memory_mut(from - offset, bytes), pac::Peripherals::steal()) };
            (Nvmc::new(chip.NVMC, pages), offset)
        }
    }

    impl Programmer for Flash {
        const ERASE_BYTES: usize = facts::ERASE_BYTES;
        const WRITE_BYTES: usize = Nvmc::<NVMC>::WRITE_SIZE;

        fn erase(&mut self, from: usize, to: usize) -> Result<(), FlashError> {
            Self::pages(from, to).0.erase(0, (to - from) as u32).map_err(|_| FlashError::Refused)
        }

        fn write(&mut self, at: usize, bytes: &[u8]) -> Result<(), FlashError> {
            let (mut flash, offset) = Self::pages(at, at + bytes.len());
            flash.write(offset as u32, bytes).map_err(|_| FlashError::Refused)
        }
    }

    const _: () = assert!(facts::ERASE_BYTES == Nvmc::<NVMC>::ERASE_SIZE);
}

#[cfg(not(target_os = "none"))]
include!("../../host.rs");
