use core::convert::Infallible;

use embedded_io::{ErrorType, Read, Write};

/// A 16550 with byte-wide registers.
#[derive(Debug)]
pub struct Uart {
    base: *mut u8,
}

const DATA: usize = 0;
const FIFO_CONTROL: usize = 2;
const LINE_CONTROL: usize = 3;
const LINE_STATUS: usize = 5;
const RECEIVED: u8 = 1 << 0;
const CAN_SEND: u8 = 1 << 5;

impl Uart {
    /// Switches the UART to 8N1 with its FIFOs on; the baud rate stays as it is.
    ///
    /// # Safety
    /// `base` is the address of such a UART, and the caller alone uses it.
    pub unsafe fn new(base: usize) -> Self {
        let mut uart = Self { base: core::ptr::with_exposed_provenance_mut(base) };
        uart.write_register(LINE_CONTROL, 0b11);
        uart.write_register(FIFO_CONTROL, 0b111);
        // QEMU looks for input at once when this register is read, otherwise only after its next
        // timer, up to a second later.
        uart.read_register(DATA);
        uart
    }

    fn read_register(&self, offset: usize) -> u8 {
        // SAFETY: `new`'s caller vouched for a 16550 at `base`, which has eight registers.
        unsafe { self.base.add(offset).read_volatile() }
    }

    fn write_register(&mut self, offset: usize, value: u8) {
        // SAFETY: as in `read_register`.
        unsafe { self.base.add(offset).write_volatile(value) }
    }
}

impl ErrorType for Uart {
    type Error = Infallible;
}

impl Read for Uart {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Infallible> {
        let Some(first) = bytes.first_mut() else { return Ok(0) };
        while self.read_register(LINE_STATUS) & RECEIVED == 0 {}
        *first = self.read_register(DATA);
        Ok(1)
    }
}

impl Write for Uart {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        for byte in bytes {
            while self.read_register(LINE_STATUS) & CAN_SEND == 0 {}
            self.write_register(DATA, *byte);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        while self.read_register(LINE_STATUS) & CAN_SEND == 0 {}
        Ok(())
    }
}
