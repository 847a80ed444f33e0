//! Training a graph: options, what is reported, what can go wrong.
//!
//! The loop is in `run.rs`. It is the device's own engine: a core session over a heap arena. With
//! [`FitOptions::exact`] the PC computes the same bits as a device does; without it uses the fastest
//! instruction set it has. Either way the same seed gives the same weights on the same machine, also
//! when a run is interrupted and goes on later ([`TrainState`]).

use super::history::{Epoch, History};
use super::run::Run;
use super::runaway::Runaway;
use super::state::{StateError, TrainState};
use crate::data::{Dataset, Labels};
use crate::graph::{Graph, Selection, shape_text};
use crate::image::{self, PackError, PackOptions, ParamsError, TrainOptions, apply_params, pack};
use crate::lower::{Loss, Precision};
use embernet_core::arch::{Processor, Threads};
use embernet_core::exec::SessionError;
use embernet_core::image::ImageError;
use embernet_core::optim::OptimizerRecord;
use embernet_core::rng::Rng;
use std::ops::ControlFlow;

/// How to train.
#[derive(Debug, Clone)]
pub struct FitOptions {
    /// Passes over the training data.
    pub epochs: u32,
    /// Samples in one update; the last batch of an epoch may be smaller.
    pub batch: usize,
    /// Update rule and settings.
    pub optimizer: OptimizerRecord,
    /// What is made small.
    pub loss: Loss,
    /// Shuffles the samples before every epoch; `None` keeps their order.
    pub shuffle: Option<Rng>,
    /// Compute as a device does, bit for bit, instead of as fast as this machine can.
    pub exact: bool,
    /// Most threads to use. The learned weights do not depend on it.
    pub threads: usize,
    /// Which layers learn; `None`: as the graph says.
    pub layers: Option<Selection>,
    /// The numbers to compute in.
    pub precision: Precision,
}

impl Default for FitOptions {
    fn default() -> Self {
        Self {
            epochs: 10,
            batch: 32,
            optimizer: OptimizerRecord::adam(0.001),
            loss: Loss::SparseCrossEntropy,
            shuffle: Some(Rng::with_stream(0, 2)),
            exact: false,
            threads: 1,
            layers: None,
            precision: Precision::F32,
        }
    }
}

/// Something happened during training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Event {
    /// A batch is done: which one of how many, and its mean loss.
    Batch {
        /// From 1.
        epoch: u32,
        /// From 1.
        batch: usize,
        /// How many an epoch has.
        batches: usize,
        /// Mean over the batch's samples, before the update.
        loss: f32,
    },
    /// An epoch is done.
    Epoch(Epoch),
}

/// Looks on while a network trains, and may stop it. Any function of an [`Event`] is one.
pub trait Watch {
    /// Something happened. [`ControlFlow::Break`] stops after this batch or epoch.
    fn event(&mut self, event: Event) -> ControlFlow<()>;

    /// Where the run stands, at its start and after every epoch.
    fn state(&mut self, _state: &TrainState) {}
}

impl<F: FnMut(Event) -> ControlFlow<()>> Watch for F {
    fn event(&mut self, event: Event) -> ControlFlow<()> {
        self(event)
    }
}

/// A training run that ended, by itself or because its watcher stopped it.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// The finished epochs.
    pub history: History,
    /// Where the run stands: to go on from.
    pub state: TrainState,
    /// Whether all epochs are done.
    pub finished: bool,
}

/// The model as it was before the numbers left the finite ones.
#[derive(Debug, Clone, PartialEq)]
pub struct LastGood {
    /// With the weights after the last epoch of the history.
    pub graph: Graph,
    /// The finished epochs, at least one.
    pub history: History,
}

/// Why training or prediction stopped.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the messages say what the fields are
pub enum TrainError {
    #[error(transparent)]
    Pack(#[from] PackError),
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error("the image is damaged")]
    Image(#[from] ImageError),
    #[error(transparent)]
    Params(#[from] ParamsError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error("samples have shape {}, the network takes {}", shape_text(.found), shape_text(.expected))]
    Shape { found: Vec<usize>, expected: Vec<usize> },
    #[error("the labels are {found}; loss {loss} needs {expected}")]
    Labels { loss: &'static str, found: &'static str, expected: &'static str },
    #[error("the labels have {found} {what}; the network has {expected} outputs")]
    Outputs { what: &'static str, found: usize, expected: usize },
    #[error("the network has {found} inputs or outputs; expected one of each")]
    Ports { found: usize },
    #[error("{found} values are not a whole number of samples of {expected}")]
    Values { found: usize, expected: usize },
    #[error(
        "training diverged in epoch {epoch}, batch {batch}: {runaway}; a smaller learning rate may help (it is {lr})"
    )]
    Diverged { epoch: u32, batch: usize, runaway: Runaway, lr: f32, last_good: Option<Box<LastGood>> },
}

/// Trains the graph on `train`, looks at `validation` after every epoch, and reports to `on_event`,
/// which may stop it ([`ControlFlow::Break`]: after this batch or epoch, with what was learned).
///
/// The graph gets the learned weights; after an error it is as it was.
pub fn fit(
    graph: &mut Graph,
    train: &Dataset,
    validation: Option<&Dataset>,
    options: &FitOptions,
    mut on_event: &mut dyn FnMut(Event) -> ControlFlow<()>,
) -> Result<History, TrainError> {
    Ok(fit_from(graph, train, validation, options, None, &mut on_event)?.history)
}

/// [`fit`] from where an earlier run stood. With the same graph, data and options it gives the bits
/// that the earlier run would have given; only the number of epochs may be another one.
pub fn fit_from(
    graph: &mut Graph,
    train: &Dataset,
    validation: Option<&Dataset>,
    options: &FitOptions,
    from: Option<TrainState>,
    watch: &mut dyn Watch,
) -> Result<Fitted, TrainError> {
    check_data(graph, train, options.loss)?;
    if let Some(data) = validation {
        check_data(graph, data, options.loss)?;
    }
    let isa = image::host_isa(options.exact);
    let pack_options = PackOptions {
        samples: options.batch,
        isa,
        precision: options.precision,
        train: Some(TrainOptions {
            optimizer: options.optimizer,
            loss: options.loss,
            batch: options.batch,
            layers: options.layers.clone(),
            ..TrainOptions::default()
        }),
        ..PackOptions::default()
    };
    let packed = pack(graph, &pack_options, None)?;
    let parsed = packed.image()?;
    let mut arena = image::arena_for(&parsed);
    let processor = Processor { isa, threads: Threads::new(options.threads) };
    let mut session = image::open(&parsed, &mut arena, processor)?;
    let mut run = Run::new(graph, &packed, session.as_mut(), train, options);
    if let Some(state) = from {
        run.restore(&state)?;
    }
    let finished = match run.epochs(validation, watch) {
        Ok(finished) => finished,
        Err(TrainError::Diverged { epoch, batch, runaway, lr, .. }) => {
            let state = run.into_epoch_start();
            let mut last_good = None;
            if !state.history.epochs.is_empty() && state.batch == 0 {
                let mut graph = graph.clone();
                apply_params(&mut graph, &parsed, &state.params)?;
                last_good = Some(Box::new(LastGood { graph, history: state.history }));
            }
            return Err(TrainError::Diverged { epoch, batch, runaway, lr, last_good });
        }
        Err(error) => return Err(error),
    };
    let state = run.state();
    apply_params(graph, &parsed, &state.params)?;
    Ok(Fitted { history: state.history.clone(), state, finished })
}

/// Whether samples and labels fit network and loss.
pub(crate) fn check_data(graph: &Graph, data: &Dataset, loss: Loss) -> Result<(), TrainError> {
    let expected = &graph.tensor(graph.inputs[0]).shape;
    if data.shape() != expected.as_slice() {
        return Err(TrainError::Shape { found: data.shape().to_vec(), expected: expected.clone() });
    }
    let outputs = graph.tensor(graph.outputs[0]).elements();
    let found = data.labels().outputs();
    match data.labels() {
        Labels::Values { .. } | Labels::Samples { .. } if loss == Loss::SparseCrossEntropy => Err(TrainError::Labels {
            loss: loss.name(),
            found: "numbers",
            expected: "classes (for regression use mean_squared_error)",
        }),
        Labels::Values { .. } | Labels::Samples { .. } if found != outputs => {
            Err(TrainError::Outputs { what: "values for each sample", found, expected: outputs })
        }
        Labels::Class { .. } if found > outputs || (loss != Loss::SparseCrossEntropy && found != outputs) => {
            Err(TrainError::Outputs { what: "classes", found, expected: outputs })
        }
        _ => Ok(()),
    }
}
