//! Why a graph has no TFLite form.

use crate::graph::GraphError;

/// A graph that TFLite cannot express exactly.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[allow(missing_docs)] // the messages say what the fields are
pub enum ExportError {
    #[error("layer `{node}` ({op}): TFLite has no {what}")]
    Unsupported { node: String, op: &'static str, what: String },
    #[error("tensor `{tensor}` is too large for a TFLite file")]
    TooLarge { tensor: String },
    #[error("the graph does not hold together")]
    Graph(#[from] GraphError),
}
