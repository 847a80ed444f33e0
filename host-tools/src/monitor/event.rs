//! What a device does or says.

use embernet_core::adapt::watch::Watch;
use embernet_core::wire::DeviceStats;
use serde::Serialize;

use crate::link::LogLine;

/// Something that a device did or said.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// One inference.
    Inferred {
        /// The number of the sample in the data, if the host has sent it.
        #[serde(skip_serializing_if = "Option::is_none")]
        sample: Option<usize>,
        /// The model's output as real values; empty where it is not known.
        outputs: Vec<f32>,
        /// The highest output, where the device tells that only.
        #[serde(skip_serializing_if = "Option::is_none")]
        class: Option<u32>,
        /// The class that it should be.
        #[serde(skip_serializing_if = "Option::is_none")]
        label: Option<u32>,
        /// Ticks of the device's counter.
        #[serde(skip_serializing_if = "Option::is_none")]
        ticks: Option<u64>,
    },
    /// One training step.
    Trained {
        /// Counted from 1; `None` where the device does not tell.
        #[serde(skip_serializing_if = "Option::is_none")]
        step: Option<u64>,
        /// Mean loss before the update.
        loss: f32,
        /// Ticks of the device's counter.
        #[serde(skip_serializing_if = "Option::is_none")]
        ticks: Option<u64>,
    },
    /// The model's answers were compared with labels.
    Judged {
        /// Share of right ones.
        accuracy: f64,
        /// How many there were.
        samples: usize,
    },
    /// How far the world is from what it was.
    Drift(Drift),
    /// How often each class was the answer, as the device has counted.
    Classes {
        /// By class.
        counts: Vec<u32>,
    },
    /// The device's counters.
    Counters(Counters),
    /// A message of its log.
    Log(LogLine),
    /// Something that the person should know.
    Note {
        /// A sentence.
        text: String,
    },
}

/// How far inputs and outputs are from the reference.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Drift {
    /// The higher score of the input's level and spread ([`embernet_core::adapt::drift::Drift::score`]).
    pub input: f32,
    /// The same of the output.
    pub output: f32,
    /// Samples of the reference that are still to come; 0: it stands.
    pub missing: u32,
}

impl Drift {
    /// What a device's watch says; `None` if it watches no inference.
    pub fn of(watch: &Watch) -> Option<Self> {
        let level = &watch.input.level;
        let drift = Self {
            input: watch.input.score(),
            output: watch.output.score(),
            missing: level.reference.saturating_sub(level.seen),
        };
        watch.is_on().then_some(drift)
    }
}

/// What a device counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Inferences since the model was started.
    pub inferences: u32,
    /// Updates that the parameters have seen.
    pub updates: u32,
    /// The most stack bytes in use since start.
    pub stack_used: u32,
    /// Bytes of the stack.
    pub stack_bytes: u32,
    /// Bytes of the arena that the model takes.
    pub arena_used: u32,
    /// Bytes of the arena.
    pub arena_bytes: u32,
    /// Frames that came damaged.
    pub bad_frames: u32,
}

impl From<DeviceStats> for Counters {
    fn from(stats: DeviceStats) -> Self {
        Self {
            inferences: stats.inferences,
            updates: stats.steps,
            stack_used: stats.stack_used,
            stack_bytes: stats.stack_bytes,
            arena_used: stats.arena_used,
            arena_bytes: stats.arena_bytes,
            bad_frames: stats.bad_frames,
        }
    }
}
