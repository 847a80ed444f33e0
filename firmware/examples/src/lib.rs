//! What the programs in `bin/` share.
//!
//! | program | is |
//! |---|---|
//! | `bare`, `with-rtic`, `with-embassy` | [`MODEL`] in a loop of one's own and in tasks; [`measure`] stands for a sensor, [`best`] for what one does with an answer |
//! | `gesture` | [`gesture`]: an accelerometer, and gestures that are learned from a few examples |
//! | `anomaly` | [`anomaly`]: an accelerometer on a machine, and a network that learns how it moves when all is well |
//!
//! The last two have their sensor from [`mpu6050`] or, with the feature `simulated`, from [`simulated`].
#![no_std]

pub mod anomaly;
mod anomaly_model;
#[cfg(target_os = "none")]
pub mod chip;
pub mod gesture;
mod gesture_model;
mod model;
pub mod mpu6050;
pub mod simulated;

use embernet_core::exec::Arena;

pub use model::{ARENA_BYTES, MODEL};

/// Memory for [`MODEL`].
pub type ModelArena = Arena<ARENA_BYTES>;

/// Values that a sensor has measured.
pub fn measure() -> [f32; 4] {
    [0.4, -0.2, 0.1, 0.3]
}

/// Writes values to a model's input.
pub fn put(values: &[f32], input: &mut [u8]) {
    for (place, value) in input.chunks_exact_mut(4).zip(values) {
        place.copy_from_slice(&value.to_ne_bytes());
    }
}

/// The class with the highest score of a model's output.
pub fn best(output: &[u8]) -> usize {
    let (mut best, mut most) = (0, f32::NEG_INFINITY);
    for (class, score) in output.as_chunks().0.iter().map(|bytes| f32::from_ne_bytes(*bytes)).enumerate() {
        if score > most {
            (best, most) = (class, score);
        }
    }
    best
}
