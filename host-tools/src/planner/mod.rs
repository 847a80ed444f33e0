//! What a model can learn on a device with so much memory, and what each way costs.
//!
//! Every way is lowered as [`crate::image::pack`] lowers it, so that its bytes are those that the device needs: the
//! image runs in an arena of that size and in none a byte smaller. Instructions are an estimate ([`cost`]), and so is
//! what learning gains ([`gain`]).
//!
//! It lists what can learn. For each of these the fastest plan is tried first; where it needs too much, the
//! gradients of a batch are added up sample by sample, activations computed again or kept as int8, gradient tiles made
//! small, and state kept in fewer bits; in 16-bit fixed point, too, where the model has such a form. The best of those that fit gains most; among equals it is the one with fewest instructions, then
//! the smallest.

pub mod cost;
pub mod gain;

mod activations;
mod file;
mod normalise;
mod search;
mod ways;

#[cfg(test)]
mod tests;

pub use file::{PlanFile, PlanFileError};
pub use gain::Gains;
pub use normalise::{Normalisation, normalisation};
pub use search::plan;

use crate::graph::Selection;
use crate::lower::{Loss, Optimize, Options, Precision, TrainOptions};
use embernet_core::arch::IsaId;
use embernet_core::optim::OptimizerRecord;
use embernet_core::optim::state::StateFormat;
use serde::Serialize;

/// What is wanted, and what there is.
#[derive(Debug, Clone)]
pub struct Request {
    /// The device's instruction set.
    pub isa: IsaId,
    /// What is made small where a layer can be computed in several ways.
    pub optimize: Optimize,
    /// What a multiply-accumulate and the rest cost there.
    pub core: cost::Core,
    /// Most bytes of the arena; `None`: no limit.
    pub ram: Option<usize>,
    /// Bytes of flash that what was learned may take; `None`: no limit.
    pub flash: Option<usize>,
    /// Bytes of the smallest piece of that flash that can be erased.
    pub erase_bytes: usize,
    /// The rule, its state as f32.
    pub optimizer: OptimizerRecord,
    /// What training minimises.
    pub loss: Loss,
    /// Samples of one update.
    pub batch: usize,
    /// The numbers that a float model may be computed in; what a model has no form in is left out. Integers have their
    /// own.
    pub precisions: Vec<Precision>,
}

/// One way to train.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Way {
    /// What learns.
    pub train: Selection,
    /// The numbers that a float model is computed in.
    pub precision: Precision,
    /// How the optimiser's state is kept; in 16-bit fixed point it has a form of its own.
    #[serde(serialize_with = "format_name")]
    pub state: StateFormat,
    /// Samples in one pass.
    pub batch: usize,
    /// Passes for one update.
    pub passes: u32,
    /// Layers whose output is computed again.
    pub recompute: Vec<String>,
    /// Layers whose output is kept as int8.
    pub compress: Vec<String>,
    /// Elements of gradient tiles, if fewer than usual.
    pub tile: Option<usize>,
}

fn format_name<S: serde::Serializer>(format: &StateFormat, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(format.name())
}

/// A way and what it costs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Candidate {
    /// The way.
    pub way: Way,
    /// Bytes of the arena, for training and inference: exactly what the device needs.
    pub ram_bytes: usize,
    /// Bytes of flash for what was learned, twice: one copy is whole while the other is written.
    pub flash_bytes: usize,
    /// Estimated instructions of one update.
    pub instructions: u64,
    /// Estimated gain; see [`gain`].
    pub gain: f64,
    /// Whether it fits.
    pub fits: bool,
}

impl Way {
    /// Options to pack with.
    pub fn options(&self, request: &Request) -> Options {
        self.options_for(request.isa, request.optimize, request.optimizer, request.loss)
    }

    fn options_for(&self, isa: IsaId, optimize: Optimize, optimizer: OptimizerRecord, loss: Loss) -> Options {
        let optimizer = optimizer.with_state(self.state).with_passes(self.passes);
        let (layers, recompute, compress) = (Some(self.train.clone()), self.recompute.clone(), self.compress.clone());
        let train = TrainOptions { optimizer, loss, batch: self.batch, layers, recompute, compress };
        Options { isa, optimize, precision: self.precision, train: Some(train), tile: self.tile, ..Options::default() }
    }
}

/// Bytes of flash for two copies of what outlives a run, each with an erase unit for its record.
pub fn flash_bytes(persistent: usize, erase_bytes: usize) -> usize {
    2 * (persistent.next_multiple_of(erase_bytes.max(1)) + erase_bytes)
}
