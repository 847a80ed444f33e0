//! Learns how a machine vibrates when all is well, and says when it does otherwise.
//!
//! Every second becomes 12 features. First their means and deviations are measured; then a small autoencoder learns,
//! here, to give back the features that it is shown, standardised; then it is measured how well it does so. From then
//! on a second that it gives back much worse is an anomaly, because the network has not seen its like.

use core::fmt;

use embernet_core::adapt::drift::Drift;
use embernet_core::adapt::replay::Replay;
use embernet_core::arch::Isa;
use embernet_core::exec::{Arena, PlanKind, Session};
use embernet_core::image::Image;
use embernet_core::quant::{dequantize_i8, quantize_i8};
use embernet_core::rng::Rng;
use embernet_core::signal::features::Axis;
use embernet_core::signal::window::Window;

pub use crate::anomaly_model::{ARENA_BYTES, MODEL};

/// Measurements a second, and of a window.
pub const RATE_HZ: u16 = 200;
/// Measurements of a window.
pub const WINDOW: usize = 200;
/// Features of a window: all but the means, which tell how the sensor is fixed and not how it moves.
pub const FEATURES: usize = 3 * (Axis::COUNT - 1);

/// Windows that are looked at for the features' means and deviations.
pub const LOOKS: u32 = 20;
/// Windows that are then learned.
pub const LESSONS: u32 = 20;
/// Windows that then show how well they are given back.
pub const TRIALS: u32 = 15;
/// Training steps after each lesson, each on one of the windows so far.
const STEPS: usize = 40;
/// An error so many deviations above the mean of the trials is an anomaly.
const LIMIT: f32 = 5.0;

/// Features as int8 are in 32nds of a deviation.
const SCALE: f32 = 1.0 / 32.0;

/// The memory: the network's, and the lessons.
#[derive(Debug, Default)]
pub struct Memory {
    arena: Arena<ARENA_BYTES>,
    lessons: [[i8; FEATURES]; LESSONS as usize],
    labels: [u16; LESSONS as usize],
    seen: [u32; 1],
}

impl Memory {
    pub const fn new() -> Self {
        const LESSON_COUNT: usize = LESSONS as usize;
        Self { arena: Arena::new(), lessons: [[0; FEATURES]; LESSON_COUNT], labels: [0; LESSON_COUNT], seen: [0] }
    }
}

/// What was made of a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event {
    /// One of so many windows that are still to come before anything is judged.
    Learned { left: u32 },
    /// How much the network's answer differs from the window, in the mean and deviation of the trials.
    Judged { error: f32 },
}

impl Event {
    /// Whether the window is unlike those that were learned.
    pub fn is_anomaly(self) -> bool {
        matches!(self, Self::Judged { error } if error > LIMIT)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Learned { left } => write!(f, "learned, {left} to go"),
            // Hundredths: formatting a float would take more flash than all of the rest.
            Self::Judged { error } if self.is_anomaly() => write!(f, "anomaly {}", (error * 100.0) as i32),
            Self::Judged { error } => write!(f, "normal {}", (error * 100.0) as i32),
        }
    }
}

/// The guard of one machine.
#[derive(Debug)]
pub struct Guard<'m, I> {
    window: Window<3, WINDOW>,
    /// Mean and deviation of each feature.
    normal: [Drift; FEATURES],
    session: Session<'m, I>,
    lessons: Replay<'m>,
    /// Mean and deviation of the network's errors.
    errors: Drift,
    windows: u32,
}

impl<'m, I: Isa> Guard<'m, I> {
    pub fn new(memory: &'m mut Memory, isa: I) -> Self {
        let image = Image::parse(&MODEL.0).unwrap();
        let session = Session::new(&image, memory.arena.bytes(), isa).unwrap();
        let lessons = memory.lessons.as_flattened_mut();
        Self {
            window: Window::new(WINDOW),
            normal: [Drift::new(LOOKS); FEATURES],
            session,
            lessons: Replay::new(lessons, &mut memory.labels, &mut memory.seen, Rng::new(1)),
            errors: Drift::new(TRIALS),
            windows: 0,
        }
    }

    /// Takes a measurement. Says what was made of a window when one is full.
    pub fn measured(&mut self, acceleration: [i16; 3]) -> Option<Event> {
        if !self.window.push(acceleration) {
            return None;
        }
        self.windows = self.windows.saturating_add(1);
        let features = features(&self.window);
        if self.windows <= LOOKS {
            self.normal.iter_mut().zip(features).for_each(|(normal, feature)| normal.observe(feature, 1.0));
        } else if self.windows <= LOOKS + LESSONS {
            let standard = self.standardised(features);
            self.lessons.keep(standard, 0);
            self.learn();
        } else {
            let standard = self.standardised(features);
            let error = self.error(standard);
            if self.errors.is_ready() {
                return Some(Event::Judged { error: (error - self.errors.mean) / self.errors.deviation });
            }
            self.errors.observe(error, f32::MIN_POSITIVE);
        }
        Some(Event::Learned { left: LOOKS + LESSONS + TRIALS - self.windows })
    }

    /// Features in deviations from their means.
    fn standardised(&self, features: [f32; FEATURES]) -> [i8; FEATURES] {
        let mut standard = [0; FEATURES];
        for ((to, normal), feature) in standard.iter_mut().zip(&self.normal).zip(features) {
            *to = quantize_i8((feature - normal.mean) / normal.deviation, SCALE, 0);
        }
        standard
    }

    /// Some training steps, each on one of the lessons so far: alone, the last one would make the others forgotten.
    fn learn(&mut self) {
        for _ in 0..STEPS {
            let Some((lesson, _)) = self.lessons.draw() else { return };
            put(lesson, self.session.input_mut(PlanKind::Train, 0));
            put(lesson, self.session.target_mut());
            self.session.train_step(1).unwrap();
        }
    }

    /// Mean squared difference between what the network is shown and what it gives back.
    fn error(&mut self, standard: [i8; FEATURES]) -> f32 {
        put(&standard, self.session.input_mut(PlanKind::Infer, 0));
        self.session.infer(1).unwrap();
        let output = self.session.output(0).as_chunks().0.iter().map(|bytes| f32::from_ne_bytes(*bytes));
        let differences = output.zip(standard).map(|(given, shown)| given - dequantize_i8(shown, SCALE, 0));
        differences.map(|difference| difference * difference).sum::<f32>() / FEATURES as f32
    }
}

/// Writes lessons where the network reads real numbers.
fn put(values: &[i8], to: &mut [u8]) {
    for (place, value) in to.chunks_exact_mut(4).zip(values) {
        place.copy_from_slice(&dequantize_i8(*value, SCALE, 0).to_ne_bytes());
    }
}

/// How the machine moves: four features of each axis.
pub fn features(window: &Window<3, WINDOW>) -> [f32; FEATURES] {
    let mut features = [0.0; FEATURES];
    for (axis, place) in features.chunks_exact_mut(Axis::COUNT - 1).enumerate() {
        let [_mean, movement @ ..] = Axis::of(window.axis(axis)).to_f32();
        place.copy_from_slice(&movement);
    }
    features
}
