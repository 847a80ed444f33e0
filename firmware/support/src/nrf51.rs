use core::convert::Infallible;

use embedded_io::{ErrorType, Read, Write};
use embedded_storage::nor_flash::{ErrorType as FlashErrorType, NorFlash, ReadNorFlash};
use embernet_app::Region;

use crate::mmio::{Register, memory};
use crate::ram_flash::{FlashError, check};

/// The UART (nRF51 reference manual, chapter 29), 8N1 without flow control.
#[derive(Debug)]
pub struct Uart {
    received: Register,
    sent: Register,
    rxd: Register,
    txd: Register,
}

/// 1 Mbaud, the fastest.
const BAUD_1M: u32 = 0x1000_0000;

impl Uart {
    /// Switches the UART on with its lines on these pins.
    ///
    /// # Safety
    /// The program runs on an nRF51 and the caller alone uses its UART.
    pub unsafe fn new(tx_pin: u32, rx_pin: u32) -> Self {
        // SAFETY: register offsets of UART0, the caller's promise.
        let register = |offset: usize| unsafe { Register::new(0x4000_2000 + offset) };
        register(0x50C).write(tx_pin);
        register(0x514).write(rx_pin);
        register(0x524).write(BAUD_1M);
        register(0x500).write(4); // enable
        register(0x000).write(1); // start receiving
        register(0x008).write(1); // start transmitting
        Self { received: register(0x108), sent: register(0x11C), rxd: register(0x518), txd: register(0x51C) }
    }
}

impl ErrorType for Uart {
    type Error = Infallible;
}

impl Read for Uart {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Infallible> {
        let Some(first) = bytes.first_mut() else { return Ok(0) };
        while self.received.read() == 0 {}
        // The event is cleared before the byte is taken: a byte that follows raises it again.
        self.received.write(0);
        *first = self.rxd.read() as u8;
        Ok(1)
    }
}

impl Write for Uart {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        for byte in bytes {
            self.sent.write(0);
            self.txd.write(u32::from(*byte));
            while self.sent.read() == 0 {}
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// Timer 0 (chapter 18), run freely over 32 bits at 16 MHz.
#[derive(Debug)]
pub struct Timer {
    capture: Register,
    captured: Register,
}

impl Timer {
    /// Starts the timer.
    ///
    /// # Safety
    /// The program runs on an nRF51 and the caller alone uses timer 0.
    pub unsafe fn new() -> Self {
        // SAFETY: register offsets of TIMER0, the caller's promise.
        let register = |offset: usize| unsafe { Register::new(0x4000_8000 + offset) };
        register(0x508).write(3); // 32 bits
        register(0x510).write(0); // no prescaler
        register(0x000).write(1); // start
        Self { capture: register(0x040), captured: register(0x540) }
    }

    /// Ticks since start.
    pub fn ticks(&self) -> u32 {
        self.capture.write(1);
        self.captured.read()
    }
}

/// The controller that erases and programs flash (chapter 6), for one region of it.
///
/// The processor waits while flash is busy, so that code may run from the flash that it programs.
#[derive(Debug)]
pub struct Flash {
    base: usize,
    bytes: usize,
    ready: Register,
    config: Register,
    erase_page: Register,
}

/// Bytes of an erase page.
pub const PAGE: usize = 1024;
const READ_ONLY: u32 = 0;
const WRITE: u32 = 1;
const ERASE: u32 = 2;

impl Flash {
    /// The driver for `bytes` bytes of flash from `base` on.
    ///
    /// # Safety
    /// The program runs on an nRF51; the region is whole pages of its flash that hold neither code
    /// nor constants, and only this value uses the region. Several drivers for different regions
    /// may exist on the one thread.
    pub unsafe fn new(base: usize, bytes: usize) -> Self {
        // SAFETY: register offsets of NVMC, the caller's promise.
        let register = |offset: usize| unsafe { Register::new(0x4001_E000 + offset) };
        Self { base, bytes, ready: register(0x400), config: register(0x504), erase_page: register(0x508) }
    }

    fn with_mode(&self, mode: u32, work: impl FnOnce()) {
        self.config.write(mode);
        self.wait();
        work();
        self.wait();
        self.config.write(READ_ONLY);
        self.wait();
    }

    fn wait(&self) {
        while self.ready.read() == 0 {}
    }
}

impl FlashErrorType for Flash {
    type Error = FlashError;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        let end = (offset as usize).saturating_add(bytes.len());
        bytes.copy_from_slice(self.bytes().get(offset as usize..end).ok_or(FlashError::OutOfBounds)?);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = PAGE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        check(from, to as usize, PAGE, self.bytes)?;
        for page in (from as usize..to as usize).step_by(PAGE) {
            let address = (self.base + page) as u32;
            self.with_mode(ERASE, || self.erase_page.write(address));
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        check(offset, (offset as usize).saturating_add(bytes.len()), Self::WRITE_SIZE, self.bytes)?;
        let words = bytes.as_chunks::<4>().0.iter().enumerate();
        for (index, word) in words {
            // SAFETY: `check` has seen that the word lies in the region, which is this value's;
            // the controller is in write mode, so that the store programs it.
            let cell = unsafe { Register::new(self.base + offset as usize + index * 4) };
            self.with_mode(WRITE, || cell.write(u32::from_le_bytes(*word)));
        }
        Ok(())
    }
}

impl Region for Flash {
    fn bytes(&self) -> &[u8] {
        // SAFETY: `new`'s caller vouched for the region; only `erase` and `write` change it, and
        // they need this value mutably, so not while the slice lives.
        unsafe { memory(self.base, self.bytes) }
    }
}
