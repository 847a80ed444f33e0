//! A training as it goes: some lines at the bottom of the terminal, drawn as `embernet monitor` draws.

use std::time::Duration;

use embernet::monitor::{Clock, Event, State};

use crate::output::Output;
use crate::strip::Strip;

/// What people see of a training.
pub struct Show {
    state: State,
    strip: Option<Strip>,
}

/// Times are told in microseconds: the exchange with the device is a part of them.
const CLOCK: Clock = Clock::Hz(1_000_000);

impl Show {
    /// Of a training with so many steps. Nothing is drawn yet.
    pub fn new(title: String, steps: u64) -> Self {
        let state = State { progress: Some((0, steps)), ..State::new(title, CLOCK, Vec::new()) };
        Self { state, strip: None }
    }

    /// Draws from now on, if there is a terminal.
    pub fn open(&mut self) {
        self.strip = Some(Strip::new());
    }

    /// A step was done.
    pub fn step(&mut self, step: u64, loss: f32, took: Duration) {
        let ticks = Some(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        self.state.take(Event::Trained { step: Some(step), loss, ticks });
        if let Some((done, _)) = &mut self.state.progress {
            *done = step;
        }
        self.draw();
    }

    /// An epoch is over; accuracy and the samples that it is of, if it was judged.
    pub fn epoch(&mut self, judged: Option<(f64, usize)>) {
        if let Some((accuracy, samples)) = judged {
            self.state.take(Event::Judged { accuracy, samples });
        }
        self.draw();
    }

    fn draw(&mut self) {
        if let Some(strip) = &mut self.strip {
            strip.draw(&self.state);
        }
    }

    /// Prints a line above what is drawn.
    pub fn tell(&mut self, output: &Output, text: &str) {
        match &mut self.strip {
            Some(strip) => strip.above(text.into()),
            None => output.text(text),
        }
    }
}
