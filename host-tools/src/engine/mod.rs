//! A model at work, here or on a device, behind one interface.
//!
//! [`with`] opens an image at a [`Place`] and hands over an [`Engine`]. The host's engine is the
//! scalar token, so that it computes the same bits as any device: what one place gives, the other
//! must give too.

mod against;
mod device;
mod edges;
mod host;
mod place;
mod score;

#[cfg(test)]
mod tests;

use embernet_core::exec::SessionError;
use embernet_core::image::Image;

use crate::link::LinkError;

pub use against::signal_to_error;
pub use device::{connect, connect_for};
pub use edges::{EdgeError, decode, decode_f32, encode, encode_f32, encode_labels};
pub use place::{Place, PlaceError};
pub use score::Score;

/// What work has cost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cost {
    /// Instructions of all inferences (QEMU) since the engine was opened; `None` where nothing counts
    /// them.
    pub infer_instructions: Option<u64>,
    /// The same for training steps.
    pub train_instructions: Option<u64>,
    /// Ticks of the device's counter over all inferences.
    pub infer_ticks: Option<u64>,
    /// The same for training steps.
    pub train_ticks: Option<u64>,
    /// The same for the normalisation of inputs.
    pub normalise_instructions: Option<u64>,
    /// Samples inferred.
    pub inferences: u64,
    /// Training steps done.
    pub train_steps: u64,
    /// The most stack bytes that the device has used.
    pub stack_bytes: Option<u32>,
}

/// What one step takes; `None` for what the place does not count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct StepCost {
    /// Time on the host: the least of several runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nanoseconds: Option<u64>,
    /// Ticks of the device's counter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ticks: Option<u64>,
    /// Executed instructions (QEMU).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instructions: Option<u64>,
    /// Cycles that these instructions take on the board's core with memory that never waits: an estimate, see
    /// [`crate::counting`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cycles: Option<u64>,
}

impl std::iter::Sum for StepCost {
    /// Of several steps; of each kind only if all have it.
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        let both = |a: Option<u64>, b: Option<u64>| a.zip(b).map(|(a, b)| a + b);
        let add = |a: Self, b: Self| Self {
            nanoseconds: both(a.nanoseconds, b.nanoseconds),
            ticks: both(a.ticks, b.ticks),
            instructions: both(a.instructions, b.instructions),
            cycles: both(a.cycles, b.cycles),
        };
        costs.reduce(add).unwrap_or_default()
    }
}

/// What every step takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// In the order of the inference plan.
    pub steps: Vec<StepCost>,
    /// Why something is not told that the place should tell.
    pub note: Option<String>,
}

/// A model that can be run and trained.
pub trait Engine {
    /// Runs samples: raw bytes of the model's one input, one sample after another. Gives the bytes of
    /// its one output likewise. `progress` hears samples done.
    fn infer(&mut self, input: &[u8], progress: &mut dyn FnMut(usize)) -> Result<Vec<u8>, EngineError>;

    /// What every step of the inference plan takes for one sample: raw bytes of the model's one input.
    fn profile(&mut self, sample: &[u8]) -> Result<Profile, EngineError>;

    /// One update on a batch; gives the mean loss before it. `target` is class indices (`u32`) or
    /// values (`f32`).
    fn train_step(&mut self, input: &[u8], target: &[u8]) -> Result<f32, EngineError>;

    /// How well the model does on any number of samples, as [`Engine::train_step`] takes them; it learns nothing.
    fn evaluate(&mut self, input: &[u8], target: &[u8]) -> Result<Score, EngineError>;

    /// Brings the model's inputs back to what it was trained on: its tables are made of these samples, raw bytes of its
    /// one input, whatever they were before.
    ///
    /// # Errors
    /// Where the image does not normalise its inputs.
    fn normalise(&mut self, input: &[u8]) -> Result<(), EngineError>;

    /// The trainable parameters as they are now, in the image's layout.
    fn params(&mut self) -> Result<Vec<u8>, EngineError>;

    /// Sets the learning rate from the next step on.
    fn set_lr(&mut self, lr: f32) -> Result<(), EngineError>;

    /// Updates that the parameters and the optimiser's state come from. Of an update that takes several training steps,
    /// those that were done count no more: it begins anew.
    fn updates(&mut self) -> Result<u32, EngineError>;

    /// Keeps what was learned where a loss of power does not reach it; gives the checkpoint's generation.
    ///
    /// # Errors
    /// [`EngineError::NoDevice`] on the host, which has no such place; [`EngineError::Link`] where a device has none.
    fn checkpoint(&mut self) -> Result<u32, EngineError>;

    /// Back to the image's own parameters.
    fn reset(&mut self) -> Result<(), EngineError>;

    /// What the work so far has cost.
    fn cost(&mut self) -> Result<Cost, EngineError>;
}

/// Why a model does not work.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The session refuses.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The device refuses, or is gone.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// A place without a device.
    #[error("the host is no device; name one: qemu:BOARD, serial:PORT or serial:PORT@BAUD")]
    NoDevice,
    /// More or fewer inputs or outputs than one.
    #[error("the model has {found} {what}; this works with one")]
    Ports {
        /// `inputs` or `outputs`.
        what: &'static str,
        /// How many there are.
        found: usize,
    },
    /// Bytes that are not whole samples.
    #[error("{found} bytes of {what} are no whole number of samples of {expected} bytes")]
    Length {
        /// Which bytes.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// Bytes of one sample.
        expected: usize,
    },
}

/// What is going on before an engine works: a model is sent to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sending {
    /// Bytes sent.
    pub done: usize,
    /// Bytes in all.
    pub total: usize,
}

/// Opens `image` at `place` and lets `work` use it.
///
/// On a device the image becomes its model, unless it is already; what the device had learned before
/// is forgotten. `sending` hears how the transfer goes.
pub fn with<T, E: From<EngineError>>(
    place: &Place,
    image: &Image<'_>,
    sending: &mut dyn FnMut(Sending),
    work: impl FnOnce(&mut dyn Engine) -> Result<T, E>,
) -> Result<T, E> {
    with_learned(place, image, Learned::Forgotten, sending, work)
}

/// What happens to what a device has learned with an image when it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Learned {
    /// The model begins with the image's own parameters.
    Forgotten,
    /// It goes on as it is, if the device has this image.
    Kept,
}

/// [`with`], where what the device has learned may be kept.
pub fn with_learned<T, E: From<EngineError>>(
    place: &Place,
    image: &Image<'_>,
    learned: Learned,
    sending: &mut dyn FnMut(Sending),
    work: impl FnOnce(&mut dyn Engine) -> Result<T, E>,
) -> Result<T, E> {
    match place {
        Place::Host => host::with(image, work),
        Place::Qemu(_) | Place::Serial { .. } => {
            let mut device = device::Device::open(place, image, learned, sending)?;
            work(&mut device)
        }
    }
}

/// Bytes of one sample of the only tensor among `ports`.
fn single(what: &'static str, ports: &[embernet_core::image::TensorRecord]) -> Result<usize, EngineError> {
    match ports {
        [port] => Ok(port.sample_bytes().max(1)),
        _ => Err(EngineError::Ports { what, found: ports.len() }),
    }
}

/// How many samples `bytes` are.
fn samples(what: &'static str, bytes: usize, expected: usize) -> Result<usize, EngineError> {
    if bytes.is_multiple_of(expected) {
        Ok(bytes / expected)
    } else {
        Err(EngineError::Length { what, found: bytes, expected })
    }
}
