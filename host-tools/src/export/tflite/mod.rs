//! Graphs to TFLite files: int8, int16 with int8 weights, and f32.
//!
//! Every operation is written as the TFLite operator with the same arithmetic, so that the file,
//! imported again, gives the same bytes. What TFLite cannot say exactly is an error.

mod convert;
mod error;
mod file;
mod flat;

#[cfg(test)]
mod tests;

pub use convert::to_file;
pub use error::ExportError;
pub use file::{File, FileOperator, FileTensor};
pub use flat::{Table, Value};

use crate::graph::Graph;

/// The bytes of a `.tflite` file for a batch of one.
///
/// Class names and preprocessing have no place in such a file and are left out.
pub fn to_bytes(graph: &Graph) -> Result<Vec<u8>, ExportError> {
    Ok(to_file(graph)?.to_bytes())
}
