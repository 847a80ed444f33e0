//! What a model costs on an emulated board, step by step: executed instructions and, for some cores, an estimate of
//! cycles.
//!
//! The device program marks where it reads its counter (`firmware/support/src/marks.rs`); a plugin in QEMU counts what
//! runs between two marks. Instructions are exact and repeatable. Cycles are an estimate: what the core's manual says
//! that each instruction costs, for memory without wait states. QEMU shows neither caches nor the waits of flash.

mod cost;
mod plugin;
mod thumb;
mod trace;

use embernet_core::image::Image;

use crate::flash::{self, TooLarge};
use crate::link::{Board, Client, LinkError, Qemu, QemuOptions};
use plugin::Plugin;
use std::path::Path;

pub use cost::Core;

/// What some code cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Executed instructions.
    pub instructions: u64,
    /// Estimated cycles; `None` where the board has no [core](Board::cycles) to estimate.
    pub cycles: Option<u64>,
}

impl std::iter::Sum for Count {
    /// Of several steps; cycles only if all have an estimate.
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        let add = |a: Self, b: Self| Self {
            instructions: a.instructions + b.instructions,
            cycles: a.cycles.zip(b.cycles).map(|(a, b)| a + b),
        };
        counts.reduce(add).unwrap_or_default()
    }
}

/// What an inference cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// All of it, from the call of the session to its return.
    pub whole: Count,
    /// Each step of the plan, in a second run that looks at every one.
    pub steps: Vec<Count>,
    /// The outputs of the first run.
    pub outputs: Vec<Vec<u8>>,
    /// Bytes of stack that the device has used by then.
    pub stack_bytes: u32,
}

/// Why nothing was counted.
#[derive(Debug, thiserror::Error)]
pub enum CountError {
    /// The plugin does not build.
    #[error("no C compiler that builds QEMU's counting plugin: {message}")]
    Compiler {
        /// What went wrong.
        message: String,
    },
    /// QEMU does not run the model; one without plugins says so here.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The board has no room for the image.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// The plugin's file cannot be read.
    #[error("the counting plugin's file: {0}")]
    File(#[from] std::io::Error),
    /// The plugin wrote something else.
    #[error("line {line} of the counting plugin's file is not known: {text}")]
    Trace {
        /// From 1.
        line: usize,
        /// Its beginning.
        text: String,
    },
    /// Fewer stretches than steps.
    #[error("the device program marks {found} stretches, {expected} are needed; build it again")]
    Marks {
        /// How many there are.
        found: usize,
        /// How many must be there.
        expected: usize,
    },
}

/// Runs `image` for one sample on an emulated board and counts. `inputs` has one sample for each input of the model.
pub fn count(board: &Board, firmware: &Path, image: &Image<'_>, inputs: &[&[u8]]) -> Result<Counted, CountError> {
    let plugin = Plugin::build()?;
    let slot = flash::slot(image.bytes(), &board.slots, 1)?;
    let options = QemuOptions { slot: Some(slot), arguments: plugin.arguments() };
    let mut client = Client::connect(Qemu::start(board, firmware, &options)?)?;
    client.load(image, |_, _| {})?;
    let counts = || trace::stretches(&std::fs::read_to_string(plugin.file())?, board.cycles);

    let outputs = client.infer(image, inputs, false)?.outputs;
    let whole = counts()?;
    let whole = whole.last().copied().ok_or(CountError::Marks { found: 0, expected: 1 })?;

    client.profile(image, inputs)?;
    let all = counts()?;
    // The last run: a stretch for each step, and another one for noting it.
    let expected = 2 * image.infer_plan().len();
    let first = all.len().checked_sub(expected).ok_or(CountError::Marks { found: all.len(), expected })?;
    let steps = all[first..].iter().step_by(2).copied().collect();
    Ok(Counted { whole, steps, outputs, stack_bytes: client.stats()?.stack_used })
}
