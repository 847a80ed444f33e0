//! Normalised inputs as a choice: what they cost beside inference, and what they do to the loss.

use super::{Request, cost, flash_bytes};
use crate::data::Dataset;
use crate::engine::{self, EngineError, Place};
use crate::graph::ops::Normalise;
use crate::graph::{Graph, Selection};
use crate::image::{PackOptions, TrainOptions, pack};
use crate::lower::{Options, Program, lower};
use embernet_core::plan::Step;
use serde::Serialize;

/// Most samples that are looked at, spread evenly.
const SAMPLES: usize = 64;

/// What normalised inputs take where nothing else learns.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Normalisation {
    /// Bytes of the arena: exactly what the device needs.
    pub ram_bytes: usize,
    /// Of these, bytes of tables and of what is measured.
    pub state_bytes: usize,
    /// Bytes of flash for tables, twice: one copy is whole while the other is written.
    pub flash_bytes: usize,
    /// Estimated instructions that an inference takes longer.
    pub instructions: u64,
    /// Whether it fits.
    pub fits: bool,
    /// Mean loss over the samples as they are, and normalised by themselves; with samples, and where the model's
    /// reference is known.
    pub loss: Option<[f64; 2]>,
}

/// Normalised inputs of a model that does not have them, without training; `None` if it cannot have them. `reference`
/// is what its inputs are brought back to, where that is known.
pub fn normalisation(
    graph: &Graph,
    reference: Option<&Normalise>,
    request: &Request,
    data: Option<&Dataset>,
) -> Option<Normalisation> {
    let channels = graph.input_channels().ok()?;
    let known = reference.cloned();
    let any = Normalise { means: vec![0.0; channels], deviations: vec![1.0; channels] };
    let mut graph = graph.clone();
    graph.normalise_inputs(known.clone().unwrap_or(any)).ok()?;
    let options = Options { isa: request.isa, optimize: request.optimize, ..Options::default() };
    let program = lower(&graph, &options).ok()?;
    let (ram_bytes, flash_bytes) = (program.arena_bytes(), flash_bytes(program.persistent_bytes, request.erase_bytes));
    let within = |most: Option<usize>, bytes: usize| most.is_none_or(|most| bytes <= most);
    Some(Normalisation {
        ram_bytes,
        state_bytes: program.parameter_bytes,
        flash_bytes,
        instructions: cost::normalise(values(&program), request.core),
        fits: within(request.ram, ram_bytes) && within(request.flash, flash_bytes),
        loss: known.and(data).and_then(|data| losses(&graph, request, data)),
    })
}

/// Values that are looked up.
fn values(program: &Program) -> u64 {
    let steps = program.infer.records.iter().filter_map(|record| record.step());
    let values = steps.filter_map(|step| match step {
        Step::NormaliseI8(record) => Some(u64::from(record.len)),
        _ => None,
    });
    values.sum()
}

/// The loss before and after; `None` where the model has none that could be told.
fn losses(graph: &Graph, request: &Request, data: &Dataset) -> Option<[f64; 2]> {
    let train = TrainOptions { loss: request.loss, layers: Some(Selection::Last(1)), ..TrainOptions::default() };
    let packed = pack(graph, &PackOptions { train: Some(train), ..PackOptions::default() }, None).ok()?;
    let image = packed.image().ok()?;
    let stride = data.len().div_ceil(SAMPLES).max(1);
    let rows: Vec<usize> = (0..data.len()).step_by(stride).collect();
    let some = data.select(&rows);
    let input = engine::encode_f32(&some.x(), image.train_inputs().first()?);
    let target = engine::encode_labels(&some.explicit_labels(), image.target()?).ok()?;
    let both = engine::with(&Place::Host, &image, &mut |_| {}, |engine| -> Result<_, EngineError> {
        let before = engine.evaluate(&input, &target)?.loss;
        engine.normalise(&input)?;
        Ok([before, engine.evaluate(&input, &target)?.loss])
    });
    both.ok()
}
