//! A sensor and a button that are not there: an MPU-6050 at the level of its registers, which measures what it is sent.
//!
//! A measurement is [`BYTES`] bytes: the six of the sensor's data registers, then 1 if the button is pressed.

use core::cell::Cell;
use core::convert::Infallible;

use embedded_hal::digital::{self, InputPin};
use embedded_hal::i2c::{self, ErrorKind, I2c, NoAcknowledgeSource, Operation};

use crate::mpu6050::{ADDRESS, register};

/// Bytes of one measurement.
pub const BYTES: usize = 7;

/// The bus with the sensor on it. `source` gives the next byte; none when there is no more to measure.
#[derive(Debug)]
pub struct Bus<'b, S> {
    source: S,
    button: &'b Cell<bool>,
    register: u8,
}

impl<'b, S: FnMut() -> Option<u8>> Bus<'b, S> {
    /// Tells `button` whether it is pressed.
    pub fn new(source: S, button: &'b Cell<bool>) -> Self {
        Self { source, button, register: 0 }
    }

    fn read(&mut self, into: &mut [u8]) -> Result<(), ErrorKind> {
        match self.register {
            register::WHO_AM_I => into.fill(0x68),
            register::INT_STATUS => into.fill(1),
            register::ACCEL_XOUT_H => {
                let mut next = || (self.source)().ok_or(ErrorKind::Other);
                for byte in into {
                    *byte = next()?;
                }
                self.button.set(next()? != 0);
            }
            _ => into.fill(0),
        }
        Ok(())
    }
}

impl<S> i2c::ErrorType for Bus<'_, S> {
    type Error = ErrorKind;
}

impl<S: FnMut() -> Option<u8>> I2c for Bus<'_, S> {
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), ErrorKind> {
        if address != ADDRESS {
            return Err(ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address));
        }
        for operation in operations {
            match operation {
                // Settings are taken and change nothing.
                Operation::Write(bytes) => self.register = bytes.first().copied().unwrap_or(self.register),
                Operation::Read(into) => self.read(into)?,
            }
        }
        Ok(())
    }
}

/// The button's pin: low while it is pressed.
#[derive(Debug)]
pub struct Button<'b>(pub &'b Cell<bool>);

impl digital::ErrorType for Button<'_> {
    type Error = Infallible;
}

impl InputPin for Button<'_> {
    fn is_high(&mut self) -> Result<bool, Infallible> {
        Ok(!self.0.get())
    }

    fn is_low(&mut self) -> Result<bool, Infallible> {
        Ok(self.0.get())
    }
}
