//! A link out of a HAL's serial port that never waits.

use core::convert::Infallible;

use embedded_io::{ErrorType, Read, Write};

/// Waits for a serial port: `read` and `write` are its HAL's functions for one byte.
#[derive(Debug)]
pub struct Polled<R, W> {
    read: R,
    write: W,
}

impl<R, W> Polled<R, W> {
    /// A link that asks these two again until they have something to say.
    pub fn new(read: R, write: W) -> Self {
        Self { read, write }
    }
}

impl<R, W> ErrorType for Polled<R, W> {
    type Error = Infallible;
}

impl<R: FnMut() -> nb::Result<u8, E>, W, E> Read for Polled<R, W> {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Infallible> {
        let Some(first) = bytes.first_mut() else { return Ok(0) };
        loop {
            // A byte that came damaged or too fast is lost: the protocol repairs that.
            if let Ok(byte) = (self.read)() {
                *first = byte;
                return Ok(1);
            }
        }
    }
}

impl<R, W: FnMut(u8) -> nb::Result<(), E>, E> Write for Polled<R, W> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        for byte in bytes {
            while let Err(nb::Error::WouldBlock) = (self.write)(*byte) {}
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}
