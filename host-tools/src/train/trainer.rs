//! The training loop: a core session over a heap arena, fed batch by batch.
//!
//! It is the device's own engine. With [`FitOptions::exact`] the PC computes the same bits as a
//! device does; without it uses the fastest instruction set it has. Either way the same seed gives
//! the same weights on the same machine.

use super::evaluate::{Runner, evaluate_session};
use super::history::{Epoch, History};
use super::metrics;
use crate::data::{Batch, Batches, Dataset, Labels, Targets};
use crate::graph::{Graph, Selection, shape_text};
use crate::image::{self, HostSession, PackError, PackOptions, Packed, ParamsError, TrainOptions, apply_params, pack};
use crate::lower::Loss;
use embernet_core::exec::{PlanKind, SessionError};
use embernet_core::image::ImageError;
use embernet_core::memory::{Memory, view};
use embernet_core::optim::OptimizerRecord;
use embernet_core::plan::{Access, Operand, Step};
use embernet_core::rng::Rng;
use std::ops::ControlFlow;
use std::time::Instant;
use zerocopy::IntoBytes;

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
    /// Which layers learn; `None`: as the graph says.
    pub layers: Option<Selection>,
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
            layers: None,
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
        "training diverged in epoch {epoch}, batch {batch}: step {step} of layer `{layer}` gave the first value \
         that is not finite; a smaller learning rate may help (it is {lr})"
    )]
    Diverged { epoch: u32, batch: usize, layer: String, step: &'static str, lr: f32 },
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
    on_event: &mut dyn FnMut(Event) -> ControlFlow<()>,
) -> Result<History, TrainError> {
    check_data(graph, train, options.loss)?;
    if let Some(data) = validation {
        check_data(graph, data, options.loss)?;
    }
    let isa = image::host_isa(options.exact);
    let pack_options = PackOptions {
        samples: options.batch,
        isa,
        train: Some(TrainOptions {
            optimizer: options.optimizer,
            loss: options.loss,
            batch: options.batch,
            layers: options.layers.clone(),
        }),
        ..PackOptions::default()
    };
    let packed = pack(graph, &pack_options, None)?;
    let parsed = packed.image()?;
    let mut arena = image::arena_for(&parsed);
    let mut session = image::open(&parsed, &mut arena, isa)?;
    let mut run = Run { graph, packed: &packed, session: session.as_mut(), options, began: Instant::now() };
    let history = run.epochs(train, validation, on_event)?;
    let params = session.params().to_vec();
    apply_params(graph, &parsed, &params)?;
    Ok(history)
}

/// One training run.
struct Run<'r> {
    graph: &'r Graph,
    packed: &'r Packed,
    session: &'r mut dyn HostSession,
    options: &'r FitOptions,
    began: Instant,
}

/// Sums over an epoch.
#[derive(Default)]
struct Tally {
    samples: usize,
    loss: f64,
    right: usize,
}

impl Run<'_> {
    fn epochs(
        &mut self,
        train: &Dataset,
        validation: Option<&Dataset>,
        on_event: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<History, TrainError> {
        let mut history = History::default();
        let mut batches = Batches::new(train, self.options.batch);
        let mut rng = self.options.shuffle.clone();
        for epoch in 1..=self.options.epochs {
            match &mut rng {
                Some(rng) => batches.shuffle(rng),
                None => batches.rewind(),
            }
            let mut tally = Tally::default();
            let mut stop = false;
            let mut number = 0;
            let count = batches.count();
            while let Some(batch) = batches.next() {
                number += 1;
                let loss = self.batch(&batch, epoch, number, &mut tally)?;
                if on_event(Event::Batch { epoch, batch: number, batches: count, loss }).is_break() {
                    stop = true;
                    break;
                }
            }
            let samples = tally.samples.max(1) as f64;
            let class = matches!(train.labels(), Labels::Class { .. });
            let mut row = Epoch {
                epoch,
                loss: tally.loss / samples,
                accuracy: class.then(|| tally.right as f64 / samples),
                ..Epoch::default()
            };
            if let Some(data) = validation {
                let mut runner = Runner::new(self.session, self.packed, self.options.batch)?;
                let result = evaluate_session(&mut runner, self.graph, data, self.options.loss)?;
                row.val_loss = Some(result.loss);
                row.val_accuracy = result.accuracy;
            }
            row.seconds = self.began.elapsed().as_secs_f64();
            history.epochs.push(row);
            if on_event(Event::Epoch(row)).is_break() || stop {
                break;
            }
        }
        Ok(history)
    }

    /// One update.
    fn batch(&mut self, batch: &Batch<'_>, epoch: u32, number: usize, tally: &mut Tally) -> Result<f32, TrainError> {
        let probe = Probe::of(self.packed);
        let mut right = 0;
        self.feed(batch);
        let loss = self.session.train_step_observed(batch.samples, &mut |step, _, memory| {
            if let (Some(probe), Targets::Class(labels)) = (&probe, batch.targets)
                && step + 1 == probe.loss_step
            {
                let place = Operand::f32(probe.at, batch.samples * probe.classes, Access::Read);
                let rows = view::<f32>(memory.read(place)).chunks_exact(probe.classes);
                right += rows.zip(labels).filter(|(row, label)| metrics::argmax(row) == **label).count();
            }
        })?;
        if !loss.is_finite() {
            return Err(self.diverged(batch, epoch, number));
        }
        tally.samples += batch.samples;
        tally.loss += f64::from(loss) * batch.samples as f64;
        tally.right += right;
        Ok(loss)
    }

    fn feed(&mut self, batch: &Batch<'_>) {
        write_prefix(self.session.input_mut(PlanKind::Train, 0), batch.x.as_bytes());
        let sparse = self.options.loss == Loss::SparseCrossEntropy;
        match batch.targets {
            Targets::Class(ids) if sparse => write_prefix(self.session.target_mut(), ids.as_bytes()),
            Targets::Class(ids) => {
                let target = self.session.target_mut();
                let classes = target.len() / 4 / self.options.batch.max(1);
                let mut rows = vec![0f32; ids.len() * classes];
                for (row, id) in rows.chunks_exact_mut(classes.max(1)).zip(ids) {
                    row[*id as usize] = 1.0;
                }
                write_prefix(target, rows.as_bytes());
            }
            Targets::Values(values) => write_prefix(self.session.target_mut(), values.as_bytes()),
        }
    }

    /// Runs the batch again to find where the numbers left the finite ones.
    fn diverged(&mut self, batch: &Batch<'_>, epoch: u32, number: usize) -> TrainError {
        self.feed(batch);
        let mut first: Option<(usize, &'static str)> = None;
        let samples = batch.samples;
        // The step itself cannot fail: it has just run.
        let _ = self.session.train_step_observed(samples, &mut |index, step, memory| {
            if first.is_none() && writes_non_finite(step, memory, samples) {
                first = Some((index, step.name()));
            }
        });
        let (index, step) = first.unwrap_or((0, "loss"));
        let layer = self.packed.metadata.train_layer(index).map(|l| l.name.clone()).unwrap_or_default();
        TrainError::Diverged { epoch, batch: number, layer, step, lr: self.options.optimizer.lr }
    }
}

/// Where the predictions lie just before the loss step replaces them by their gradient.
struct Probe {
    loss_step: usize,
    at: embernet_core::plan::Ref,
    classes: usize,
}

impl Probe {
    fn of(packed: &Packed) -> Option<Self> {
        let train = packed.program.train.as_ref()?;
        let is_loss = |r: &crate::lower::Encoded| matches!(r.step(), Some(Step::SoftmaxCrossEntropy(_)));
        let loss_step = train.records.iter().position(is_loss)?;
        let Some(Step::SoftmaxCrossEntropy(record)) = train.records[loss_step].step() else { return None };
        Some(Self { loss_step, at: record.z, classes: record.classes as usize })
    }
}

fn writes_non_finite(step: &Step<'_>, memory: &Memory<'_>, samples: usize) -> bool {
    let operands = step.operands(samples);
    // A training plan is all f32, class indices apart, and those are never written.
    let written = |o: &&Operand| matches!(o.access, Access::Write | Access::ReadWrite);
    operands.as_slice().iter().filter(written).any(|o| view::<f32>(memory.read(*o)).iter().any(|v| !v.is_finite()))
}

/// Copies all of `from`, as far as `to` has room.
pub(super) fn write_prefix(to: &mut [u8], from: &[u8]) {
    let len = to.len().min(from.len());
    to[..len].copy_from_slice(&from[..len]);
}

/// Whether samples and labels fit network and loss.
pub(super) fn check_data(graph: &Graph, data: &Dataset, loss: Loss) -> Result<(), TrainError> {
    let expected = &graph.tensor(graph.inputs[0]).shape;
    if data.shape() != expected.as_slice() {
        return Err(TrainError::Shape { found: data.shape().to_vec(), expected: expected.clone() });
    }
    let outputs = graph.tensor(graph.outputs[0]).elements();
    let found = data.labels().outputs();
    match data.labels() {
        Labels::Values { .. } if loss == Loss::SparseCrossEntropy => Err(TrainError::Labels {
            loss: loss.name(),
            found: "numbers",
            expected: "classes (for regression use mean_squared_error)",
        }),
        Labels::Values { .. } if found != outputs => {
            Err(TrainError::Outputs { what: "values for each sample", found, expected: outputs })
        }
        Labels::Class { .. } if found > outputs || (loss != Loss::SparseCrossEntropy && found != outputs) => {
            Err(TrainError::Outputs { what: "classes", found, expected: outputs })
        }
        _ => Ok(()),
    }
}
