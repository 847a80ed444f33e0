//! What can be wrong with an ONNX file, or more than we can do.

use super::tensor::ElementType;
use super::wire::WireError;
use crate::files::FileError;
use crate::graph::{GraphError, OpError, shape_text};
use crate::import::budget::Exhausted;

/// [`OnnxError`] with the file's name, or trouble with the file itself.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the messages say what the fields are
pub enum LoadError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{path}")]
    Content {
        path: String,
        #[source]
        source: OnnxError,
    },
}

/// Why an ONNX model was refused.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum OnnxError {
    #[error("not an ONNX file")]
    NotOnnx { source: WireError },
    #[error("not an ONNX file: it holds no graph")]
    NoGraph,
    #[error("the file is damaged")]
    Damaged(#[from] WireError),
    #[error("IR version {found} is older than 3, the first one in use")]
    IrVersion { found: i64 },
    #[error(
        "operator set {found} is not supported; this program knows {} to {} (onnx.version_converter changes a model's)",
        super::model::OPSETS.start(), super::model::OPSETS.end()
    )]
    Opset { found: i64 },
    #[error("the model defines the function `{name}`; inline functions first (onnx.inliner)")]
    Functions { name: String },
    #[error("the model has sparse initializers, which are not supported")]
    Sparse,
    #[error("the model would need more than {limit} bytes of memory, which is out of proportion to the file's {file}")]
    TooLarge { limit: usize, file: usize },
    #[error("initializer `{name}`: {source}")]
    Tensor { name: String, source: TensorProblem },
    #[error("input `{name}`: {source}")]
    Input { name: String, source: InputProblem },
    #[error("output `{name}`: {source}")]
    Output { name: String, source: OutputProblem },
    #[error("`{name}` is not an input of the model; there are: {known}")]
    NoSuchInput { name: String, known: String },
    #[error("not supported: {}", .nodes.join(", "))]
    Unsupported { nodes: Vec<String> },
    #[error("node {index}{} ({op}): {source}", named(.name))]
    Node { index: usize, name: String, op: String, source: NodeProblem },
    #[error("the network does not hold together")]
    Graph(#[from] GraphError),
    #[error("memory")]
    Memory,
}

/// A node's name in a message, where it has one.
pub(super) fn named(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!(" `{name}`") }
}

impl From<Exhausted> for OnnxError {
    /// Replaced by [`OnnxError::TooLarge`] where the file's size is known.
    fn from(_: Exhausted) -> Self {
        Self::Memory
    }
}

/// A tensor that contradicts itself or is of a kind that we cannot hold.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[allow(missing_docs)]
pub enum TensorProblem {
    #[error("{0}")]
    Damaged(#[from] WireError),
    #[error("has the size {found}; sizes are not negative")]
    Dimension { found: i64 },
    #[error("has {found} axes; at most {most} are supported")]
    Rank { found: usize, most: usize },
    #[error("shape {} has too many elements", shape_text(.shape))]
    TooLarge { shape: Vec<usize> },
    #[error("has {found} values; shape {} needs {expected}", shape_text(.shape))]
    Length { found: usize, expected: usize, shape: Vec<usize> },
    #[error("element type {found} is not supported for constants")]
    Type { found: ElementType },
    #[error("the value {found} is out of the range of its type")]
    Range { found: i64 },
    #[error("its values lie outside of the file, in `{location}`, which can be read only from a file beside the model")]
    External { location: String },
    #[error("its values lie in `{location}`; only a plain file name beside the model is accepted")]
    ExternalName { location: String },
    #[error("its values are bytes {offset} to {end} of `{location}`, which has {len}")]
    ExternalRange { location: String, offset: u64, end: u64, len: usize },
    #[error("needs too much memory for so small a file")]
    Budget,
}

/// A graph input that we cannot take.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[allow(missing_docs)]
pub enum InputProblem {
    #[error("is no tensor; sequences, maps and optional values are not supported")]
    NoTensor,
    #[error(
        "axis {axis}{} is not known before the run; fix its shape {} with --shape {input}={}",
        named(.dimension), .shape.join("x"), suggestion(.shape)
    )]
    Unknown { input: String, axis: usize, dimension: String, shape: Vec<String> },
    #[error("the file gives no shape; set it with --shape {input}=...")]
    NoShape { input: String },
    #[error("--shape gives it {}, the file has {}", shape_text(.asked), .found.join("x"))]
    Asked { asked: Vec<usize>, found: Vec<String> },
    #[error("has the size {found}; sizes are positive")]
    Dimension { found: i64 },
    #[error("has {found} axes; at most {most} are supported")]
    Rank { found: usize, most: usize },
    #[error("shape {} has too many elements", shape_text(.shape))]
    TooLarge { shape: Vec<usize> },
    #[error("is {found}; inputs are float, or quantised int8 or uint8")]
    Type { found: ElementType },
    #[error("is {found}, but nothing that reads it says its scale")]
    NoScale { found: ElementType },
}

fn suggestion(shape: &[String]) -> String {
    let known = |d: &String| if d.parse::<u64>().is_ok() { d.clone() } else { "N".into() };
    shape.iter().map(known).collect::<Vec<_>>().join(",")
}

/// A graph output that we cannot give.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[allow(missing_docs)]
pub enum OutputProblem {
    #[error("no node makes it")]
    NotMade,
    #[error("is a constant; it does not depend on the inputs")]
    Constant,
}

/// A node that we cannot import.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[allow(missing_docs)]
pub enum NodeProblem {
    #[error("this operator is not supported")]
    Unsupported,
    #[error("{what} is not supported")]
    Feature { what: String },
    #[error("has {found} inputs, expected {expected}")]
    Inputs { found: usize, expected: String },
    #[error("has no output")]
    NoOutput,
    #[error("`{name}` is made twice")]
    MadeTwice { name: String },
    #[error("{role} is missing")]
    Missing { role: &'static str },
    #[error("{role} `{name}` is needed before any node has made it")]
    NotMade { role: &'static str, name: String },
    #[error("{role} `{name}` is not a constant")]
    NotConstant { role: &'static str, name: String },
    #[error("{role} is {found}, expected {expected}")]
    Type { role: &'static str, found: String, expected: &'static str },
    #[error("{role} has shape {}, expected {expected}", shape_text(.found))]
    Shape { role: &'static str, found: Vec<usize>, expected: String },
    #[error("attribute {attribute} is {found}, expected {expected}")]
    Attribute { attribute: &'static str, found: String, expected: String },
    #[error("{role} is {found}, expected {expected}")]
    Value { role: &'static str, found: String, expected: String },
    #[error("shapes {} and {} cannot be broadcast to each other", shape_text(.a), shape_text(.b))]
    Broadcast { a: Vec<usize>, b: Vec<usize> },
    #[error("the new shape {found:?} does not fit an input of shape {}", shape_text(.input))]
    NewShape { found: Vec<i64>, input: Vec<usize> },
    #[error("{role} `{name}`: {source}")]
    Tensor { role: &'static str, name: String, source: TensorProblem },
    #[error(transparent)]
    Op(#[from] OpError),
    #[error("sizes overflow")]
    Overflow,
    #[error("needs too much memory for so small a file")]
    Budget,
}

impl From<Exhausted> for NodeProblem {
    fn from(_: Exhausted) -> Self {
        Self::Budget
    }
}
