#[path = "../../../host-tools/templates/project/src/features.rs"]
pub mod features;
#[path = "../../../host-tools/templates/sensors/adc.rs"]
pub mod sensor;

use std::cell::Cell;

use embernet::project::Sensor;
use features::{FEATURES, Window};
use sensor::{HOP, LENGTH};

#[test]
fn features_are_statistics_of_the_window() {
    assert_eq!(FEATURES, Sensor::Adc.features());
    let mut window = Window::default();
    // Zeros first: the window forgets them.
    for at in 0..LENGTH {
        assert_eq!(window.features(), None, "frame {at}");
        window.push([0.0]);
    }
    assert_eq!(window.features(), Some([0.0; FEATURES]));
    let mut found = None;
    for at in 0..LENGTH {
        window.push([if at % 2 == 0 { 0.25 } else { 0.75 }]);
        found = window.features();
        assert_eq!(found.is_some(), (at + 1) % HOP == 0, "frame {at}");
    }
    // Mean, deviation, lowest, highest, mean change.
    assert_eq!(found, Some([0.5, 0.25, 0.25, 0.75, 0.5]));
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
    let mut sensor = sensor::Sensor::new(|| 0.5, ticks, 1_000_000);
    for at in 0..6 {
        assert_eq!(sensor.read(), [0.5]);
        times.push(now.get());
        // Work in between changes nothing; too much of it, and the rhythm begins anew.
        now.set(now.get().wrapping_add(if at == 3 { 5005 } else { 700 }));
    }
    let steps: Vec<u32> = times.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
    assert_eq!(steps, [1000, 1000, 1000, 5015, 1000]);
}
