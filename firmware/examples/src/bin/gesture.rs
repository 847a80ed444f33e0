//! Gestures of an MPU-6050: hold the button for five seconds and make a new one, over and over; then make it again.
#![no_std]
#![no_main]

use core::fmt::Write;

use cortex_m::{asm, singleton};
use embedded_hal::digital::InputPin;
use embernet_examples::chip;
use embernet_examples::gesture::{Gestures, Memory, RATE_HZ};
use embernet_examples::mpu6050::{Mpu6050, Range};

#[cortex_m_rt::entry]
fn main() -> ! {
    let (bus, mut button, mut serial) = chip::start();
    let mut sensor = Mpu6050::new(bus, RATE_HZ, Range::G2).unwrap();
    let memory = singleton!(: Memory = Memory::new()).unwrap();
    let mut gestures = Gestures::new(memory, chip::isa());
    writeln!(serial, "ready").unwrap();
    loop {
        let acceleration = sensor.measure().unwrap();
        if let Some(event) = gestures.measured(acceleration, button.is_low().unwrap()) {
            writeln!(serial, "{event}").unwrap();
        }
    }
}

#[panic_handler]
fn panicked(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        asm::bkpt();
    }
}
