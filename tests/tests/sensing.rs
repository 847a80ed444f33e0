//! The examples with a sensor, `gesture` and `anomaly`: what they say of recorded accelerations, on the host and in QEMU.

use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

use embedded_hal::digital::InputPin;
use embernet::link::{Board, Qemu, QemuOptions, Transport};
use embernet_core::arch::Scalar;
use embernet_examples::anomaly::{self, Guard};
use embernet_examples::gesture::{self, Event, Gestures};
use embernet_examples::mpu6050::{Mpu6050, Range};
use embernet_examples::simulated::{Bus, Button};
use embernet_tests::{firmware, shared};

/// What the simulated sensor measures, and whether the button is pressed.
#[derive(Default)]
struct Script(Vec<u8>);

impl Script {
    fn measure(&mut self, acceleration: [i16; 3], button: bool) {
        self.0.extend(acceleration.iter().flat_map(|axis| axis.to_be_bytes()));
        self.0.push(button.into());
    }

    /// Runs a program's loop on the host until there is nothing more to measure.
    fn run<T>(&self, rate: u16, range: Range, mut measured: impl FnMut([i16; 3], bool) -> Option<T>) -> Vec<T> {
        let pressed = Cell::new(false);
        let mut bytes = self.0.iter().copied();
        let mut sensor = Mpu6050::new(Bus::new(|| bytes.next(), &pressed), rate, range).unwrap();
        let mut button = Button(&pressed);
        let mut events = Vec::new();
        while let Ok(acceleration) = sensor.measure() {
            events.extend(measured(acceleration, button.is_low().unwrap()));
        }
        events
    }

    /// The program says of it in QEMU what it says on the host: on a Cortex-M4F, and on a Cortex-M0 with 16 KB of RAM.
    fn is_the_same_in_qemu<T: ToString>(&self, program: &str, events: &[T]) {
        let expected: Vec<String> = events.iter().map(T::to_string).collect();
        for board in ["netduinoplus2", "m0"] {
            if let Some(said) = self.run_in_qemu(board, program, expected.len()) {
                assert_eq!(said, expected, "{board}");
            }
        }
    }

    /// The first `lines` lines that a program says in QEMU; `None`, and a line why, where this machine has none.
    fn run_in_qemu(&self, board: &str, program: &str, lines: usize) -> Option<Vec<String>> {
        let board = Board::named(board).unwrap();
        if let Some(obstacle) = firmware::obstacle(board) {
            eprintln!("skipped: {program} on board {}: {obstacle}", board.name);
            return None;
        }
        let program = firmware::build_example(program, board);
        let mut qemu = Qemu::start(board, &program, &QemuOptions::default()).unwrap();
        let mut said = Vec::new();
        // What comes before the program is ready is lost.
        hear(&mut qemu, &mut said, 1);
        for bytes in self.0.chunks(4096) {
            qemu.write(bytes).unwrap();
            // Whatever is said is heard at once, so that neither end waits for the other one.
            let mut heard = [0; 4096];
            let count = qemu.read(&mut heard, Duration::ZERO).unwrap();
            said.extend_from_slice(&heard[..count]);
        }
        hear(&mut qemu, &mut said, 1 + lines);
        Some(String::from_utf8(said).unwrap().lines().skip(1).take(lines).map(str::to_owned).collect())
    }
}

/// Waits until so many lines have been said.
fn hear(qemu: &mut Qemu, said: &mut Vec<u8>, lines: usize) {
    while said.iter().filter(|byte| **byte == b'\n').count() < lines {
        let mut bytes = [0; 4096];
        let count = qemu.read(&mut bytes, Duration::from_secs(60)).unwrap();
        assert!(count > 0, "silence after {:?}", String::from_utf8_lossy(said));
        said.extend_from_slice(&bytes[..count]);
    }
}

/// Gestures of the emlearn project (MIT), class by class: idle, snake, updown, wave.
fn recordings(dir: &Path) -> Vec<Vec<Vec<[i16; 3]>>> {
    let classes = shared::npy(&dir.join("y_uint8.npy")).values().to_ids().unwrap();
    let values = shared::npy(&dir.join("x_int16.npy"));
    let embernet::data::Values::I16(values) = values.values() else { panic!("int16") };
    let mut sorted = vec![Vec::new(); 4];
    for (recording, class) in values.chunks(3 * 400).zip(classes) {
        sorted[class as usize].push(recording.as_chunks().0.to_vec());
    }
    sorted
}

/// Each gesture is learned from five windows; all further recordings are asked.
#[test]
fn gestures_are_learned_from_five_examples() {
    let Some(dir) = shared::dir("gesture", "sets/gestures_emlearn") else { return };
    let gestures = recordings(&dir);
    // Five windows of which each begins a hop behind the one before.
    const SHAKES: usize = gesture::WINDOW + 4 * gesture::HOP;
    let mut script = Script::default();
    // The class of every measurement that is asked.
    let mut asked = Vec::new();
    for recordings in &gestures {
        let learned: Vec<_> = recordings[..2].iter().flatten().copied().take(SHAKES).collect();
        learned.into_iter().for_each(|acceleration| script.measure(acceleration, true));
        // A moment without the button, which ends the lesson.
        script.measure([0; 3], false);
        asked.push(None);
    }
    asked.truncate(1);
    for (class, recordings) in gestures.iter().enumerate() {
        for acceleration in recordings[2..].iter().flatten() {
            script.measure(*acceleration, false);
            asked.push(Some(class));
        }
    }

    let mut memory = gesture::Memory::new();
    let mut program = Gestures::new(&mut memory, Scalar);
    let events = script.run(gesture::RATE_HZ, Range::G2, |acceleration, button| program.measured(acceleration, button));

    let (learned, recognised) = events.split_at(20);
    let expected: Vec<Event> =
        (0..20).map(|at| Event::Learned { gesture: at / 5, examples: at as u32 % 5 + 1 }).collect();
    assert_eq!(learned, expected);
    let mut counts = [[0; 4]; 4];
    for (at, event) in recognised.iter().enumerate() {
        let end = gesture::WINDOW + at * gesture::HOP;
        let window = &asked[end - gesture::WINDOW..end];
        // Windows over two gestures have no right answer.
        let [Some(class), ..] = window else { continue };
        let Event::Recognised(nearest) = event else { panic!("{event:?}") };
        if window.iter().all(|other| *other == Some(*class)) {
            counts[*class][nearest.class] += 1;
        }
    }
    let right: u32 = (0..4).map(|class| counts[class][class]).sum();
    let all: u32 = counts.iter().flatten().sum();
    eprintln!("{right} of {all} windows right; rows are idle, snake, updown, wave: {counts:?}");
    assert!(f64::from(right) >= 0.9 * f64::from(all));

    script.is_the_same_in_qemu("gesture", &events);
}

/// Vibrations of a ceiling fan (Shawn Hymel), a second each, in 2048ths of 1 g, which is how the sensor says them.
fn seconds(dir: &Path, class: &str) -> Vec<Vec<[i16; 3]>> {
    let mut files: Vec<_> = std::fs::read_dir(dir.join(class)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let counts = |value: &str| (value.trim().parse::<f32>().unwrap() * 2048.0).round() as i16;
    let parse = |line: &str| -> [i16; 3] { line.split(',').map(counts).collect::<Vec<_>>().try_into().unwrap() };
    files.iter().map(|file| std::fs::read_to_string(file).unwrap().lines().map(parse).collect()).collect()
}

const NORMAL: &str = "fan_0_low_0_weight";

const OTHERS: [&str; 7] = [
    "fan_0_off_0_weight",
    "fan_0_low_0_weight-moving",
    "fan_0_low_1_weight",
    "fan_0_med_0_weight",
    "fan_0_med_1_weight",
    "fan_0_high_0_weight",
    "fan_0_high_1_weight",
];

fn guard(seconds: impl Iterator<Item = Vec<[i16; 3]>>) -> (Script, Vec<anomaly::Event>) {
    let mut script = Script::default();
    seconds.flatten().for_each(|acceleration| script.measure(acceleration, false));
    let mut memory = anomaly::Memory::new();
    let mut program = Guard::new(&mut memory, Scalar);
    let events = script.run(anomaly::RATE_HZ, Range::G16, |acceleration, _| program.measured(acceleration));
    (script, events)
}

/// The share of pairs in which what is anomalous has the greater error: the area under the ROC curve.
fn area(normal: &[f32], other: &[f32]) -> f64 {
    let greater = |other: f32| normal.iter().filter(|normal| other > **normal).count();
    other.iter().map(|other| greater(*other)).sum::<usize>() as f64 / (normal.len() * other.len()) as f64
}

/// A device that has learned a fan at low speed hears other speeds, and a weight on a blade.
#[test]
fn a_fan_that_runs_otherwise_is_noticed() {
    let Some(dir) = shared::dir("anomaly", "sets/ceiling_fan_accel") else { return };
    let normal = seconds(&dir, NORMAL);
    let others = OTHERS.map(|class| seconds(&dir, class));
    let (_, events) = guard(normal.iter().chain(others.iter().flatten()).cloned());

    let errors = |events: &[anomaly::Event]| -> Vec<f32> {
        events
            .iter()
            .filter_map(|event| if let anomaly::Event::Judged { error } = event { Some(*error) } else { None })
            .collect()
    };
    let lessons = (anomaly::LOOKS + anomaly::LESSONS + anomaly::TRIALS) as usize;
    assert!(events[..lessons].iter().all(|event| matches!(event, anomaly::Event::Learned { .. })));
    let flagged = |events: &[anomaly::Event]| events.iter().filter(|event| event.is_anomaly()).count();
    let (quiet, loud) = events[lessons..].split_at(normal.len() - lessons);
    eprintln!("{NORMAL}: {} of {} flagged", flagged(quiet), quiet.len());
    let mut areas = Vec::new();
    let mut noticed = 0;
    for (class, events) in OTHERS.iter().zip(loud.chunks(90)) {
        let area = area(&errors(quiet), &errors(events));
        eprintln!("{class}: {} of {} flagged, area under the ROC curve {area:.4}", flagged(events), events.len());
        areas.push(area);
        noticed += flagged(events);
    }
    assert!(flagged(quiet) <= 2, "at most two false alarms in {} seconds", quiet.len());
    assert!(noticed >= 600, "{noticed} of 630 noticed");
    assert!(areas.iter().all(|area| *area > 0.95));

    // A shorter one in QEMU: normal seconds, then one of each of the others.
    let (script, events) = guard(normal[..lessons + 5].iter().chain(others.iter().map(|class| &class[0])).cloned());
    script.is_the_same_in_qemu("anomaly", &events);
}
