//! A voltage at a pin, measured at a fixed rate.

/// The voltage, in 12 bits.
pub const CHANNELS: usize = 1;
pub type Frame = [i16; CHANNELS];
/// The highest that the converter measures.
pub const UNIT: f32 = 4096.0;

/// Measurements a second.
const RATE_HZ: u32 = 1000;
/// Frames of a window: 0.256 s.
pub const LENGTH: usize = 256;
/// Frames from one answer to the next.
pub const HOP: usize = 128;

pub struct Sensor<M, T> {
    measure: M,
    ticks: T,
    /// Ticks from one measurement to the next.
    period: u32,
    due: u32,
}

impl<M: FnMut() -> i16, T: FnMut() -> u32> Sensor<M, T> {
    /// `ticks` reads a counter that runs `tick_hz` times a second and wraps.
    pub fn new(measure: M, mut ticks: T, tick_hz: u32) -> Self {
        let due = ticks();
        Self { measure, ticks, period: tick_hz / RATE_HZ, due }
    }

    /// Waits until the next measurement is due.
    pub fn read(&mut self) -> Frame {
        let late = loop {
            let late = (self.ticks)().wrapping_sub(self.due);
            if late < 1 << 31 {
                break late;
            }
        };
        // The network may have taken longer than a period: the rhythm begins anew then.
        let start = if late > self.period { self.due.wrapping_add(late) } else { self.due };
        self.due = start.wrapping_add(self.period);
        [(self.measure)()]
    }
}
