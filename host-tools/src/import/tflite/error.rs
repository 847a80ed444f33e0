//! What can be wrong with a TFLite file, or more than we can do.

use super::flat::FlatError;
use super::schema::TensorType;
use crate::files::FileError;
use crate::graph::{DType, GraphError, shape_text};

/// [`TfliteError`] with the file's name, or trouble with the file itself.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{path}")]
    Content {
        path: String,
        #[source]
        source: TfliteError,
    },
}

/// Why a TFLite model was refused.
#[derive(Debug, thiserror::Error)]
pub enum TfliteError {
    #[error("not a TFLite file: bytes 4 to 8 are {}, expected TFL3", .found.escape_ascii())]
    NotTflite { found: Vec<u8> },
    #[error("schema version {found}; this program reads version {known}")]
    Version { found: u32, known: u32 },
    #[error("the file is damaged")]
    Damaged(#[from] FlatError),
    #[error("the file has {found} subgraphs; only models of one subgraph can be imported (no IF, WHILE or CALL)")]
    Subgraphs { found: usize },
    #[error("the model would need more than {limit} bytes of memory, which is out of proportion to the file's {file}")]
    TooLarge { limit: usize, file: usize },
    #[error("tensor {index} (`{name}`): {source}")]
    Tensor { index: usize, name: String, source: TensorProblem },
    #[error("the model's {list} name tensor {found}; there are {count}")]
    Port { list: &'static str, found: i32, count: usize },
    #[error("operator {index} ({op}): {source}")]
    Op { index: usize, op: String, source: OpProblem },
    #[error("the network does not hold together")]
    Graph(#[from] GraphError),
}

/// A tensor that contradicts itself or is of a kind that we cannot hold.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TensorProblem {
    #[error("shape has the size {found}; it must be fixed and positive")]
    Dimension { found: i32 },
    #[error("has {found} axes; at most {most} are supported")]
    Rank { found: usize, most: usize },
    #[error("its shape is not known before the run")]
    UnknownShape,
    #[error("shape {} has too many elements", shape_text(.shape))]
    TooLarge { shape: Vec<usize> },
    #[error("refers to buffer {found}; the file has {count}")]
    Buffer { found: u32, count: usize },
    #[error("its buffer lies at byte {offset} and has {size} bytes; the file has {len}")]
    BufferRange { offset: u64, size: u64, len: usize },
    #[error("its buffer has {found} bytes; shape {} of {ty} needs {expected}", shape_text(.shape))]
    BufferLength { found: usize, expected: usize, shape: Vec<usize>, ty: TensorType },
    #[error("{scales} scales and {zero_points} zero points")]
    QuantLength { scales: usize, zero_points: usize },
    #[error("zero point {found} is out of range")]
    ZeroPoint { found: i64 },
    #[error("is stored sparse, which is not supported")]
    Sparse,
    #[error("has a custom quantisation, which is not supported")]
    CustomQuantization,
    #[error("keeps its value between runs (a variable), which is not supported here")]
    Variable,
    #[error("is a state, but the file does not say that it keeps its value (is_variable)")]
    NotVariable,
    #[error("is {found}, which is not supported as an activation")]
    ActivationType { found: TensorType },
    #[error("is {found}, which is not supported as a constant")]
    ConstantType { found: TensorType },
    #[error("is an output of the model, but no operator makes it as an activation")]
    OutputNotMade,
    #[error("is {found} without a scale and zero point")]
    NotQuantized { found: TensorType },
    #[error("has {found} scales; an activation has one")]
    ActivationScales { found: usize },
    #[error("i16 activations have zero point 0, not {found}")]
    ZeroPointI16 { found: i64 },
}

/// An operator that we cannot import.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum OpProblem {
    #[error("this operator is not supported")]
    Unsupported,
    #[error("{0}")]
    Damaged(#[from] FlatError),
    #[error("refers to operator code {found}; the file has {count}")]
    Code { found: u32, count: usize },
    #[error("has {found} inputs, expected {expected}")]
    Inputs { found: usize, expected: String },
    #[error("has {found} outputs, expected {expected}")]
    Outputs { found: usize, expected: usize },
    #[error("{role} is tensor {found}; there are {count}")]
    NoSuchTensor { role: &'static str, found: i32, count: usize },
    #[error("{role} is missing")]
    Missing { role: &'static str },
    #[error("{role} (tensor {tensor}) is needed before any operator has made it")]
    NotMade { role: &'static str, tensor: usize },
    #[error("tensor {tensor} is written twice, or written although it is constant")]
    MadeTwice { tensor: usize },
    #[error("{role} is not a constant")]
    NotConstant { role: &'static str },
    #[error("{role} is a constant; only activations are supported there")]
    Constant { role: &'static str },
    #[error("{role} is {found}, expected {expected}")]
    Type { role: &'static str, found: TensorType, expected: &'static str },
    #[error("{role} has shape {}, expected {expected}", shape_text(.found))]
    Shape { role: &'static str, found: Vec<usize>, expected: String },
    #[error("the file gives the output shape {}, the inputs make {}", shape_text(.found), shape_text(.made))]
    OutputShape { found: Vec<usize>, made: Vec<usize> },
    #[error("the new shape {found:?} does not fit an input of shape {input} ({elements} values)")]
    NewShape { found: Vec<i64>, input: String, elements: usize },
    #[error("{why}")]
    Window { why: String },
    #[error("`{tensor}` is {found}, expected {expected}")]
    ActivationType { tensor: String, found: DType, expected: &'static str },
    #[error("{role} is {found}, input 0 is {expected}")]
    Types { role: &'static str, found: DType, expected: DType },
    #[error("{option} is {found}, expected {expected}")]
    Option { option: &'static str, found: String, expected: &'static str },
    #[error("{what} is not supported")]
    Feature { what: String },
    #[error("{role} has {found} scales, expected 1 or {expected} (one for each output channel)")]
    Scales { role: &'static str, found: usize, expected: usize },
    #[error("{role} has its scales along axis {found}, expected {expected}")]
    ScaleAxis { role: &'static str, found: i64, expected: usize },
    #[error("{role} has zero point {found}, expected 0")]
    WeightZeroPoint { role: &'static str, found: i64 },
    #[error("input and output must have the same scale and zero point, found {input} and {output}")]
    QuantDiffers { input: String, output: String },
    #[error("the output's scale and zero point are {found}, expected {expected}")]
    OutputQuant { found: String, expected: String },
    #[error("tensor {index} (`{name}`): {source}")]
    Tensor { index: usize, name: String, source: TensorProblem },
    #[error("{found} activations with {weights} weights are not supported")]
    Mix { found: DType, weights: TensorType },
    #[error("sizes overflow")]
    Overflow,
    #[error("needs too much memory for so small a file")]
    Budget,
}
