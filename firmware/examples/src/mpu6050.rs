//! The accelerometer of InvenSense's MPU-6050 and its relatives, over any I2C bus.
//!
//! Registers: "MPU-6000 and MPU-6050 Register Map and Descriptions", RM-MPU-6000A-00, revision 4.2.

use embedded_hal::i2c::I2c;

/// What the sensor answers to, with its pin AD0 low.
pub const ADDRESS: u8 = 0x68;

/// Numbers of registers.
pub mod register {
    pub const SAMPLE_RATE_DIVIDER: u8 = 0x19;
    pub const CONFIG: u8 = 0x1A;
    pub const ACCEL_CONFIG: u8 = 0x1C;
    pub const INT_STATUS: u8 = 0x3A;
    pub const ACCEL_XOUT_H: u8 = 0x3B;
    pub const POWER_MANAGEMENT_1: u8 = 0x6B;
    pub const WHO_AM_I: u8 = 0x75;
}

/// The acceleration that a value of 32768 stands for.
#[derive(Clone, Copy, Debug)]
pub enum Range {
    G2 = 0,
    G4 = 1,
    G8 = 2,
    G16 = 3,
}

/// Why the sensor did not start.
#[derive(Debug)]
pub enum StartError<E> {
    Bus(E),
    /// Another chip answers.
    Chip(u8),
}

/// The sensor at work.
#[derive(Debug)]
pub struct Mpu6050<B> {
    bus: B,
}

impl<B: I2c> Mpu6050<B> {
    /// Starts measuring `rate_hz` times a second, 4 to 1000.
    pub fn new(bus: B, rate_hz: u16, range: Range) -> Result<Self, StartError<B::Error>> {
        let mut sensor = Self { bus };
        let mut id = [0];
        sensor.read(register::WHO_AM_I, &mut id).map_err(StartError::Bus)?;
        // MPU-6050, MPU-6500, MPU-6886.
        if !matches!(id, [0x68 | 0x70 | 0x19]) {
            return Err(StartError::Chip(id[0]));
        }
        let divider = (1000 / rate_hz.clamp(4, 1000) - 1) as u8;
        let settings = [
            (register::POWER_MANAGEMENT_1, 0), // awake
            (register::CONFIG, 2),             // a low pass at 94 Hz; the rate is 1 kHz before the divider
            (register::SAMPLE_RATE_DIVIDER, divider),
            (register::ACCEL_CONFIG, (range as u8) << 3),
        ];
        for (register, value) in settings {
            sensor.bus.write(ADDRESS, &[register, value]).map_err(StartError::Bus)?;
        }
        Ok(sensor)
    }

    /// Waits for the next measurement: acceleration along x, y and z.
    pub fn measure(&mut self) -> Result<[i16; 3], B::Error> {
        let mut status = [0];
        while status[0] & 1 == 0 {
            self.read(register::INT_STATUS, &mut status)?;
        }
        let mut bytes = [0; 6];
        self.read(register::ACCEL_XOUT_H, &mut bytes)?;
        let [x, y, z] = [0, 2, 4].map(|at| i16::from_be_bytes([bytes[at], bytes[at + 1]]));
        Ok([x, y, z])
    }

    fn read(&mut self, register: u8, into: &mut [u8]) -> Result<(), B::Error> {
        self.bus.write_read(ADDRESS, &[register], into)
    }
}
