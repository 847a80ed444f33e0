//! The numbers that the network sees of a window.

use embernet_core::signal::features::Axis;

use super::sensor::{CHANNELS, LENGTH, UNIT};

/// How many they are.
pub const FEATURES: usize = CHANNELS * Axis::COUNT;

/// The last frames.
pub type Window = embernet_core::signal::window::Window<CHANNELS, LENGTH>;

/// For each channel mean, standard deviation, range and roughness, in units of the sensor, and how often it crosses its
/// mean, as a part of the window's length.
pub fn of(window: &Window) -> [f32; FEATURES] {
    let mut features = [0.0; FEATURES];
    for (channel, place) in features.chunks_exact_mut(Axis::COUNT).enumerate() {
        let scale = [UNIT, UNIT, UNIT, UNIT, LENGTH as f32];
        let values = Axis::of(window.axis(channel)).to_f32();
        for ((place, value), scale) in place.iter_mut().zip(values).zip(scale) {
            *place = value / scale;
        }
    }
    features
}
