//! Recognises gestures, and learns a new one from a few examples while a button is pressed.
//!
//! Two seconds of acceleration become 15 features, these go through a network, and the network's last layer but one is
//! what a gesture is told by: it belongs to the class whose mean is nearest. The network was trained on other movements
//! (sport exercises) and stays as it is; the means are learned here.

use core::fmt;

use embernet_core::adapt::prototypes::{self, Nearest, Prototypes};
use embernet_core::arch::Isa;
use embernet_core::exec::{Arena, PlanKind, Session};
use embernet_core::image::Image;
use embernet_core::quant::quantize_i8;
use embernet_core::signal::features::Axis;
use embernet_core::signal::window::Window;

pub use crate::gesture_model::{ARENA_BYTES, MODEL};

/// Measurements a second.
pub const RATE_HZ: u16 = 100;
/// Measurements of a window.
pub const WINDOW: usize = 200;
/// Measurements from one window to the next.
pub const HOP: usize = 100;
/// Gestures that there is place for.
pub const GESTURES: usize = 8;
/// Values that the network makes of a window.
pub const EMBEDDING: usize = 16;
/// Features of a window.
pub const FEATURES: usize = 3 * Axis::COUNT;

/// What brings an axis' features into the range of int8, for a sensor that says 16384 for 1 g.
const SHIFTS: [u32; Axis::COUNT] = [8, 6, 9, 4, 0];

/// The memory: the network's, and that of the gestures.
#[derive(Debug, Default)]
pub struct Memory {
    arena: Arena<ARENA_BYTES>,
    gestures: [[i32; prototypes::words(1, EMBEDDING)]; GESTURES],
}

impl Memory {
    pub const fn new() -> Self {
        Self { arena: Arena::new(), gestures: [[0; prototypes::words(1, EMBEDDING)]; GESTURES] }
    }
}

/// What a window was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// An example of this gesture, and how many it has by now.
    Learned { gesture: usize, examples: u32 },
    /// This gesture.
    Recognised(Nearest),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Learned { gesture, examples } => write!(f, "learned gesture {gesture}, example {examples}"),
            Self::Recognised(Nearest { class, distance }) => write!(f, "gesture {class}, distance {distance}"),
        }
    }
}

/// The recogniser.
#[derive(Debug)]
pub struct Gestures<'m, I> {
    window: Window<3, WINDOW>,
    session: Session<'m, I>,
    prototypes: Prototypes<'m>,
    /// Whether the button was pressed at the last measurement.
    button: bool,
    /// The gesture that is being learned.
    learning: Option<usize>,
}

impl<'m, I: Isa> Gestures<'m, I> {
    pub fn new(memory: &'m mut Memory, isa: I) -> Self {
        let image = Image::parse(&MODEL.0).unwrap();
        let session = Session::new(&image, memory.arena.bytes(), isa).unwrap();
        let prototypes = Prototypes::new(memory.gestures.as_flattened_mut(), EMBEDDING);
        Self { window: Window::new(HOP), session, prototypes, button: false, learning: None }
    }

    /// Takes a measurement. Once a second, when the first window is full, it says what was seen.
    ///
    /// From the moment the button is pressed, what is seen is a new gesture; when it is released, the gesture is learned.
    pub fn measured(&mut self, acceleration: [i16; 3], button: bool) -> Option<Event> {
        if button != self.button {
            // No window has measurements of both.
            self.window.clear();
            self.button = button;
            self.learning = if button { self.prototypes.unused() } else { None };
        }
        if !self.window.push(acceleration) {
            return None;
        }
        let embedding = self.embed();
        if let Some(gesture) = self.learning {
            self.prototypes.learn(gesture, &embedding).unwrap();
            return Some(Event::Learned { gesture, examples: self.prototypes.examples(gesture) });
        }
        self.prototypes.nearest(&embedding).map(Event::Recognised)
    }

    /// What the network makes of the window.
    fn embed(&mut self) -> [i8; EMBEDDING] {
        let features = features(&self.window);
        let input = self.session.image().inputs()[0];
        let places = self.session.input_mut(PlanKind::Infer, 0);
        for (place, feature) in places.iter_mut().zip(features) {
            *place = quantize_i8(feature.into(), input.scale, input.zero_point) as u8;
        }
        self.session.infer(1).unwrap();
        let mut embedding = [0; EMBEDDING];
        embedding.iter_mut().zip(self.session.output(0)).for_each(|(to, from)| *to = *from as i8);
        embedding
    }
}

/// The features of a window, five of each axis.
pub fn features(window: &Window<3, WINDOW>) -> [i8; FEATURES] {
    let mut features = [0; FEATURES];
    for (axis, place) in features.chunks_exact_mut(Axis::COUNT).enumerate() {
        place.copy_from_slice(&Axis::of(window.axis(axis)).to_i8(SHIFTS));
    }
    features
}
