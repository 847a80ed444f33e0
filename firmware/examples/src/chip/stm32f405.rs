//! The chip around `gesture` and `anomaly`, an STM32F405: the sensor at PB8 (clock) and PB9 (data), a button between PA0
//! and ground, and a serial line of 115,200 baud: PB6 for what is said and, where the sensor is simulated, PB7 for what
//! it measures. QEMU's `netduinoplus2` runs the latter.

use core::fmt::Write;

use embedded_hal::digital::InputPin;
use embedded_hal::i2c::I2c;
use embernet_core::arch::{Dsp, Isa};
use stm32f4xx_hal::pac::Peripherals;
use stm32f4xx_hal::prelude::*;
use stm32f4xx_hal::rcc::Config;
use stm32f4xx_hal::serial::config;

/// The kernels for its core.
pub fn isa() -> impl Isa {
    // SAFETY: a Cortex-M4 has the instructions of this token.
    unsafe { Dsp::new() }
}

/// Starts it: the sensor's bus, the button, the serial line.
pub fn start() -> (impl I2c, impl InputPin, impl Write) {
    let chip = Peripherals::take().unwrap();
    let mut rcc = chip.RCC.freeze(Config::hsi());
    let pins = chip.GPIOB.split(&mut rcc);
    let settings = config::Config::default().baudrate(115_200.bps());
    let serial = chip.USART1.serial((pins.pb6, pins.pb7), settings, &mut rcc).unwrap();
    #[cfg(feature = "simulated")]
    {
        use crate::simulated::{Bus, Button};
        use core::cell::Cell;

        let (tx, mut rx) = serial.split();
        let pressed: &Cell<bool> = cortex_m::singleton!(: Cell<bool> = Cell::new(false)).unwrap();
        let next = move || loop {
            if let Ok(byte) = rx.read() {
                return Some(byte);
            }
        };
        (Bus::new(next, pressed), Button(pressed), tx)
    }
    #[cfg(not(feature = "simulated"))]
    {
        let button = chip.GPIOA.split(&mut rcc).pa0.into_pull_up_input();
        (chip.I2C1.i2c((pins.pb8, pins.pb9), 400.kHz(), &mut rcc), button, serial.split().0)
    }
}
