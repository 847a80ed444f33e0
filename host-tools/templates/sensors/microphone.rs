//! A microphone: how loud it is in eight bands of frequency, block by block.

use core::f32::consts::SQRT_2;

use embernet_core::math;

/// Bands.
pub const CHANNELS: usize = 8;
pub type Frame = [i16; CHANNELS];
/// Seven in the logarithm: a factor of about a thousand in power.
pub const UNIT: f32 = 4096.0;

/// Frames of a window: about half a second.
pub const LENGTH: usize = 32;
/// Frames from one answer to the next.
pub const HOP: usize = 16;

/// Samples a second.
pub const RATE_HZ: u32 = 16_000;
/// Samples of a block, from which a frame is made: 16 ms.
pub const BLOCK: usize = 256;

/// 2 cos(2 pi f / RATE_HZ) for f = 250, 375, 562.5, 875, 1312.5, 2000, 3000, 4500 Hz: multiples of the 62.5 Hz that a
/// block can tell apart.
const COEFFICIENTS: [f32; CHANNELS] =
    [1.990_369_4, 1.978_353, 1.951_404_2, 1.883_088_1, 1.740_174, SQRT_2, 0.765_366_9, -0.390_180_65];

pub struct Sensor<R> {
    record: R,
}

impl<R: FnMut(&mut [i16; BLOCK])> Sensor<R> {
    /// `record` waits for a block of samples.
    pub fn new(record: R) -> Self {
        Self { record }
    }

    /// Waits for the next block. What sounds while the network works is not heard.
    pub fn read(&mut self) -> Frame {
        let mut block = [0; BLOCK];
        (self.record)(&mut block);
        COEFFICIENTS.map(|coefficient| loudness(&block, coefficient))
    }
}

/// The logarithm of a frequency's share of a block (Goertzel's algorithm).
fn loudness(block: &[i16; BLOCK], coefficient: f32) -> i16 {
    let (mut last, mut before) = (0.0, 0.0);
    for sample in block {
        let next = f32::from(*sample) / 32768.0 + coefficient * last - before;
        (before, last) = (last, next);
    }
    let power = last * last + before * before - coefficient * last * before;
    let share = math::max(power, 0.0) / BLOCK as f32 + 1e-6;
    // From -1 for silence to 1.6.
    ((math::ln(share) / 7.0 + 1.0) * UNIT) as i16
}
