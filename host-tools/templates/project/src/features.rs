//! Windows of frames, and the numbers that the network sees of one.

use embernet_core::math;

use super::sensor::{CHANNELS, Frame, HOP, LENGTH};

/// Numbers for each channel.
const STATISTICS: usize = 5;
/// Numbers that the network sees.
pub const FEATURES: usize = CHANNELS * STATISTICS;

/// The last [`LENGTH`] frames.
pub struct Window {
    frames: [Frame; LENGTH],
    /// Where the oldest lies: the next one takes its place.
    oldest: usize,
    /// Frames that must come before the next answer.
    missing: usize,
}

impl Default for Window {
    fn default() -> Self {
        Self { frames: [[0.0; CHANNELS]; LENGTH], oldest: 0, missing: LENGTH }
    }
}

impl Window {
    /// The next frame, in place of the oldest.
    pub fn push(&mut self, frame: Frame) {
        self.frames[self.oldest] = frame;
        self.oldest = (self.oldest + 1) % LENGTH;
        self.missing -= 1;
    }

    /// For each channel mean, standard deviation, lowest, highest, and mean change from frame to frame; every [`HOP`]
    /// frames, once the window is full.
    pub fn features(&mut self) -> Option<[f32; FEATURES]> {
        if self.missing > 0 {
            return None;
        }
        self.missing = HOP;
        let mut features = [0.0; FEATURES];
        for (channel, place) in features.chunks_exact_mut(STATISTICS).enumerate() {
            place.copy_from_slice(&self.statistics(channel));
        }
        Some(features)
    }

    fn statistics(&self, channel: usize) -> [f32; STATISTICS] {
        let (newer, older) = self.frames.split_at(self.oldest);
        let mut last = older.first().unwrap_or(&newer[0])[channel];
        let (mut sum, mut squares, mut change) = (0.0, 0.0, 0.0);
        let (mut lowest, mut highest) = (f32::INFINITY, f32::NEG_INFINITY);
        for frame in older.iter().chain(newer) {
            let value = frame[channel];
            sum += value;
            squares += value * value;
            change += (value - last).abs();
            lowest = math::min(lowest, value);
            highest = math::max(highest, value);
            last = value;
        }
        let count = LENGTH as f32;
        let mean = sum / count;
        let variance = math::max(squares / count - mean * mean, 0.0);
        [mean, math::sqrt(variance), lowest, highest, change / (count - 1.0)]
    }
}
