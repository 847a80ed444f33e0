//! The messages. Their postcard encoding is the protocol: **append variants and never reorder**,
//! and never change a variant that exists; see `docs/wire.md` for when the version must rise.

use serde::{Deserialize, Serialize};

use crate::exec::SessionError;
use crate::image::ImageError;

/// A part of the device's model memory that the host may read or write, as raw little-endian bytes
/// in the layout of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Buffer {
    /// Input of inference by index, samples one after another.
    Input(u8),
    /// Output of inference by index, samples one after another.
    Output(u8),
    /// Input of training by index, samples one after another.
    TrainInput(u8),
    /// What the next training step should have produced: values, or class indices.
    Target,
    /// The trainable parameters.
    Params,
    /// The optimiser's state.
    State,
}

/// A number that training uses and that the host may change between steps.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Hyper {
    /// Learning rate.
    Lr(f32),
    /// Updates done so far, for resuming: Adam's bias correction depends on it.
    Updates(u32),
}

/// What the host asks. Each request gets exactly one [`Response`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Request<'a> {
    /// Opens the exchange: names the host's protocol version. Answered by [`Response::Hello`],
    /// also when the versions differ. Executed even when its sequence number repeats.
    Hello {
        /// [`super::VERSION`] of the host.
        version: u16,
    },
    /// What device and model are there. Answered by [`Response::Info`].
    Info,
    /// Changes bytes of a buffer. Answered by [`Response::Done`].
    Write {
        /// Which buffer.
        buffer: Buffer,
        /// First byte to change.
        offset: u32,
        /// At most [`super::MAX_CHUNK`] bytes.
        data: &'a [u8],
    },
    /// Reads bytes of a buffer. Answered by [`Response::Data`].
    Read {
        /// Which buffer.
        buffer: Buffer,
        /// First byte to read.
        offset: u32,
        /// At most [`super::MAX_CHUNK`] bytes.
        bytes: u16,
    },
    /// Runs the model over the first `samples` samples of its inputs.
    /// Answered by [`Response::Ran`].
    Infer {
        /// Samples, 1 to the image's batch.
        samples: u16,
    },
    /// Writes the front of input 0, runs one sample and returns output 0: one exchange instead of
    /// three, for models whose input and output fit a chunk each. Answered by
    /// [`Response::Data`].
    InferOne {
        /// Input 0 of one sample.
        data: &'a [u8],
    },
    /// One training step over the first `samples` samples of the training inputs and targets.
    /// Answered by [`Response::Trained`].
    Train {
        /// Samples, 1 to the image's training batch.
        samples: u16,
    },
    /// Changes a training constant from the next step on. Answered by [`Response::Done`].
    SetHyper(Hyper),
    /// Forgets what was learned: parameters, optimiser state and constants as in the image.
    /// Answered by [`Response::Done`].
    Reset,
    /// Starts the transfer of an image and erases the inactive slot. The active model goes on
    /// working, and an unfinished transfer is forgotten. Answered by [`Response::Done`].
    ModelBegin {
        /// Bytes of the image.
        bytes: u32,
        /// CRC-32 of the image.
        crc: u32,
        /// Arena bytes that the image needs for inference.
        arena_bytes: u32,
    },
    /// The next bytes of the image. Answered by [`Response::Done`].
    ModelChunk {
        /// Where they belong; the bytes before have all been sent.
        offset: u32,
        /// A multiple of 32 bytes, except for the last chunk.
        data: &'a [u8],
    },
    /// Ends the transfer: the device checks the image, writes its record and starts it.
    /// Answered by [`Response::Committed`].
    ModelCommit,
    /// What the run so far has cost. Answered by [`Response::Stats`].
    Stats,
    /// Reads the whole active image: does it still have its checksum? Answered by [`Response::Done`], or by
    /// [`Fault::Crc`] if flash has lost something.
    Verify,
    /// What the start took, from the start of the counter until the first request could be served. Answered by
    /// [`Response::Ran`].
    Boot,
    /// [`Request::Infer`], with a reading of the counter after every step. Answered by [`Response::Data`]: what steps
    /// `first` and following took in ticks, little-endian words, at most [`super::PROFILE_STEPS`] of them.
    Profile {
        /// Samples, 1 to the image's batch.
        samples: u16,
        /// The first step told of.
        first: u16,
    },
    /// What lies in the model slots. Answered by [`Response::Data`]: the newest record of slot 0 and of slot 1 as
    /// [`crate::slot::Record::emit`] writes it (all ones where there is none), then a byte, the active slot or 255.
    Slots,
    /// Makes the image that lies in a slot the active one, with a new generation, once it is found whole and able to
    /// run here. Answered by [`Response::Committed`].
    Activate {
        /// 0 or 1.
        slot: u8,
    },
    /// Writes parameters, optimiser state, updates and learning rate to flash; from now on a start of the device begins
    /// with them. Answered by [`Response::Committed`], with the slot and the generation of the checkpoint.
    Checkpoint,
    /// [`Request::Reset`], and starts begin with the image's own parameters again. Answered by [`Response::Done`].
    Forget,
    /// Watches inference anew: the next samples are the reference of what is normal. Answered by [`Response::Done`].
    Watch {
        /// Samples of the reference; 0 ends the watch.
        reference: u16,
    },
    /// What was seen since the model was started, or since the last watch began. Answered by [`Response::Data`]: the
    /// bytes of a [`crate::adapt::watch::Watch`].
    Statistics,
    /// Loss and right answers of the first `samples` samples of the training inputs and targets; nothing that was
    /// learned changes. Answered by [`Response::Data`], three little-endian words: mean loss (f32), right answers (of
    /// a cross-entropy), ticks.
    Evaluate {
        /// Samples, 1 to the image's training batch.
        samples: u16,
    },
    /// Shows the normalisation of inputs the first `samples` samples of the inputs of inference; with 0 samples has it
    /// bring what it was shown back to what the model was trained on. Answered by [`Response::Ran`].
    Normalise {
        /// Samples, 1 to the image's batch, or 0.
        samples: u16,
    },
}

/// What the device answers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Response<'a> {
    /// The device's protocol version; the host ends the exchange when it is not its own.
    Hello {
        /// [`super::VERSION`] of the device.
        version: u16,
    },
    /// The request could not be done, and changed nothing.
    Fault(Fault),
    /// The request was done.
    Done,
    /// The bytes asked for.
    #[serde(borrow)]
    Info(DeviceInfo<'a>),
    /// Bytes of a buffer.
    Data(&'a [u8]),
    /// Inference ran.
    Ran {
        /// What the run took, in the device's ticks ([`DeviceInfo::tick_hz`]).
        ticks: u32,
    },
    /// A training step ran.
    Trained {
        /// Mean loss of the step's samples, before its update.
        loss: f32,
        /// What the step took, in the device's ticks.
        ticks: u32,
    },
    /// The image that was sent is active.
    Committed {
        /// The slot it lies in.
        slot: u8,
        /// Its generation.
        generation: u32,
    },
    /// What the run so far has cost.
    Stats(DeviceStats),
}

/// What the device is and which model it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct DeviceInfo<'a> {
    /// The board's name, such as `m4`.
    pub board: &'a str,
    /// Name of the instruction-set token the kernels run with.
    pub isa: &'a str,
    /// Version of the firmware.
    pub firmware: &'a str,
    /// Bytes of the arena.
    pub arena_bytes: u32,
    /// Bytes of the largest image a slot takes.
    pub slot_bytes: u32,
    /// Ticks per second of the device's counter.
    pub tick_hz: u32,
    /// The model, or why there is none.
    pub model: ModelState,
}

/// Whether the device has a model to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ModelState {
    /// No slot holds an image.
    Empty,
    /// A model runs.
    Ready(ModelInfo),
    /// The active slot's image cannot run here.
    Refused(Fault),
}

/// The active model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ModelInfo {
    /// The slot it lies in: 0 or 1.
    pub slot: u8,
    /// Its generation.
    pub generation: u32,
    /// Bytes of the image.
    pub bytes: u32,
    /// CRC-32 of the image.
    pub crc: u32,
    /// Bytes of the arena that it uses.
    pub arena_bytes: u32,
    /// Bytes of the trainable parameters; 0 when it can only infer here.
    pub params_bytes: u32,
}

/// What the run so far has cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct DeviceStats {
    /// The most stack bytes in use since start.
    pub stack_used: u32,
    /// Bytes of the stack.
    pub stack_bytes: u32,
    /// Bytes of the arena that the model uses.
    pub arena_used: u32,
    /// Bytes of the arena.
    pub arena_bytes: u32,
    /// Samples inferred since the model was started.
    pub inferences: u32,
    /// Training steps since the model was started.
    pub steps: u32,
    /// What the last inference or training step took, in ticks.
    pub last_ticks: u32,
    /// Frames that arrived damaged.
    pub bad_frames: u32,
}

/// Why a request could not be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Fault {
    /// The device has started since the last hello: what the host knows of it is out of date.
    NoHello,
    /// The frame is whole, but its payload is no request of this protocol version.
    Unknown,
    /// No model runs.
    NoModel,
    /// The model has no such buffer.
    NoBuffer,
    /// A write to an output.
    ReadOnly,
    /// Bytes beyond the end of a buffer.
    OutOfRange {
        /// Bytes the buffer would have to have.
        need: u32,
        /// Bytes it has.
        have: u32,
    },
    /// More bytes than a chunk carries.
    TooLong {
        /// Bytes wanted.
        need: u32,
        /// Bytes a chunk carries.
        have: u32,
    },
    /// The image is larger than a slot.
    SlotTooSmall {
        /// Bytes of the image.
        need: u32,
        /// Bytes of a slot.
        have: u32,
    },
    /// Chunk or commit without a begin.
    NoTransfer,
    /// A chunk that does not continue where the last one ended, or a commit before the end.
    OutOfOrder {
        /// Offset in the request, or bytes so far.
        found: u32,
        /// Offset of the next byte, or bytes of the image.
        expected: u32,
    },
    /// The bytes in the slot do not have the checksum announced at the begin.
    Crc {
        /// Checksum of the bytes in the slot.
        found: u32,
        /// Checksum announced.
        expected: u32,
    },
    /// The flash did not erase or program.
    Flash,
    /// The bytes are no image that this firmware runs.
    Image(ImageError),
    /// The model cannot run here, or cannot do this.
    Session(SessionError),
    /// There is no such slot, or no image in it.
    EmptySlot {
        /// The slot asked for.
        slot: u8,
    },
    /// The board has no flash for what is learned.
    NoCheckpoints,
}

impl core::fmt::Display for Fault {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NoHello => f.write_str("the device has restarted"),
            Self::Unknown => f.write_str("the device does not know this request"),
            Self::NoModel => f.write_str("the device has no model"),
            Self::NoBuffer => f.write_str("the model has no such buffer"),
            Self::ReadOnly => f.write_str("outputs are written by the model only"),
            Self::OutOfRange { need, have } => {
                write!(f, "access up to byte {need} of a buffer of {have} bytes")
            }
            Self::TooLong { need, have } => {
                write!(f, "{need} bytes do not fit one message, which carries {have}")
            }
            Self::SlotTooSmall { need, have } => {
                write!(f, "the image has {need} bytes, the device's slot {have}")
            }
            Self::NoTransfer => f.write_str("no image transfer is under way"),
            Self::OutOfOrder { found, expected } => {
                write!(f, "image transfer is at byte {found}, expected byte {expected}")
            }
            Self::Crc { found, expected } => {
                write!(f, "stored image has checksum {found:#010x}, announced was {expected:#010x}")
            }
            Self::Flash => f.write_str("the device's flash did not erase or program"),
            Self::Image(error) => write!(f, "on the device: {error}"),
            Self::Session(error) => write!(f, "on the device: {error}"),
            Self::NoCheckpoints => f.write_str("the board has no flash for what is learned"),
            Self::EmptySlot { slot } => write!(f, "slot {slot} holds no image"),
        }
    }
}

impl core::error::Error for Fault {}

/// Where a device panicked: a bug in the firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PanicReport<'a> {
    /// The end of the source file's path; empty for a processor fault.
    pub file: &'a str,
    /// The line; for a processor fault the address it happened at.
    pub line: u32,
}
