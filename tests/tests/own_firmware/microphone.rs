#[path = "../../../host-tools/templates/project/src/features.rs"]
pub mod features;
#[path = "../../../host-tools/templates/sensors/microphone.rs"]
pub mod sensor;

use std::f64::consts::TAU;

use embernet::project::Sensor;
use sensor::{BLOCK, CHANNELS, RATE_HZ};

#[test]
fn a_tone_is_loudest_in_its_own_band() {
    assert_eq!(features::FEATURES, Sensor::Microphone.features());
    let window = features::Window::new(sensor::HOP);
    assert_eq!(features::of(&window).len(), 5 * CHANNELS);
    let bands = [250.0, 375.0, 562.5, 875.0, 1312.5, 2000.0, 3000.0, 4500.0];
    assert_eq!(bands.len(), CHANNELS);
    for (band, hertz) in bands.into_iter().enumerate() {
        let mut microphone = sensor::Sensor::new(|block: &mut [i16; BLOCK]| {
            for (at, sample) in block.iter_mut().enumerate() {
                *sample = (10_000.0 * (TAU * hertz * at as f64 / f64::from(RATE_HZ)).sin()) as i16;
            }
        });
        let frame = microphone.read();
        for (other, loudness) in frame.into_iter().enumerate() {
            // A block holds whole periods of every band, so nothing leaks; a unit is a factor of a thousand in power.
            assert!(other == band || f32::from(frame[band] - loudness) > 0.9 * sensor::UNIT, "{hertz} Hz: {frame:?}");
        }
    }
}
