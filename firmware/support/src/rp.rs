//! What the boards with an RP2040 or RP2350 share: the link over their USB, and the flash outside the chip.

use core::ops::Range;
use core::pin::pin;

use embassy_rp::flash::{Blocking, Flash};
use embassy_rp::peripherals::{FLASH, USB};
use embassy_rp::usb::{Driver, InterruptHandler};
use embassy_rp::{Peripherals, bind_interrupts};
use embernet_core::arch::Isa;

use crate::Facts;
use crate::hal;
use crate::usb::{Room, UsbLink, serial_port};

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
pub struct External;

/// Where it is mapped.
const BASE: usize = 0x1000_0000;

/// The most that is mapped; which addresses are a slot's is checked already.
const MOST: usize = 16 << 20;

impl hal::Driver for External {
    type Flash<'d> = Flash<'static, FLASH, Blocking, MOST>;

    fn with<T>(slot: &Range<usize>, work: impl FnOnce(&mut Self::Flash<'_>, u32) -> T) -> T {
        // SAFETY: nothing else uses it meanwhile.
        work(&mut Flash::new_blocking(unsafe { FLASH::steal() }), (slot.start - BASE) as u32)
    }
}
