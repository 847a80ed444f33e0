//! The chip around `gesture` and `anomaly`, a micro:bit's nRF51822 in QEMU: its sensor is simulated and measures what
//! comes over the serial line.

use core::cell::Cell;
use core::fmt::{self, Write};

use embedded_hal::digital::InputPin;
use embedded_hal::i2c::I2c;
use embedded_io::{Read, Write as _};
use embernet_board_support::nrf51::Uart;
use embernet_core::arch::{Isa, Scalar};

use crate::simulated::{Bus, Button};

embernet_board_support::no_interrupts!();

/// The kernels for its core.
pub fn isa() -> impl Isa {
    Scalar
}

/// Starts it: the sensor's bus, the button, the serial line.
pub fn start() -> (impl I2c, impl InputPin, impl Write) {
    // SAFETY: nothing reads with the one and nothing writes with the other, and nothing else uses the UART.
    let (mut rx, tx) = unsafe { (Uart::new(24, 25), Uart::new(24, 25)) };
    let pressed: &Cell<bool> = cortex_m::singleton!(: Cell<bool> = Cell::new(false)).unwrap();
    let next = move || {
        let mut byte = [0];
        rx.read(&mut byte).ok()?;
        Some(byte[0])
    };
    (Bus::new(next, pressed), Button(pressed), Line(tx))
}

/// The UART for text.
struct Line(Uart);

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write_all(text.as_bytes()).map_err(|_| fmt::Error)
    }
}
