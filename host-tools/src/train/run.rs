//! The training loop: batches into a session, epoch after epoch.

use super::evaluate::{Runner, evaluate_session};
use super::history::{Epoch, History};
use super::metrics;
use super::runaway::{self, Runaway};
use super::state::{StateError, Tally, TrainState};
use super::trainer::{Event, FitOptions, TrainError, Watch};
use crate::data::{Batches, Dataset, Labels};
use crate::graph::Graph;
use crate::image::{HostSession, Packed};
use crate::lower::Loss;
use embernet_core::exec::PlanKind;
use embernet_core::kernels::fixed::block;
use embernet_core::memory::{Memory, view, view_mut};
use embernet_core::plan::{Access, Operand, Step};
use embernet_core::rng::Rng;
use std::time::Instant;

/// One training run over one session.
pub(super) struct Run<'r> {
    graph: &'r Graph,
    packed: &'r Packed,
    session: &'r mut dyn HostSession,
    data: &'r Dataset,
    options: &'r FitOptions,
    probe: Option<Probe>,
    batches: Batches<'r>,
    rng: Option<Rng>,
    history: History,
    tally: Tally,
    /// Batches done of the present epoch.
    done: usize,
    began: Instant,
    /// Seconds that earlier runs took.
    before: f64,
    /// Where the run stood when the present epoch began (or when it was restored within it).
    epoch_start: Option<TrainState>,
    /// Whether integers learn: floats say by themselves that they have left all bounds.
    integers: bool,
}

impl<'r> Run<'r> {
    pub(super) fn new(
        graph: &'r Graph,
        packed: &'r Packed,
        session: &'r mut dyn HostSession,
        data: &'r Dataset,
        options: &'r FitOptions,
    ) -> Self {
        Self {
            graph,
            packed,
            session,
            data,
            options,
            probe: Probe::of(packed),
            batches: Batches::new(data, options.batch),
            rng: options.shuffle.clone(),
            history: History::default(),
            tally: Tally::default(),
            done: 0,
            began: Instant::now(),
            before: 0.0,
            epoch_start: None,
            integers: packed.image().is_ok_and(|image| Runaway::is_hidden(&image)),
        }
    }

    /// Everything that the rest of the run depends on.
    pub(super) fn state(&self) -> TrainState {
        TrainState {
            params: self.session.params().to_vec(),
            optimizer: self.session.optimizer_state().to_vec(),
            updates: self.session.updates(),
            history: self.history.clone(),
            batch: self.done,
            order: self.batches.order().to_vec(),
            rng: self.rng.as_ref().map(Rng::state),
            tally: self.tally,
            seconds: self.seconds(),
        }
    }

    /// [`Run::state`] in the memory of an earlier one of this run, whose finished epochs are not copied again.
    fn state_after(&self, earlier: TrainState) -> TrainState {
        let mut state = earlier;
        self.session.params().clone_into(&mut state.params);
        self.session.optimizer_state().clone_into(&mut state.optimizer);
        self.batches.order().clone_into(&mut state.order);
        let new = self.history.epochs.get(state.history.epochs.len()..).unwrap_or_default();
        state.history.epochs.extend_from_slice(new);
        TrainState {
            updates: self.session.updates(),
            batch: self.done,
            rng: self.rng.as_ref().map(Rng::state),
            tally: self.tally,
            seconds: self.seconds(),
            ..state
        }
    }

    fn seconds(&self) -> f64 {
        self.before + self.began.elapsed().as_secs_f64()
    }

    /// Goes back (or on) to where a run stood.
    pub(super) fn restore(&mut self, state: &TrainState) -> Result<(), StateError> {
        state.check(self.session.params().len(), self.session.optimizer_state().len(), self.data.len())?;
        if state.batch > self.batches.count() {
            return Err(StateError::Batch { found: state.batch, most: self.batches.count() });
        }
        self.session.params_mut().copy_from_slice(&state.params);
        self.session.optimizer_state_mut().copy_from_slice(&state.optimizer);
        self.session.set_updates(state.updates);
        self.history = state.history.clone();
        self.done = state.batch;
        self.batches.set_order(&state.order, state.batch);
        self.rng = state.rng.map(Rng::from_state);
        self.tally = state.tally;
        self.before = state.seconds;
        self.began = Instant::now();
        Ok(())
    }

    /// Where the run stood when its last epoch began.
    pub(super) fn into_epoch_start(self) -> TrainState {
        match self.epoch_start {
            Some(state) => state,
            None => self.state(),
        }
    }

    /// Trains to the last epoch, or until the watcher stops it: then false.
    pub(super) fn epochs(&mut self, validation: Option<&Dataset>, watch: &mut dyn Watch) -> Result<bool, TrainError> {
        while (self.history.epochs.len() as u32) < self.options.epochs {
            let start = match self.epoch_start.take() {
                Some(earlier) => self.state_after(earlier),
                None => self.state(),
            };
            watch.state(self.epoch_start.insert(start));
            if self.done == 0 {
                self.begin_epoch();
            }
            if !self.rest_of_epoch(watch)? {
                return Ok(false);
            }
            let row = self.end_epoch(validation)?;
            if watch.event(Event::Epoch(row)).is_break() {
                return Ok((self.history.epochs.len() as u32) >= self.options.epochs);
            }
        }
        Ok(true)
    }

    fn epoch(&self) -> u32 {
        self.history.epochs.len() as u32 + 1
    }

    fn begin_epoch(&mut self) {
        self.tally = Tally::default();
        match &mut self.rng {
            Some(rng) => self.batches.shuffle(rng),
            None => self.batches.rewind(),
        }
    }

    /// The batches that are left; false if the watcher stopped before the last one.
    fn rest_of_epoch(&mut self, watch: &mut dyn Watch) -> Result<bool, TrainError> {
        let (epoch, batches) = (self.epoch(), self.batches.count());
        while let Some(samples) = self.feed() {
            let loss = self.step(samples)?;
            if !loss.is_finite() {
                return Err(self.diverged(None)?);
            }
            self.done += 1;
            let event = Event::Batch { epoch, batch: self.done, batches, loss };
            if watch.event(event).is_break() && self.done < batches {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn end_epoch(&mut self, validation: Option<&Dataset>) -> Result<Epoch, TrainError> {
        // A loss is computed before its update: the last one of an epoch can go wrong unseen.
        let params = self.session.params();
        let suspect = self.integers || !view::<f32>(params).iter().all(|w| w.is_finite());
        if suspect && let Some(found) = Runaway::of_params(&self.packed.image()?, params) {
            return Err(self.diverged(Some(found))?);
        }
        let samples = self.tally.samples.max(1) as f64;
        let class = matches!(self.data.labels(), Labels::Class { .. });
        let mut row = Epoch {
            epoch: self.epoch(),
            loss: self.tally.loss / samples,
            accuracy: class.then(|| self.tally.right as f64 / samples),
            ..Epoch::default()
        };
        if let Some(data) = validation {
            let mut runner = Runner::new(self.session, self.packed, self.options.batch)?;
            let result = evaluate_session(&mut runner, self.graph, data, self.options.loss)?;
            row.val_loss = Some(result.loss);
            row.val_accuracy = result.accuracy;
        }
        row.seconds = self.seconds();
        self.history.epochs.push(row);
        self.done = 0;
        Ok(row)
    }

    /// Puts the next batch into the session; its number of samples, or `None` at the end of an epoch.
    fn feed(&mut self) -> Option<usize> {
        let rows = self.batches.next_rows()?;
        self.data.gather_into(rows, view_mut(self.session.input_mut(PlanKind::Train, 0)));
        let target = self.session.target_mut();
        if self.options.loss == Loss::SparseCrossEntropy {
            self.data.labels().ids_into(rows, view_mut(target));
        } else {
            self.data.targets_into(rows, view_mut(target));
        }
        Some(rows.len())
    }

    /// One update with the batch that was fed; its loss.
    fn step(&mut self, samples: usize) -> Result<f32, TrainError> {
        let mut right = 0;
        let loss = match (&self.probe, self.data.labels()) {
            (Some(probe), Labels::Class { ids, .. }) => {
                let rows = self.batches.last_rows();
                self.session.train_step_observed(samples, &mut |step, _, memory| {
                    if step + 1 == probe.loss_step {
                        let truth = rows.iter().map(|row| ids[*row as usize]);
                        let found = probe.winners(memory, samples);
                        right += found.zip(truth).filter(|(found, label)| found == label).count();
                    }
                })?
            }
            _ => self.session.train_step(samples)?,
        };
        self.tally.samples += samples;
        self.tally.loss += f64::from(loss) * samples as f64;
        self.tally.right += right;
        Ok(loss)
    }

    /// Trains the epoch again from its beginning, to the same bits, and looks at everything that is
    /// written, to find where the numbers left all bounds. `found` is what is known already.
    fn diverged(&mut self, mut found: Option<Runaway>) -> Result<TrainError, TrainError> {
        let (epoch, mut batch) = (self.epoch(), self.done + 1);
        let image = self.packed.image()?;
        let precision = self.options.precision;
        let mut first = None;
        if !runaway::learns_int8(&image)
            && let Some(start) = self.epoch_start.clone()
            && self.restore(&start).is_ok()
        {
            if self.done == 0 {
                self.begin_epoch();
            }
            while let (None, Some(samples)) = (first, self.feed()) {
                // A step of a plan that has run before cannot fail.
                let _ = self.session.train_step_observed(samples, &mut |index, step, memory| {
                    if let Some(step) = step.decode().filter(|_| first.is_none()) {
                        first =
                            runaway::written(&step, memory, samples, precision).map(|what| (index, step.name(), what));
                    }
                });
                self.done += 1;
                batch = self.done;
            }
        }
        if let Some((index, step, what)) = first {
            found = Some(Runaway::new(&image, index, step, what));
        }
        let runaway = found.unwrap_or_else(|| Runaway::new(&image, 0, "loss", runaway::LOSS));
        Ok(TrainError::Diverged { epoch, batch, runaway, lr: self.options.optimizer.lr, last_good: None })
    }
}

/// Where the predictions lie just before the loss step replaces them by their gradient.
struct Probe {
    loss_step: usize,
    at: embernet_core::plan::Ref,
    classes: usize,
    /// Whether they are blocks of integers.
    fixed: bool,
}

impl Probe {
    fn of(packed: &Packed) -> Option<Self> {
        let train = packed.program.train.as_ref()?;
        (0..).zip(&train.records).find_map(|(loss_step, record)| match record.step()? {
            Step::SoftmaxCrossEntropy(r) => {
                Some(Self { loss_step, at: r.z, classes: r.classes as usize, fixed: false })
            }
            Step::SoftmaxCrossEntropyFixed(r) => {
                Some(Self { loss_step, at: r.z, classes: r.classes as usize, fixed: true })
            }
            _ => None,
        })
    }

    /// The class of the greatest prediction of each sample.
    fn winners(&self, memory: &Memory<'_>, samples: usize) -> impl Iterator<Item = u32> {
        let Self { at, classes, .. } = *self;
        let outputs: Vec<f32> = if self.fixed {
            let bytes = block::block_bytes(classes);
            let all = memory.read(Operand::i8(at, samples * bytes, Access::Read));
            // The exponent is that of the whole sample.
            all.chunks_exact(bytes).flat_map(|one| block::open(view(one), classes).1).map(|m| f32::from(*m)).collect()
        } else {
            view::<f32>(memory.read(Operand::f32(at, samples * classes, Access::Read))).to_vec()
        };
        let winners: Vec<u32> = outputs.chunks_exact(classes).map(metrics::argmax).collect();
        winners.into_iter()
    }
}
