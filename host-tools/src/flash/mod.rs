//! Getting a model into a board's flash.
//!
//! | way | file | which slot |
//! |---|---|---|
//! | through the program on the board | `link.rs` | the one that is not active: a pulled cable leaves the old model |
//! | with a debug probe | `probe.rs` | likewise; the host reads the records itself |
//! | as a file for the boot loader's drive | `drive.rs` | the one that the caller names: a drive cannot be read |
//!
//! The layout is `docs/slots.md`; `embernet_core::slot` holds the record that both sides share.

#[cfg(feature = "probe")]
mod debug_probe;
mod drive;
mod error;
mod link;
mod plan;
mod probe;
mod program;
mod slot;

#[cfg(feature = "probe")]
pub use debug_probe::{DebugProbe, DebugProbes};
pub use drive::Drive;
pub use error::FlashError;
pub use link::{Destination, destination, over_link};
pub use plan::{Action, Content, Plan, Step};
pub use probe::{Probe, Probes, attach, over_probe, slot_states};
pub use program::{NoProgram, Program};
pub use slot::{TooLarge, fits, slot};

/// What flashing did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flashed {
    /// The slot of the model.
    pub slot: u8,
    /// Its generation.
    pub generation: u32,
    /// Bytes that were sent: 0 when the board had the image already.
    pub sent: usize,
}
