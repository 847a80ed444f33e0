//! An accelerometer LIS3DH on I2C (ST, data sheet DocID17530). It measures by itself, 50 times a second.

use embedded_hal::i2c::I2c;

/// x, y and z.
pub const CHANNELS: usize = 3;
pub type Frame = [i16; CHANNELS];
/// 1 g.
pub const UNIT: f32 = 16384.0;

/// Frames of a window: 1.28 s.
pub const LENGTH: usize = 64;
/// Frames from one answer to the next.
pub const HOP: usize = 32;

/// With its pin SA0 low; 0x19 otherwise.
const ADDRESS: u8 = 0x18;
const CTRL_REG1: u8 = 0x20;
const CTRL_REG4: u8 = 0x23;
const STATUS_REG: u8 = 0x27;
const OUT_X_L: u8 = 0x28;
/// In front of a register: go on with the next ones.
const INCREMENT: u8 = 0x80;

/// 50 measurements a second, all three axes.
const RATE_50_HZ: u8 = 0x47;
/// 12 bits, between -2 g and 2 g, both bytes of a value from one measurement.
const HIGH_RESOLUTION: u8 = 0x88;
/// All three axes have a new value.
const ALL_NEW: u8 = 0x08;

pub struct Sensor<B> {
    bus: B,
}

impl<B: I2c> Sensor<B> {
    pub fn new(mut bus: B) -> Self {
        bus.write(ADDRESS, &[CTRL_REG1, RATE_50_HZ]).unwrap();
        bus.write(ADDRESS, &[CTRL_REG4, HIGH_RESOLUTION]).unwrap();
        Self { bus }
    }

    /// Waits for the next measurement.
    pub fn read(&mut self) -> Frame {
        let mut status = [0];
        while status[0] & ALL_NEW == 0 {
            self.bus.write_read(ADDRESS, &[STATUS_REG], &mut status).unwrap();
        }
        let mut axes = [0; 6];
        self.bus.write_read(ADDRESS, &[OUT_X_L | INCREMENT], &mut axes).unwrap();
        let [x_low, x_high, y_low, y_high, z_low, z_high] = axes;
        [[x_low, x_high], [y_low, y_high], [z_low, z_high]].map(i16::from_le_bytes)
    }
}
