//! Quantisation after training: a float graph and some data in, an int8 graph out.
//!
//! | file | is |
//! |---|---|
//! | `activations.rs` | runs a graph and hands out the value of every activation |
//! | `calibrate.rs` | the range of every activation over the calibration data |
//! | `post_training.rs` | scales from ranges, constants to integers, by TFLite's int8 rules |
//! | `compare.rs` | how far each layer is from the float one |
//! | `block.rs` | floats as block floating point and back |
//! | `float.rs` | an int8 graph as the float graph that it stands for |
//! | `fixed_point.rs` | real factors as integer ones, lookup tables |
//!
//! The rules are those of the TFLite 8-bit quantisation specification: activations asymmetric per tensor, weights
//! symmetric per output channel in -127..=127, biases int32 at input scale times weight scale.

mod activations;
pub mod block;
mod calibrate;
mod compare;
pub mod fixed_point;
mod float;
mod post_training;

#[cfg(test)]
mod tests;

pub(crate) use activations::for_each as for_each_activation;
pub use calibrate::Range;
pub use compare::LayerError;
pub use float::to_float;

use crate::graph::{DType, Graph, GraphError};
use crate::image::PackError;
use crate::passes::{self, Report};
use embernet_core::exec::SessionError;
use embernet_core::image::ImageError;

/// Integer types of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scheme {
    /// int8 activations and weights, int32 biases.
    #[default]
    Int8,
}

impl Scheme {
    /// The name in options and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Int8 => "int8",
        }
    }
}

impl std::str::FromStr for Scheme {
    type Err = QuantError;

    fn from_str(name: &str) -> Result<Self, QuantError> {
        match name {
            "int8" => Ok(Self::Int8),
            _ => Err(QuantError::Scheme { found: name.to_owned() }),
        }
    }
}

/// Why a graph was not quantised.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the messages say what the fields are
pub enum QuantError {
    #[error("scheme `{found}` is unknown; there is: int8")]
    Scheme { found: String },
    #[error("the graph has {found} inputs; calibration data feeds exactly one")]
    Inputs { found: usize },
    #[error("calibration data has {found} values, not a whole number of samples of {expected} values")]
    Values { found: usize, expected: usize },
    #[error("no calibration samples; scales follow from the values that the layers see")]
    NoData,
    #[error("`{node}` ({kind}) has no int8 form")]
    Unsupported { node: String, kind: &'static str },
    #[error("tensor `{tensor}` is {found}; only f32 graphs are quantised")]
    NotFloat { tensor: String, found: DType },
    #[error("constant `{tensor}` has no scale that makes it a real number")]
    NotInteger { tensor: String },
    #[error("`{tensor}` takes values that are not finite on the calibration data")]
    NotFinite { tensor: String },
    #[error(transparent)]
    Graph(#[from] GraphError),
    #[error(transparent)]
    Pack(#[from] PackError),
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error(transparent)]
    Image(#[from] ImageError),
}

/// An int8 graph and how good it is.
#[derive(Debug)]
pub struct Quantized {
    pub graph: Graph,
    /// One row per layer, in the order of execution, over the calibration data.
    pub errors: Vec<LayerError>,
    /// What was simplified before.
    pub simplified: Report,
}

/// Quantises a trained f32 graph.
///
/// `calibration` holds samples of the input one after another, prepared as for training. Some hundred samples of
/// the training data serve.
///
/// # Errors
/// [`QuantError`]; nothing is approximated silently: a layer without an int8 form is an error.
pub fn quantize(graph: &Graph, calibration: &[f32], scheme: Scheme) -> Result<Quantized, QuantError> {
    let Scheme::Int8 = scheme;
    let mut float = graph.clone();
    // The result does not learn: its parameters are constants.
    float.tensors.iter_mut().for_each(|t| t.trainable = false);
    // A fused clamp costs no rounding of its own, and the range is what is left behind it.
    let simplified = passes::fold_and_simplify(&mut float, Graph::fold_all_batch_norm)?;
    let ranges = calibrate::ranges(&float, calibration)?;
    let mut graph = post_training::to_int8(&float, &ranges)?;
    graph.meta.reference = graph.measured(calibration).ok();
    let errors = compare::compare(&float, &graph, calibration)?;
    Ok(Quantized { graph, errors, simplified })
}
