#[path = "../../../host-tools/templates/project/src/features.rs"]
pub mod features;
#[path = "../../../host-tools/templates/sensors/adc.rs"]
pub mod sensor;

use std::cell::Cell;

use embernet::project::Sensor;
use features::{FEATURES, Window};
use sensor::{HOP, LENGTH};

#[test]
fn features_are_in_units_of_the_sensor() {
    assert_eq!(FEATURES, Sensor::Adc.features());
    let mut window = Window::new(HOP);
    let due = (0..LENGTH + HOP).filter(|at| window.push([if at % 2 == 0 { 1024 } else { 3072 }])).count();
    assert_eq!(due, 2);
    // Mean, deviation, range, roughness; it crosses its mean at every value but the first.
    let crossings = (LENGTH - 1) as f32 / LENGTH as f32;
    assert_eq!(features::of(&window), [0.5, 0.25, 0.5, 0.5, crossings]);
}

#[test]
fn measurements_keep_their_rhythm() {
    let now = Cell::new(u32::MAX - 1500);
    let ticks = || {
        now.set(now.get().wrapping_add(10));
        now.get()
    };
    let mut times = Vec::new();
    // A thousand ticks from one to the next.
    let mut sensor = sensor::Sensor::new(|| 2048, ticks, 1_000_000);
    for at in 0..6 {
        assert_eq!(sensor.read(), [2048]);
        times.push(now.get());
        // Work in between changes nothing; too much of it, and the rhythm begins anew.
        now.set(now.get().wrapping_add(if at == 3 { 5005 } else { 700 }));
    }
    let steps: Vec<u32> = times.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
    // The first one is ten ticks late: it came as soon as it was asked for.
    assert_eq!(steps, [990, 1000, 1000, 5015, 1000]);
}
