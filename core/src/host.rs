//! An image at work on a PC, whatever its instruction set.
//!
//! Behind [`open`] every kernel is compiled once for each token, here and not in the crates that call it.

use crate::arch::{Isa, IsaId, Processor, Task, run_on};
use crate::exec::{Evaluation, PlanKind, Session, SessionError};
use crate::image::Image;
use crate::memory::Memory;
use crate::plan::Stored;
use std::boxed::Box;

/// Sees memory after every step of a plan.
pub type Observer<'o> = dyn FnMut(usize, Stored<'_>, &Memory<'_>) + 'o;

/// [`Session`] without its type parameter, so that a caller need not know the instruction set.
pub trait HostSession {
    /// See [`Session::input_mut`].
    fn input_mut(&mut self, plan: PlanKind, index: usize) -> &mut [u8];
    /// See [`Session::target_mut`].
    fn target_mut(&mut self) -> &mut [u8];
    /// See [`Session::output`].
    fn output(&self, index: usize) -> &[u8];
    /// See [`Session::infer_observed`].
    fn infer_observed(&mut self, samples: usize, observe: &mut Observer<'_>) -> Result<(), SessionError>;
    /// See [`Session::train_step_observed`].
    fn train_step_observed(&mut self, samples: usize, observe: &mut Observer<'_>) -> Result<f32, SessionError>;
    /// See [`Session::infer`].
    fn infer(&mut self, samples: usize) -> Result<(), SessionError>;
    /// See [`Session::train_step`].
    fn train_step(&mut self, samples: usize) -> Result<f32, SessionError>;
    /// As the session's.
    fn evaluate(&mut self, samples: usize) -> Result<Evaluation, SessionError>;
    /// As the session's.
    fn measure(&mut self, samples: usize) -> Result<(), SessionError>;
    /// As the session's.
    fn normalise(&mut self) -> Result<(), SessionError>;
    /// See [`Session::params`].
    fn params(&self) -> &[u8];
    /// See [`Session::params_mut`].
    fn params_mut(&mut self) -> &mut [u8];
    /// See [`Session::optimizer_state`].
    fn optimizer_state(&self) -> &[u8];
    /// See [`Session::optimizer_state_mut`].
    fn optimizer_state_mut(&mut self) -> &mut [u8];
    /// See [`Session::updates`].
    fn updates(&self) -> u32;
    /// See [`Session::set_updates`].
    fn set_updates(&mut self, updates: u32);
    /// See [`Session::set_lr`].
    fn set_lr(&mut self, lr: f32);
    /// See [`Session::reset`].
    fn reset(&mut self);
}

impl<I: Isa> HostSession for Session<'_, I> {
    fn input_mut(&mut self, plan: PlanKind, index: usize) -> &mut [u8] {
        Session::input_mut(self, plan, index)
    }

    fn target_mut(&mut self) -> &mut [u8] {
        Session::target_mut(self)
    }

    fn output(&self, index: usize) -> &[u8] {
        Session::output(self, index)
    }

    fn infer_observed(&mut self, samples: usize, observe: &mut Observer<'_>) -> Result<(), SessionError> {
        Session::infer_observed(self, samples, observe)
    }

    fn train_step_observed(&mut self, samples: usize, observe: &mut Observer<'_>) -> Result<f32, SessionError> {
        Session::train_step_observed(self, samples, observe)
    }

    fn infer(&mut self, samples: usize) -> Result<(), SessionError> {
        Session::infer(self, samples)
    }

    fn evaluate(&mut self, samples: usize) -> Result<Evaluation, SessionError> {
        Session::evaluate(self, samples)
    }

    fn train_step(&mut self, samples: usize) -> Result<f32, SessionError> {
        Session::train_step(self, samples)
    }

    fn measure(&mut self, samples: usize) -> Result<(), SessionError> {
        Session::measure(self, samples)
    }

    fn normalise(&mut self) -> Result<(), SessionError> {
        Session::normalise(self)
    }

    fn params(&self) -> &[u8] {
        Session::params(self)
    }

    fn params_mut(&mut self) -> &mut [u8] {
        Session::params_mut(self)
    }

    fn optimizer_state(&self) -> &[u8] {
        Session::optimizer_state(self)
    }

    fn optimizer_state_mut(&mut self) -> &mut [u8] {
        Session::optimizer_state_mut(self)
    }

    fn updates(&self) -> u32 {
        Session::updates(self)
    }

    fn set_updates(&mut self, updates: u32) {
        Session::set_updates(self, updates);
    }

    fn set_lr(&mut self, lr: f32) {
        Session::set_lr(self, lr);
    }

    fn reset(&mut self) {
        Session::reset(self);
    }
}

/// Opens a session on a processor, or on one thread with an instruction set; one that this machine lacks runs as scalar.
///
/// # Errors
/// As [`Session::new`].
pub fn open<'a>(
    image: &Image<'a>,
    arena: &'a mut [u8],
    on: impl Into<Processor>,
) -> Result<Box<dyn HostSession + 'a>, SessionError> {
    open_on(image, arena, on.into())
}

fn open_on<'a>(
    image: &Image<'a>,
    arena: &'a mut [u8],
    on: Processor,
) -> Result<Box<dyn HostSession + 'a>, SessionError> {
    let isa = if on.isa.is_available() { on.isa } else { IsaId::Scalar };
    let opening = Opening { image, arena };
    let missing = Err(SessionError::Isa { image: image.header().isa, session: isa as u32 });
    run_on(Processor { isa, ..on }, opening).unwrap_or(missing)
}

struct Opening<'i, 'a> {
    image: &'i Image<'a>,
    arena: &'a mut [u8],
}

impl<'a> Task for Opening<'_, 'a> {
    type Output = Result<Box<dyn HostSession + 'a>, SessionError>;

    fn run<I: Isa>(self, isa: I) -> Self::Output {
        Ok(Box::new(Session::new(self.image, self.arena, isa)?))
    }
}
