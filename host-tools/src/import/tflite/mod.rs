//! TFLite models to graphs.
//!
//! [`flat`](self) reads the container, `model` the schema's tables, `convert` makes the graph. A file
//! is untrusted: any bytes give a graph or an error that names the operator or tensor, and the import
//! takes no more memory than sixteen times the file and 64 MB. What the graph cannot express exactly
//! is an error, never an approximation.

mod convert;
mod error;
mod flat;
mod model;
pub(crate) mod schema;

#[cfg(test)]
pub(crate) mod tests;

pub(crate) use convert::nearest;
pub use convert::{FOLDED, Imported, OPERATORS};
pub use error::{LoadError, OpProblem, TensorProblem, TfliteError};
pub use flat::FlatError;
pub use schema::TensorType;

use super::budget::Budget;
use crate::files;
use std::path::Path;

/// Reads a model from a file.
pub fn load(path: &Path) -> Result<Imported, LoadError> {
    let bytes = files::read(path)?;
    let content = |source| LoadError::Content { path: path.display().to_string(), source };
    let mut imported = from_bytes(&bytes).map_err(content)?;
    // Converters call nearly every network `main`.
    if let (Some(stem), "" | "main") = (path.file_stem(), imported.graph.name.as_str()) {
        imported.graph.name = stem.to_string_lossy().into_owned();
    }
    Ok(imported)
}

/// Reads a model from bytes; takes any bytes and never panics.
pub fn from_bytes(bytes: &[u8]) -> Result<Imported, TfliteError> {
    let mut budget = Budget::for_file(bytes.len());
    let model = model::Model::parse(bytes, &mut budget)?;
    convert::convert(&model, budget, bytes.len())
}
