//! What boards with an STM32F4 share: its flash, and the wiring of ST's Nucleo-64 boards.

use core::ops::Range;

use embedded_io::{Read, Write};
use stm32f4xx_hal::flash::{FlashExt, LockedFlash, UnlockedFlash};
use stm32f4xx_hal::pac::{FLASH, GPIOA, RCC, USART2};
use stm32f4xx_hal::prelude::*;
use stm32f4xx_hal::rcc::Config;
use stm32f4xx_hal::serial::config;

use crate::Polled;
use crate::hal::Driver;

/// The chip's flash. Slots lie in its sectors of 128 KB; the program waits while one is erased.
#[derive(Debug)]
pub struct Sectors;

/// Where its driver's offset 0 lies.
const BASE: usize = 0x0800_0000;

fn controller() -> FLASH {
    // SAFETY: nothing else uses it.
    unsafe { FLASH::steal() }
}

impl Driver for Sectors {
    type Flash<'d> = UnlockedFlash<'d>;

    fn with<T>(slot: &Range<usize>, work: impl FnOnce(&mut UnlockedFlash<'_>, u32) -> T) -> T {
        work(&mut LockedFlash::new(controller()).unlocked(), (slot.start - BASE) as u32)
    }

    /// The reference manual (RM0090, 3.7.3) wants the data cache off while it is emptied.
    fn forget(_: usize, _: usize) {
        let control = controller();
        control.acr().modify(|_, w| w.dcen().clear_bit());
        control.acr().modify(|_, w| w.dcrst().set_bit());
        control.acr().modify(|_, w| w.dcrst().clear_bit());
        control.acr().modify(|_, w| w.dcen().set_bit());
    }
}

/// Runs a Nucleo-64 at `clock_hz` from the 8 MHz that the debug probe on it gives. Its link is that probe's serial
/// port, at PA2 (to the host) and PA3 (ST, UM1724, "USART communication").
pub fn nucleo64(clocks: RCC, pins: GPIOA, port: USART2, clock_hz: u32, baud: u32) -> impl Read + Write {
    let mut clocks = clocks.freeze(Config::hse(8.MHz()).bypass_hse_oscillator().sysclk(clock_hz.Hz()));
    let pins = pins.split(&mut clocks);
    let settings = config::Config::default().baudrate(baud.bps());
    let Ok(serial) = port.serial((pins.pa2, pins.pa3), settings, &mut clocks) else {
        unreachable!("the clocks suit this rate")
    };
    let (mut tx, mut rx) = serial.split();
    Polled::new(move || rx.read(), move |byte| tx.write(byte))
}
