//! What the three programs share: the model, and what stands for a sensor and for what one does with an answer.
#![no_std]

mod model;

use embernet_core::exec::Arena;

pub use model::MODEL;

/// Memory for [`MODEL`]; `embernet inspect` says how much a model needs.
pub type ModelArena = Arena<4096>;

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
