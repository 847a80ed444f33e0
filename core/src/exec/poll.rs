//! Runs in slices, so that a task that computes stays responsive.

use core::task::Poll;

use super::{Session, SessionError};
use crate::arch::{Isa, Run};
use crate::memory::Memory;
use crate::plan::{Context, Plan, Steps};

/// A run that [`Session::poll`] carries on. Dropping it gives the run up: an inference leaves nothing behind, a
/// training step the updates of the layers that it had come to.
#[derive(Clone, Debug)]
pub struct Running<'a> {
    rest: Steps<'a>,
    context: Context,
}

impl Running<'_> {
    /// Steps still to do.
    pub fn steps_left(&self) -> usize {
        self.rest.clone().count()
    }

    /// Of a training step that is done: the mean loss of its samples before the update.
    pub fn loss(&self) -> f32 {
        self.context.loss
    }
}

impl<'a, I: Isa> Session<'a, I> {
    /// Begins what [`Session::infer`] does in one go. Inputs and outputs must be left alone until it is done.
    ///
    /// # Errors
    /// As [`Session::infer`].
    pub fn start_infer(&mut self, samples: usize) -> Result<Running<'a>, SessionError> {
        self.check_infer(samples)?;
        let context = self.context(samples, false);
        Ok(Running::of(self.image.infer_plan(), context))
    }

    /// Begins what [`Session::train_step`] does in one go.
    ///
    /// # Errors
    /// As [`Session::train_step`].
    pub fn start_train_step(&mut self, samples: usize) -> Result<Running<'a>, SessionError> {
        self.check_train(samples)?;
        let mut context = self.context(samples, true);
        self.count_pass(&mut context);
        Ok(Running::of(self.image.train_plan(), context))
    }

    /// Does at most `budget` steps of a run that this session began; ready when there are none left. The bits are
    /// those of a run in one go. A run that another session began has no sensible outputs here, and is given up where it
    /// needs more memory than this session has.
    ///
    /// ```
    /// # use core::task::Poll;
    /// # use embernet_core::{arch::Scalar, exec::{Session, SessionError}};
    /// # fn task(session: &mut Session<'_, Scalar>, mut yield_now: impl FnMut()) -> Result<(), SessionError> {
    /// let mut run = session.start_infer(1)?;
    /// while session.poll(&mut run, 1) == Poll::Pending {
    ///     yield_now();
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn poll(&mut self, run: &mut Running<'a>, budget: usize) -> Poll<()> {
        let memory = Memory { data: self.image.data(), arena: self.arena };
        match Run::over(run.rest.clone(), memory, run.context.samples) {
            Some(mut steps) => {
                for _ in 0..budget {
                    let Some((step, mut at)) = steps.advance() else { break };
                    self.isa.run_step(step, &mut at, &mut run.context);
                }
                run.rest = steps.rest();
            }
            // Another session began it, with more memory than this one has.
            None => run.rest = Plan::default().steps(),
        }
        if run.rest.is_done() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl<'a> Running<'a> {
    fn of(plan: Plan<'a>, context: Context) -> Self {
        Self { rest: plan.steps(), context }
    }
}
