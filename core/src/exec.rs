//! Running an image: inference and training over a caller's arena.

use crate::arch::{Isa, IsaId, Run};
use crate::image::{ALIGN, DType, Image, TensorRecord};
use crate::memory::Memory;
use crate::optim::{Optimizer, OptimizerRecord};
use crate::plan::{Access, Adapts, Context, NORMALISES, Operand, Plan, STATES, Stored, TRAINS};

mod arena;
mod poll;

pub use arena::Arena;
pub use poll::Running;

/// Why a session refuses to work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum SessionError {
    /// The arena does not start at a multiple of [`ALIGN`].
    MisalignedArena,
    /// The arena is too small.
    ArenaTooSmall {
        /// Bytes that the image needs.
        need: u32,
        /// Bytes given.
        have: u32,
    },
    /// The image was packed for another instruction set: its weights lie in another order, or there is too little
    /// scratch.
    Isa {
        /// [`crate::arch::IsaId`] of the image.
        image: u32,
        /// [`crate::arch::IsaId`] of the session.
        session: u32,
    },
    /// The image has no training plan.
    NotTrainable,
    /// No samples, or more than the plan carries.
    Samples {
        /// Asked for.
        found: u32,
        /// Most that the plan carries.
        most: u32,
    },
    /// A class index beyond the classes.
    Label {
        /// Which sample of the batch.
        sample: u32,
        /// Its label.
        found: u32,
        /// Number of classes.
        classes: u32,
    },
    /// Parameters of another length than the image's.
    ParamBytes {
        /// Bytes given.
        found: u32,
        /// Bytes expected.
        expected: u32,
    },
    /// The image has no step that normalises inputs.
    NotNormalised,
}

impl core::fmt::Display for SessionError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match *self {
            Self::MisalignedArena => write!(f, "arena does not start at a multiple of {ALIGN} bytes"),
            Self::ArenaTooSmall { need, have } => {
                write!(f, "arena is too small: the image needs {need} bytes, it has {have}")
            }
            Self::Isa { image, session } => {
                let name = |isa| IsaId::from_u32(isa).map_or("an unknown instruction set", IsaId::name);
                let (image, session) = (name(image), name(session));
                write!(f, "image was packed for {image}, this runs {session}: pack it again for that")
            }
            Self::NotTrainable => write!(f, "image has no training plan; pack it with --train"),
            Self::Samples { found, most } => write!(f, "{found} samples in one run; expected 1 to {most}"),
            Self::Label { sample, found, classes } => {
                write!(f, "label {found} of sample {sample} is out of range; the model has {classes} classes")
            }
            Self::ParamBytes { found, expected } => write!(f, "{found} bytes of parameters; the image has {expected}"),
            Self::NotNormalised => write!(f, "image does not normalise its inputs; pack it with --normalise"),
        }
    }
}

impl core::error::Error for SessionError {}

/// What [`Session::evaluate`] found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// Mean loss over the samples.
    pub loss: f32,
    /// Samples for which no class that is wanted has less than the greatest logit: right answers. 0 where the loss is no
    /// cross-entropy.
    pub right: u32,
}

/// Looks at memory after every step: its index, the step as it lies in the image, what it sees.
type Observer<'o> = dyn FnMut(usize, Stored<'_>, &Memory<'_>) + 'o;

/// An image at work. Borrows image and arena; holds no memory of its own but a few words.
///
/// The arena must be aligned to [`ALIGN`] and at least [`Image::arena_bytes`] long. Parameters survive between
/// calls; activations do not: write inputs, run, read outputs.
#[derive(Debug)]
pub struct Session<'a, I> {
    image: Image<'a>,
    arena: &'a mut [u8],
    isa: I,
    settings: OptimizerRecord,
    updates: u32,
    /// Passes done of the next update.
    passes: u32,
}

impl<'a, I: Isa> Session<'a, I> {
    /// Whether [`Session::new`] would take `image` with an aligned arena of `have` bytes: for a device that decides
    /// before it makes an image its own.
    ///
    /// # Errors
    /// [`SessionError::ArenaTooSmall`] with both sizes, [`SessionError::Isa`].
    pub fn check(image: &Image<'_>, have: usize) -> Result<(), SessionError> {
        let need = image.arena_bytes();
        if have < need {
            return Err(SessionError::ArenaTooSmall { need: need as u32, have: have as u32 });
        }
        let packed_for = image.header().isa;
        if !IsaId::from_u32(packed_for).is_some_and(|image| I::ID.can_run(image)) {
            return Err(SessionError::Isa { image: packed_for, session: I::ID as u32 });
        }
        Ok(())
    }

    /// Prepares `arena` for `image`: loads trainable parameters from flash, clears optimiser state.
    ///
    /// # Errors
    /// [`SessionError::ArenaTooSmall`] with both sizes, [`SessionError::MisalignedArena`], [`SessionError::Isa`].
    pub fn new(image: &Image<'a>, arena: &'a mut [u8], isa: I) -> Result<Self, SessionError> {
        if !arena.as_ptr().addr().is_multiple_of(ALIGN) {
            return Err(SessionError::MisalignedArena);
        }
        Self::check(image, arena.len())?;
        let mut session = Self { image: *image, arena, isa, settings: image.header().optimizer, updates: 0, passes: 0 };
        session.reset();
        Ok(session)
    }

    /// Back to the image's own parameters, with fresh optimiser state and no updates done.
    pub fn reset(&mut self) {
        if !TRAINS {
            return;
        }
        // Parameters of bytes may end within a word: what lies behind them is part of a checkpoint, too.
        self.params_mut().fill(0);
        let mut memory = Memory { data: self.image.data(), arena: self.arena };
        for param in self.image.params() {
            let from = Operand::i8(param.init, param.bytes as usize, Access::Read);
            let to = Operand::i8(param.at, param.bytes as usize, Access::Write);
            memory.load(from, to);
        }
        self.settings = self.image.header().optimizer;
        self.reset_optimizer();
    }

    /// Fresh optimiser state; parameters stay.
    pub fn reset_optimizer(&mut self) {
        self.set_updates(0);
        let header = self.image.header();
        let state =
            self.arena.get_mut(header.param_bytes as usize..header.persistent_bytes as usize).unwrap_or_default();
        for value in crate::memory::view_mut::<f32>(state) {
            *value = self.settings.state_init;
        }
    }

    /// The image.
    pub fn image(&self) -> &Image<'a> {
        &self.image
    }

    /// Input `index` of the inference plan, for [`PlanKind::Infer`], or of the training plan; empty if there is none.
    pub fn input_mut(&mut self, plan: PlanKind, index: usize) -> &mut [u8] {
        let (inputs, samples) = match plan {
            PlanKind::Infer => (self.image.inputs(), self.image.header().infer.samples),
            PlanKind::Train => (self.image.train_inputs(), self.image.header().train.samples),
        };
        match inputs.get(index) {
            Some(tensor) => self.tensor_mut(tensor, samples as usize),
            None => Default::default(),
        }
    }

    /// The training plan's target; empty if there is none.
    pub fn target_mut(&mut self) -> &mut [u8] {
        let samples = self.image.header().train.samples as usize;
        match self.image.target() {
            Some(tensor) => self.tensor_mut(tensor, samples),
            None => Default::default(),
        }
    }

    /// Output `index` of the last inference; empty if there is none.
    pub fn output(&self, index: usize) -> &[u8] {
        let samples = self.image.header().infer.samples as usize;
        self.image.outputs().get(index).map_or(&[], |tensor| self.tensor(tensor, samples))
    }

    /// [`Session::output`], for those who work on it further.
    pub fn output_mut(&mut self, index: usize) -> &mut [u8] {
        let samples = self.image.header().infer.samples as usize;
        match self.image.outputs().get(index) {
            Some(tensor) => self.tensor_mut(tensor, samples),
            None => Default::default(),
        }
    }

    /// Runs inference on the first `samples` samples of the inputs.
    ///
    /// # Errors
    /// [`SessionError::Samples`].
    pub fn infer(&mut self, samples: usize) -> Result<(), SessionError> {
        self.check_infer(samples)?;
        let mut context = self.context(samples, false);
        self.run(self.image.infer_plan(), &mut context, None);
        Ok(())
    }

    /// [`Session::infer`], with a look at memory after every step: calibration, layer dumps, profiles.
    ///
    /// # Errors
    /// [`SessionError::Samples`].
    pub fn infer_observed(
        &mut self,
        samples: usize,
        mut observe: impl FnMut(usize, Stored<'_>, &Memory<'_>),
    ) -> Result<(), SessionError> {
        self.check_infer(samples)?;
        let mut context = self.context(samples, false);
        self.run(self.image.infer_plan(), &mut context, Some(&mut observe));
        Ok(())
    }

    fn check_infer(&self, samples: usize) -> Result<(), SessionError> {
        check_samples(samples, self.image.header().infer.samples)
    }

    /// One optimiser update on the first `samples` samples of the training inputs and targets; gives the mean loss.
    /// Where the image adds up the gradients of several passes, this is one of them, and the last one updates.
    ///
    /// # Errors
    /// [`SessionError::NotTrainable`], [`SessionError::Samples`], [`SessionError::Label`]. Nothing changes then.
    pub fn train_step(&mut self, samples: usize) -> Result<f32, SessionError> {
        self.train_or_evaluate(samples, true).map(|found| found.loss)
    }

    /// [`Session::train_step`], with a look at memory after every step.
    ///
    /// # Errors
    /// As [`Session::train_step`].
    pub fn train_step_observed(
        &mut self,
        samples: usize,
        mut observe: impl FnMut(usize, Stored<'_>, &Memory<'_>),
    ) -> Result<f32, SessionError> {
        self.check_train(samples)?;
        let mut context = self.context(samples, true);
        self.count_pass(&mut context);
        self.run(self.image.train_plan(), &mut context, Some(&mut observe));
        Ok(context.loss)
    }

    /// Loss and right answers on the first `samples` samples of the training inputs and targets, before any update: the
    /// training plan as far as its loss. Nothing that was learned changes; batch normalisation takes the statistics that
    /// it has kept, as inference does.
    ///
    /// # Errors
    /// As [`Session::train_step`].
    pub fn evaluate(&mut self, samples: usize) -> Result<Evaluation, SessionError> {
        self.train_or_evaluate(samples, false)
    }

    /// [`Session::train_step`] or [`Session::evaluate`], in one body: a device has room for no more.
    ///
    /// # Errors
    /// As [`Session::train_step`].
    pub fn train_or_evaluate(&mut self, samples: usize, learns: bool) -> Result<Evaluation, SessionError> {
        self.check_train(samples)?;
        let (mut plan, mut context) = (self.image.train_plan(), self.context(samples, true));
        if learns {
            self.count_pass(&mut context);
        } else {
            context.evaluation = true;
            plan = plan.until_loss();
        }
        self.run(plan, &mut context, None);
        Ok(Evaluation { loss: context.loss, right: context.right })
    }

    /// Shows the normalisation of inputs the first `samples` samples of the inputs of inference, as they are before it:
    /// [`Session::normalise`] is going to bring what it has been shown back to what the model was trained on. Nothing
    /// else changes.
    ///
    /// # Errors
    /// [`SessionError::Samples`], [`SessionError::NotNormalised`].
    pub fn measure(&mut self, samples: usize) -> Result<(), SessionError> {
        self.check_infer(samples)?;
        self.adapt(samples, Adapts::Measures)
    }

    /// Makes the tables that normalise inputs of the samples that [`Session::measure`] was shown since this was done
    /// last; without any, inputs stay as they are. Tables are part of [`Session::params`].
    ///
    /// # Errors
    /// [`SessionError::NotNormalised`].
    pub fn normalise(&mut self) -> Result<(), SessionError> {
        self.adapt(1, Adapts::Normalises)
    }

    fn adapt(&mut self, samples: usize, adapts: Adapts) -> Result<(), SessionError> {
        let plan = if NORMALISES { self.image.infer_plan().until_normalised() } else { Plan::default() };
        if plan.is_empty() {
            return Err(SessionError::NotNormalised);
        }
        let mut context = Context { adapts: Some(adapts), ..self.context(samples, false) };
        self.run(plan, &mut context, None);
        Ok(())
    }

    fn check_train(&self, samples: usize) -> Result<(), SessionError> {
        if !TRAINS || !self.image.is_trainable() {
            return Err(SessionError::NotTrainable);
        }
        check_samples(samples, self.image.header().train.samples)?;
        self.check_labels(samples)
    }

    fn count_pass(&mut self, context: &mut Context) {
        if STATES {
            let done = self.passes + 1;
            context.optimizer.first = self.passes == 0;
            context.optimizer.last = done >= self.settings.passes;
            self.passes = if context.optimizer.last { 0 } else { done };
        }
        self.updates = self.updates.saturating_add(u32::from(context.optimizer.last));
    }

    /// Trainable parameters as they lie in the arena, in the order of [`Image::params`].
    pub fn params(&self) -> &[u8] {
        self.arena.get(..self.image.header().param_bytes as usize).unwrap_or(&[])
    }

    /// For writing parameters back, such as a checkpoint's.
    pub fn params_mut(&mut self) -> &mut [u8] {
        self.arena.get_mut(..self.image.header().param_bytes as usize).unwrap_or_default()
    }

    /// Optimiser state as it lies in the arena.
    pub fn optimizer_state(&self) -> &[u8] {
        let header = self.image.header();
        self.arena.get(header.param_bytes as usize..header.persistent_bytes as usize).unwrap_or(&[])
    }

    /// For restoring optimiser state.
    pub fn optimizer_state_mut(&mut self) -> &mut [u8] {
        let header = self.image.header();
        self.arena.get_mut(header.param_bytes as usize..header.persistent_bytes as usize).unwrap_or_default()
    }

    /// Updates done so far.
    pub fn updates(&self) -> u32 {
        self.updates
    }

    /// For resuming: Adam's bias correction depends on it. Passes of an update that is not done count no more.
    pub fn set_updates(&mut self, updates: u32) {
        self.updates = updates;
        self.passes = 0;
    }

    /// The optimiser's settings.
    pub fn optimizer(&self) -> OptimizerRecord {
        self.settings
    }

    /// Changes the learning rate from the next update on.
    pub fn set_lr(&mut self, lr: f32) {
        self.settings.lr = lr;
    }

    fn context(&self, samples: usize, training: bool) -> Context {
        let optimizer = if TRAINS && training {
            Optimizer::at_step(self.settings, self.updates.saturating_add(1))
        } else {
            Optimizer::idle(self.settings)
        };
        Context { samples, optimizer, training, loss: 0.0, right: 0, evaluation: false, adapts: None }
    }

    /// Not generic over `observe`: one copy serves inference, training and profiles.
    fn run(&mut self, plan: Plan<'a>, context: &mut Context, mut observe: Option<&mut Observer<'_>>) {
        let memory = Memory { data: self.image.data(), arena: self.arena };
        let Some(mut run) = Run::over(plan.steps(), memory, context.samples) else { return };
        let mut index = 0;
        while let Some((stored, mut at)) = run.advance() {
            self.isa.run_step(stored, &mut at, context);
            if let Some(observe) = &mut observe {
                observe(index, stored, run.memory());
                index += 1;
            }
        }
    }

    fn check_labels(&self, samples: usize) -> Result<(), SessionError> {
        let Some(target) = self.image.target().filter(|target| target.dtype() == DType::U32) else { return Ok(()) };
        let classes = target.zero_point as u32;
        let labels = crate::memory::view::<u32>(self.tensor(target, samples));
        for (sample, &found) in labels.iter().enumerate() {
            if found >= classes {
                return Err(SessionError::Label { sample: sample as u32, found, classes });
            }
        }
        Ok(())
    }

    fn tensor(&self, tensor: &TensorRecord, samples: usize) -> &[u8] {
        let start = tensor.at.offset();
        let end = start.saturating_add(tensor.sample_bytes().saturating_mul(samples));
        self.arena.get(start..end).unwrap_or(&[])
    }

    fn tensor_mut(&mut self, tensor: &TensorRecord, samples: usize) -> &mut [u8] {
        let start = tensor.at.offset();
        let end = start.saturating_add(tensor.sample_bytes().saturating_mul(samples));
        self.arena.get_mut(start..end).unwrap_or_default()
    }
}

/// Which plan of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanKind {
    /// Inference.
    Infer,
    /// Training.
    Train,
}

fn check_samples(samples: usize, most: u32) -> Result<(), SessionError> {
    if samples == 0 || samples > most as usize {
        return Err(SessionError::Samples { found: samples.min(u32::MAX as usize) as u32, most });
    }
    Ok(())
}
