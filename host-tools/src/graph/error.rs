//! What can be wrong with a graph. Every message names the node or tensor it is about.

use super::tensor::{DType, shape_text};

/// A graph that does not hold together.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[allow(missing_docs)] // the messages say what the fields are
pub enum GraphError {
    #[error("node `{node}` ({op}): {source}")]
    Node { node: String, op: &'static str, source: OpError },
    #[error("node `{node}`: no tensor with number {id}; the graph has {count}")]
    NoSuchTensor { node: String, id: u32, count: usize },
    #[error("the graph's {list} name tensor number {id}; the graph has {count}")]
    NoSuchPort { list: &'static str, id: u32, count: usize },
    #[error("two {what}s are called `{name}`")]
    DuplicateName { what: &'static str, name: String },
    #[error("node `{node}`: output `{tensor}` already comes from {from}")]
    TwoSources { node: String, tensor: String, from: String },
    #[error("node `{node}`: input `{tensor}` has no source: no node makes it, it is no constant and no graph input")]
    NoSource { node: String, tensor: String },
    #[error("graph output `{tensor}` has no source")]
    OutputWithoutSource { tensor: String },
    #[error("node `{node}` needs its own output (a cycle)")]
    Cycle { node: String },
    #[error("tensor `{tensor}`: {source}")]
    Tensor { tensor: String, source: TensorError },
    #[error("the graph has no {list}")]
    Empty { list: &'static str },
    #[error("the preprocessing does not fit an input of {values} values, or holds numbers that are not finite")]
    Preprocessing { values: usize },
    #[error("no tensor or layer is called `{name}`; there are: {known}")]
    NoSuchName { name: String, known: String },
    #[error("inputs cannot be normalised: {why}")]
    Normalise { why: String },
    #[error("`{choice}` cannot learn: {why}")]
    Selection { choice: String, why: String },
}

/// A tensor that contradicts itself.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[allow(missing_docs)] // the messages say what the fields are
pub enum TensorError {
    #[error("shape {} has too many elements", shape_text(.shape))]
    TooLarge { shape: Vec<usize> },
    #[error("shape {} has a zero dimension", shape_text(.shape))]
    ZeroDimension { shape: Vec<usize> },
    #[error("the constant holds {found} values, its shape {} needs {expected}", shape_text(.shape))]
    DataLength { found: usize, expected: usize, shape: Vec<usize> },
    #[error("the constant's values are {found}, the tensor is {expected}")]
    DataType { found: DType, expected: DType },
    #[error("quantisation has {scales} scales and {zero_points} zero points, expected {expected} of each")]
    QuantLength { scales: usize, zero_points: usize, expected: usize },
    #[error("quantisation runs along axis {axis}, the shape is {}", shape_text(.shape))]
    QuantAxis { axis: usize, shape: Vec<usize> },
    #[error("scale number {index} is {scale}; scales are positive and finite")]
    QuantScale { index: usize, scale: f32 },
    #[error("zero point number {index} is {zero_point}, outside of {dtype}")]
    QuantZeroPoint { index: usize, zero_point: i32, dtype: DType },
    #[error("an f32 tensor cannot be quantised")]
    QuantFloat,
    #[error("trainable, but it has no values")]
    TrainableWithoutData,
}

/// An operation that its inputs do not fit.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[allow(missing_docs)] // the messages say what the fields are
pub enum OpError {
    #[error("has {found} inputs, expected {expected}")]
    Inputs { found: usize, expected: String },
    #[error("has {found} outputs, expected {expected}")]
    Outputs { found: usize, expected: usize },
    #[error("input `{tensor}` has shape {}, expected {expected}", shape_text(.found))]
    InputShape { tensor: String, found: Vec<usize>, expected: String },
    #[error("{role} `{tensor}` has shape {}, expected {}", shape_text(.found), shape_text(.expected))]
    ParameterShape { role: &'static str, tensor: String, found: Vec<usize>, expected: Vec<usize> },
    #[error("{role} `{tensor}` is not a constant")]
    ParameterNotConstant { role: &'static str, tensor: String },
    #[error("output `{tensor}` has shape {}, its inputs make {}", shape_text(.found), shape_text(.expected))]
    OutputShape { tensor: String, found: Vec<usize>, expected: Vec<usize> },
    #[error("{what} is {found}, must be {expected}")]
    Attribute { what: &'static str, found: String, expected: &'static str },
    #[error("the {kernel} kernel (dilated) is larger than the padded {input} input along the {axis}")]
    WindowTooLarge { axis: &'static str, kernel: usize, input: usize },
    #[error("activation {activation} cannot be fused; only clamps can (relu, relu6, relu_n1_to_1)")]
    NotFusable { activation: &'static str },
    #[error("sizes overflow")]
    Overflow,
}
