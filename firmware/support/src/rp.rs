//! What the boards with an RP2040 or RP2350 share: the link over their USB, and the flash outside the chip.

use core::pin::pin;

use embassy_rp::flash::{Blocking, ERASE_SIZE, Flash};
use embassy_rp::peripherals::{FLASH, USB};
use embassy_rp::usb::{Driver, InterruptHandler};
use embassy_rp::{Peripherals, bind_interrupts};
use embernet_core::arch::Isa;

use crate::hal::{self, Programmer};
use crate::usb::{Room, UsbLink, serial_port};
use crate::{Facts, FlashError};

bind_interrupts!(struct Interrupts {
    USBCTRL_IRQ => InterruptHandler<USB>;
});

/// Serves requests over USB for ever.
///
/// # Safety
/// As [`hal::run`].
pub unsafe fn run(chip: Peripherals, facts: &Facts, isa: impl Isa, usb: [u16; 2], ticks: impl FnMut() -> u32) -> ! {
    let mut room = Room::default();
    let (mut device, class) = serial_port(Driver::new(chip.USB, Interrupts), usb, facts.name, &mut room);
    let background = pin!(device.run());
    let link = UsbLink::new(background, class);
    // SAFETY: the caller's promise.
    unsafe { hal::run(facts, isa, link, ticks, [External, External]) }
}

/// The flash from which the program runs; the HAL waits for it in RAM.
#[derive(Debug)]
struct External;

/// Where it is mapped.
const BASE: usize = 0x1000_0000;

/// The most that is mapped; which addresses are a slot's is checked already.
const MOST: usize = 16 << 20;

fn driver() -> Flash<'static, FLASH, Blocking, MOST> {
    // SAFETY: nothing else uses it meanwhile.
    Flash::new_blocking(unsafe { FLASH::steal() })
}

impl Programmer for External {
    const ERASE_BYTES: usize = ERASE_SIZE;
    const WRITE_BYTES: usize = 1;

    fn erase(&mut self, from: usize, to: usize) -> Result<(), FlashError> {
        driver().blocking_erase((from - BASE) as u32, (to - BASE) as u32).map_err(|_| FlashError::Refused)
    }

    fn write(&mut self, at: usize, bytes: &[u8]) -> Result<(), FlashError> {
        driver().blocking_write((at - BASE) as u32, bytes).map_err(|_| FlashError::Refused)
    }
}
