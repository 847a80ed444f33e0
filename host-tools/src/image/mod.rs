//! Programs to flash images, and back to what a host wants to know of one.
//!
//! `docs/image-format.md` is the specification; [`embernet_core::image`] the parser. [`pack`] does the
//! whole way from a graph; what it returns has been parsed once by the device's own parser.

mod aligned;
mod container;
mod inspect;
mod metadata;
mod params;
mod session;
mod write;

#[cfg(test)]
mod tests;

pub use aligned::AlignedBytes;
pub use container::{ContainerError, Format, Target};
pub use inspect::{Inspection, PlanInfo, StepRow, inspect};
pub use metadata::{LayerInfo, METADATA_VERSION, Metadata, MetadataError};
pub use params::{ParamsError, apply_params, with_params};
pub use session::{HostSession, Observer, arena_for, host_isa, open};
pub use write::{PackError, Packed, pack, write};

pub use crate::lower::{Loss, Options as PackOptions, TrainOptions};
