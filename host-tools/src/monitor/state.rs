//! What a view of a device shows.

use std::collections::VecDeque;

use embernet_core::adapt::drift::THRESHOLD;

use super::{Counters, Drift, Event};
use crate::graph::grouped;
use crate::link::{Board, LogLine};
use crate::train::metrics::argmax;

/// Runs, steps and scores that charts show.
const RECENT: usize = 240;

/// Lines of log and notes that are kept.
const LINES: usize = 200;

/// What a device's ticks are.
#[derive(Debug, Clone, Copy, Default)]
pub enum Clock {
    /// Nobody knows.
    #[default]
    Unknown,
    /// So many in a second.
    Hz(u32),
    /// An emulator's, whose ticks count instructions.
    Emulated(&'static Board),
}

impl Clock {
    /// Seconds, or instructions, or ticks.
    pub fn amount(self, ticks: u64) -> f64 {
        match self {
            Self::Unknown | Self::Hz(0) => ticks as f64,
            Self::Hz(hz) => ticks as f64 / f64::from(hz),
            Self::Emulated(board) => board.instructions(ticks).unwrap_or(ticks) as f64,
        }
    }

    /// An [`Clock::amount`] for people.
    pub fn text(self, amount: f64) -> String {
        format!("{}{}", self.number(amount), self.unit())
    }

    /// What amounts are counted in, where that is always the same.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Unknown | Self::Hz(0) => " ticks",
            Self::Emulated(_) => " instructions",
            Self::Hz(_) => "",
        }
    }

    /// An [`Clock::amount`] without its [`Clock::unit`].
    pub fn number(self, amount: f64) -> String {
        match self {
            Self::Unknown | Self::Hz(0) | Self::Emulated(_) => grouped(amount as u64),
            Self::Hz(_) if amount < 1e-3 => format!("{:.1} µs", amount * 1e6),
            Self::Hz(_) if amount < 1.0 => format!("{:.2} ms", amount * 1e3),
            Self::Hz(_) => format!("{amount:.2} s"),
        }
    }
}

/// A line below the panels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// The device's log.
    Log(LogLine),
    /// A note of ours.
    Note(String),
}

/// The last so many numbers.
#[derive(Debug, Clone, Default)]
pub struct Series(VecDeque<f64>);

impl Series {
    fn push(&mut self, value: f64) {
        if self.0.len() == RECENT {
            self.0.pop_front();
        }
        self.0.push_back(value);
    }

    /// Oldest first.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = f64> + ExactSizeIterator + '_ {
        self.0.iter().copied()
    }

    /// The newest.
    pub fn last(&self) -> Option<f64> {
        self.0.back().copied()
    }

    /// The mean of those that are kept.
    pub fn mean(&self) -> Option<f64> {
        let count = self.0.len();
        (count > 0).then(|| self.0.iter().sum::<f64>() / count as f64)
    }

    /// The greatest of those that are kept.
    pub fn most(&self) -> Option<f64> {
        self.0.iter().copied().reduce(f64::max)
    }
}

/// Everything that a view shows, made of [`Event`]s.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// What device and model these are.
    pub title: String,
    /// What one can do about it while nothing happens; may be empty.
    pub hint: String,
    /// What its ticks are.
    pub clock: Clock,
    /// Names of the classes, where the outputs are such.
    pub classes: Vec<String>,
    /// The newest outputs.
    pub outputs: Vec<f32>,
    /// The class that the device says it saw, where it does not tell the outputs.
    pub class: Option<u32>,
    /// The class that the newest sample should be.
    pub label: Option<u32>,
    /// Inferences told of.
    pub inferences: u64,
    /// Right answers, and answers that had a label.
    pub right: (u64, u64),
    /// What inferences and steps took.
    pub latency: Series,
    /// Losses of steps.
    pub losses: Series,
    /// The step of the newest.
    pub step: u64,
    /// Accuracies, each judged on a number of samples.
    pub accuracies: Series,
    /// The number of samples of the newest.
    pub judged: usize,
    /// The higher drift score of input and output.
    pub drifts: Series,
    /// Both.
    pub drift: Option<Drift>,
    /// Answers by class, as the device counts.
    pub counts: Vec<u32>,
    /// The device's counters.
    pub counters: Option<Counters>,
    /// Log and notes, oldest first.
    pub told: VecDeque<Told>,
    /// Steps done and steps in all, where a training has an end.
    pub progress: Option<(u64, u64)>,
    /// Whether nothing is asked at the moment.
    pub is_paused: bool,
}

impl State {
    /// A view of the device and the model of this name.
    pub fn new(title: impl Into<String>, clock: Clock, classes: Vec<String>) -> Self {
        Self { title: title.into(), clock, classes, ..Self::default() }
    }

    /// Takes what happened.
    pub fn take(&mut self, event: Event) {
        match event {
            Event::Inferred { outputs, class, label, ticks, .. } => {
                self.inferences += 1;
                let answer = if outputs.len() > 1 { Some(argmax(&outputs)) } else { class };
                (self.outputs, self.class, self.label) = (outputs, class, label);
                if let (Some(answer), Some(label)) = (answer, label) {
                    self.right.0 += u64::from(answer == label);
                    self.right.1 += 1;
                }
                self.timed(ticks);
            }
            Event::Trained { step, loss, ticks } => {
                self.step = step.unwrap_or(self.step + 1);
                self.losses.push(loss.into());
                self.timed(ticks);
            }
            Event::Judged { accuracy, samples } => {
                self.accuracies.push(accuracy);
                self.judged = samples;
            }
            Event::Drift(drift) => {
                self.drift = Some(drift);
                self.drifts.push(drift.input.max(drift.output).into());
            }
            Event::Classes { counts } => self.counts = counts,
            Event::Counters(counters) => self.counters = Some(counters),
            Event::Log(line) => self.tell(Told::Log(line)),
            Event::Note { text } => self.tell(Told::Note(text)),
        }
    }

    fn timed(&mut self, ticks: Option<u64>) {
        if let Some(ticks) = ticks {
            self.latency.push(self.clock.amount(ticks));
        }
    }

    fn tell(&mut self, line: Told) {
        if self.told.len() == LINES {
            self.told.pop_front();
        }
        self.told.push_back(line);
    }

    /// The name of a class, or its number.
    pub fn class_name(&self, class: usize) -> String {
        self.classes.get(class).cloned().unwrap_or_else(|| class.to_string())
    }

    /// Whether the world has left what it was.
    pub fn has_drifted(&self) -> bool {
        self.drift.is_some_and(|drift| drift.input.max(drift.output) > THRESHOLD)
    }
}
