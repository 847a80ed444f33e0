//! An MPU-6050 on a machine: what it does in the first minute after the start is normal; what is unlike it is said.
#![no_std]
#![no_main]

use core::fmt::Write;

use cortex_m::{asm, singleton};
use embernet_examples::anomaly::{Guard, Memory, RATE_HZ};
use embernet_examples::chip;
use embernet_examples::mpu6050::{Mpu6050, Range};

#[cortex_m_rt::entry]
fn main() -> ! {
    let (bus, _button, mut serial) = chip::start();
    let mut sensor = Mpu6050::new(bus, RATE_HZ, Range::G16).unwrap();
    let memory = singleton!(: Memory = Memory::new()).unwrap();
    let mut guard = Guard::new(memory, chip::isa());
    writeln!(serial, "ready").unwrap();
    loop {
        let acceleration = sensor.measure().unwrap();
        if let Some(event) = guard.measured(acceleration) {
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
