//! An image at work on this machine, whatever its instruction set.

use super::AlignedBytes;
use embernet_core::arch::{Isa, IsaId, Scalar};
use embernet_core::exec::{PlanKind, Session, SessionError};
use embernet_core::image::Image;
use embernet_core::memory::Memory;
use embernet_core::plan::Step;

/// Sees memory after every step of a plan.
pub type Observer<'o> = dyn FnMut(usize, &Step<'_>, &Memory<'_>) + 'o;

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
    /// See [`Session::params`].
    fn params(&self) -> &[u8];
    /// See [`Session::params_mut`].
    fn params_mut(&mut self) -> &mut [u8];
    /// See [`Session::optimizer_state`].
    fn optimizer_state(&self) -> &[u8];
    /// See [`Session::updates`].
    fn updates(&self) -> u32;
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

    fn train_step(&mut self, samples: usize) -> Result<f32, SessionError> {
        Session::train_step(self, samples)
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

    fn updates(&self) -> u32 {
        Session::updates(self)
    }

    fn set_lr(&mut self, lr: f32) {
        Session::set_lr(self, lr);
    }

    fn reset(&mut self) {
        Session::reset(self);
    }
}

/// The fastest instruction set of this machine, or the scalar one where bits must equal a device's.
pub fn host_isa(exact: bool) -> IsaId {
    #[cfg(target_arch = "x86_64")]
    if !exact && embernet_core::arch::Avx2::new().is_some() {
        return IsaId::Avx2;
    }
    let _ = exact;
    IsaId::Scalar
}

/// Memory for everything that the image can do.
pub fn arena_for(image: &Image<'_>) -> AlignedBytes {
    AlignedBytes::zeroed(image.arena_bytes())
}

/// Opens a session with the given instruction set; one that this machine lacks runs as scalar.
///
/// # Errors
/// As [`Session::new`].
pub fn open<'a>(image: &Image<'a>, arena: &'a mut [u8], isa: IsaId) -> Result<Box<dyn HostSession + 'a>, SessionError> {
    match isa {
        #[cfg(target_arch = "x86_64")]
        IsaId::Avx2 => match embernet_core::arch::Avx2::new() {
            Some(token) => Ok(Box::new(Session::new(image, arena, token)?)),
            None => Ok(Box::new(Session::new(image, arena, Scalar)?)),
        },
        _ => Ok(Box::new(Session::new(image, arena, Scalar)?)),
    }
}
