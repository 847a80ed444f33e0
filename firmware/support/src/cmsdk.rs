use core::convert::Infallible;

use embedded_io::{ErrorType, Read, Write};

use crate::mmio::Register;

/// The CMSDK APB UART (Arm DDI 0479, section 4.3), 8N1.
#[derive(Debug)]
pub struct Uart {
    data: Register,
    state: Register,
}

const TX_FULL: u32 = 1 << 0;
const RX_FULL: u32 = 1 << 1;
const ENABLE_TX_AND_RX: u32 = 0b11;

/// What a UART clocked at `clock_hz` divides by for 115200 baud.
pub const fn divider(clock_hz: u32) -> u32 {
    (clock_hz + 57_600) / 115_200
}

impl Uart {
    /// Switches the UART on; `divider` (at least 16) is its clock over the baud rate.
    ///
    /// # Safety
    /// `base` is the address of such a UART, and the caller alone uses it.
    pub unsafe fn new(base: usize, divider: u32) -> Self {
        // SAFETY: register offsets of the UART at `base`, the caller's promise.
        let register = |offset: usize| unsafe { Register::new(base + offset) };
        register(0x10).write(divider);
        register(0x08).write(ENABLE_TX_AND_RX);
        let uart = Self { data: register(0x00), state: register(0x04) };
        // Forgets what came before; and QEMU looks for input at once when this register is read,
        // otherwise only after its next timer, up to a second later.
        uart.data.read();
        uart
    }
}

impl ErrorType for Uart {
    type Error = Infallible;
}

impl Read for Uart {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Infallible> {
        let Some(first) = bytes.first_mut() else { return Ok(0) };
        while self.state.read() & RX_FULL == 0 {}
        *first = self.data.read() as u8;
        Ok(1)
    }
}

impl Write for Uart {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        for byte in bytes {
            while self.state.read() & TX_FULL != 0 {}
            self.data.write(u32::from(*byte));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        while self.state.read() & TX_FULL != 0 {}
        Ok(())
    }
}

/// The CMSDK APB timer (Arm DDI 0479, section 4.1), run freely over 32 bits.
#[derive(Debug)]
pub struct Timer {
    value: Register,
}

impl Timer {
    /// Starts the timer.
    ///
    /// # Safety
    /// `base` is the address of such a timer, and the caller alone uses it.
    pub unsafe fn new(base: usize) -> Self {
        // SAFETY: register offsets of the timer at `base`, the caller's promise.
        let register = |offset: usize| unsafe { Register::new(base + offset) };
        register(0x08).write(u32::MAX);
        register(0x04).write(u32::MAX);
        register(0x00).write(1);
        Self { value: register(0x04) }
    }

    /// Ticks since start. The hardware counts down.
    pub fn ticks(&self) -> u32 {
        !self.value.read()
    }
}
