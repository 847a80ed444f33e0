//! Programs to flash images, and back to what a host wants to know of one.
//!
//! `docs/image-format.md` is the specification; [`embernet_core::image`] the parser. [`pack`] does the
//! whole way from a graph; what it returns has been parsed once by the device's own parser.

mod aligned;
mod by_layer;
mod container;
mod flow;
mod inspect;
mod metadata;
mod params;
mod source;
mod write;

#[cfg(test)]
mod tests;

use embernet_core::arch::{self, IsaId};

pub use aligned::{AlignedBytes, arena_for};
pub use container::{ContainerError, Format, Piece, Target};
pub use inspect::{Inspection, PlanInfo, StepRow, inspect};
pub use metadata::{LayerInfo, METADATA_VERSION, Metadata, MetadataError};
pub(crate) use params::initial_params;
pub use params::{ParamsError, apply_params, normalisation, with_params};
pub use source::{SourceError, read_source, source_bytes};
pub use write::{PackError, Packed, pack, write};

pub use embernet_core::host::{HostSession, Observer, open};

pub use crate::lower::{Loss, Optimize, Options as PackOptions, Precision, TrainOptions};

/// The fastest instruction set of this machine; with `exact` the fastest whose bits equal a device's.
pub fn host_isa(exact: bool) -> IsaId {
    if exact { arch::best_exact() } else { arch::best() }
}
