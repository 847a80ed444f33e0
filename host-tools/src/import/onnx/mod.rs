//! ONNX models to graphs.
//!
//! | file | is |
//! |---|---|
//! | `wire.rs` | the protobuf format, read in place |
//! | `model.rs`, `tensor.rs` | the messages that matter; constants decoded |
//! | `layout.rs` | where the axes of an activation lie: channels first in the file, last in the graph |
//! | `convert/` | nodes to operations |
//!
//! A file is untrusted: any bytes give a graph or an error that names the node, input or initializer,
//! and the import takes no more memory than sixteen times the file and 64 MB. What the graph cannot
//! express is an error, never an approximation.

mod convert;
mod error;
mod layout;
mod model;
mod tensor;
mod wire;

#[cfg(test)]
mod tests;

pub use convert::{FOLDED, Imported, OPERATORS, Port};
pub use error::{InputProblem, LoadError, NodeProblem, OnnxError, OutputProblem, TensorProblem};
pub use tensor::{Constant, ElementType};
pub use wire::WireError;

use super::budget::Budget;
use crate::files;
use model::TensorDef;
use std::collections::BTreeMap;
use std::collections::hash_map::Entry;
use std::path::Path;
use tensor::External;

/// What the file leaves open.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Whole shapes (with the batch axis) of inputs by name.
    pub shapes: BTreeMap<String, Vec<usize>>,
    /// Inputs that become constants.
    pub values: BTreeMap<String, Constant>,
}

/// Reads a model from a file, and files beside it if some of its values lie there.
pub fn load(path: &Path, options: &Options) -> Result<Imported, LoadError> {
    let bytes = files::read(path)?;
    let content = |source| LoadError::Content { path: path.display().to_string(), source };
    let mut budget = Budget::for_file(bytes.len());
    let model = model::Model::parse(&bytes, &mut budget).map_err(|e| content(sized(e, &budget, bytes.len())))?;
    let mut external = External::new();
    for def in convert::tensors(&model) {
        let tensor = |source| content(OnnxError::Tensor { name: def.name.into(), source });
        let Some(name) = tensor::location(def).map_err(tensor)? else { continue };
        if let Entry::Vacant(entry) = external.entry(name) {
            let values = files::read(&path.with_file_name(entry.key()))?;
            entry.insert(values);
        }
    }
    let size = external.values().fold(bytes.len(), |sum, file| sum.saturating_add(file.len()));
    budget = Budget::for_file(size);
    let converted = convert::convert(&model, &external, options, &mut budget);
    let mut imported = converted.map_err(|e| content(sized(e, &budget, size)))?;
    // What exporters call every network says nothing.
    let dull = ["", "main", "main_graph", "torch_jit", "torch-jit-export", "CNTKGraph"];
    if let Some(stem) = path.file_stem()
        && dull.contains(&imported.graph.name.as_str())
    {
        imported.graph.name = stem.to_string_lossy().into_owned();
    }
    Ok(imported)
}

/// Reads a model from bytes; takes any bytes and never panics.
pub fn from_bytes(bytes: &[u8], options: &Options) -> Result<Imported, OnnxError> {
    let mut budget = Budget::for_file(bytes.len());
    let read = |budget: &mut Budget| {
        let model = model::Model::parse(bytes, budget)?;
        convert::convert(&model, &External::new(), options, budget)
    };
    read(&mut budget).map_err(|e| sized(e, &budget, bytes.len()))
}

/// The outputs that do not depend on the inputs, computed at import, by name.
pub fn constants(bytes: &[u8], options: &Options) -> Result<Vec<(String, Constant)>, OnnxError> {
    let mut budget = Budget::for_file(bytes.len());
    let read = |budget: &mut Budget| {
        let model = model::Model::parse(bytes, budget)?;
        convert::constants(&model, options, budget)
    };
    read(&mut budget).map_err(|e| sized(e, &budget, bytes.len()))
}

/// Names of the inputs that a caller feeds, in the file's order; all of them are tensors.
pub fn input_names(bytes: &[u8]) -> Result<Vec<String>, OnnxError> {
    let mut budget = Budget::for_file(bytes.len());
    let model = model::Model::parse(bytes, &mut budget).map_err(|e| sized(e, &budget, bytes.len()))?;
    let stored = |name: &str| model.initializers.iter().any(|i| i.name == name);
    let fed = model.inputs.iter().filter(|input| !stored(input.name));
    fed.map(|input| match input.is_tensor() {
        true => Ok(input.name.to_owned()),
        false => Err(OnnxError::Input { name: input.name.into(), source: InputProblem::NoTensor }),
    })
    .collect()
}

/// Reads a file that holds one tensor: its name and values.
pub fn read_tensor(bytes: &[u8]) -> Result<(String, Constant), OnnxError> {
    let mut budget = Budget::for_file(bytes.len());
    let def = TensorDef::parse(wire::Message(bytes))?;
    let constant = tensor::decode(&def, &External::new(), &mut budget);
    let constant = constant.map_err(|source| OnnxError::Tensor { name: def.name.into(), source })?;
    Ok((def.name.into(), constant))
}

/// An exhausted budget said with the sizes.
fn sized(error: OnnxError, budget: &Budget, file: usize) -> OnnxError {
    let limit = budget.limit;
    match error {
        OnnxError::Memory
        | OnnxError::Node { source: NodeProblem::Budget, .. }
        | OnnxError::Node { source: NodeProblem::Tensor { source: TensorProblem::Budget, .. }, .. }
        | OnnxError::Tensor { source: TensorProblem::Budget, .. } => OnnxError::TooLarge { limit, file },
        error => error,
    }
}
