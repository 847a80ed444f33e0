//! The experiment file: data, model, training and quantisation in one TOML file.
//!
//! ```toml
//! [data]
//! csv = "../datasets/iris.csv"      # paths are relative to this file
//! standardise = true
//! split = 0.8                       # the share to train on
//!
//! [model]
//! layers = [
//!     { type = "dense", units = 10, activation = "relu" },
//!     { type = "dense", units = 3, activation = "softmax" },
//! ]
//!
//! [train]
//! optimizer = { type = "adam", lr = 0.01 }
//! epochs = 100
//! batch = 10
//! seed = 1
//! ```
//!
//! Unknown keys are errors, with file, line and column, as everything else is that does not fit.

mod load;
mod model;
mod optimizer;
mod parse;

#[cfg(test)]
mod tests;

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use serde::Deserialize;

use crate::data::{Axis, DataError, DatasetError, NoNumber, SplitError, csv::Missing};
use crate::files::FileError;
use crate::graph::{GraphError, LayerSpec};
use crate::lower::Precision;

pub use load::Parts;
pub use optimizer::Optimizer;

/// An experiment file that was read and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Experiment {
    /// Where it came from.
    pub path: PathBuf,
    /// `[data]`
    pub data: Data,
    /// `[model]`
    pub model: Model,
    /// `[train]`
    pub train: Train,
    /// `[quantize]`
    pub quantize: Option<Quantize>,
    /// Where the files of `[data]` are looked for first, under the names that it gives.
    pub data_folder: Option<PathBuf>,
    lines: parse::Lines,
}

/// `[data]`: where samples come from and what is done to them.
///
/// Exactly one of `csv`, `npz`, `x` with `y` (without `y` for reconstruction), or `synthetic`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// A table.
    pub csv: Option<PathBuf>,
    /// An archive with the arrays `x` and `y`.
    pub npz: Option<PathBuf>,
    /// Samples as npy or IDX, also gzipped.
    pub x: Option<PathBuf>,
    /// Labels as npy or IDX, also gzipped.
    pub y: Option<PathBuf>,
    /// Noise, to measure speed by.
    pub synthetic: Option<Synthetic>,
    /// A test set in files of its own; without it `split` divides the data.
    pub test: Option<TestData>,
    /// Of a table: whether the first row names the columns. Found out by default.
    pub header: Option<bool>,
    /// Of a table: what stands between cells. Found out by default.
    #[serde(default, deserialize_with = "parse::delimiter")]
    pub delimiter: Option<u8>,
    /// Of a table: the target's column (or columns, for regression), by name or number from 1. The
    /// last by default.
    #[serde(default, deserialize_with = "parse::columns")]
    pub target: Option<Vec<String>>,
    /// Of a table: columns to leave out.
    #[serde(default, deserialize_with = "parse::columns")]
    pub ignore: Option<Vec<String>>,
    /// Of a table: what to do with cells that are missing or no numbers.
    #[serde(default)]
    pub missing: Missing,
    /// Whether labels are classes or numbers.
    #[serde(default)]
    pub task: Task,
    /// Names of the classes in order. By default those that occur.
    pub classes: Option<Vec<String>>,
    /// The shape of a sample, such as `[8, 8, 1]`. As the file has it by default.
    #[serde(default, deserialize_with = "parse::shape")]
    pub shape: Option<Vec<usize>>,
    /// Multiplies every value, before standardising.
    #[serde(default = "one", deserialize_with = "parse::factor")]
    pub scale: f32,
    /// Mean 0 and deviation 1, fit on the training part: `true` (each feature), `"channel"`, `"all"`.
    #[serde(default, deserialize_with = "parse::standardise")]
    pub standardise: Option<Axis>,
    /// The share of the data that trains; the rest tests.
    #[serde(default = "four_fifths", deserialize_with = "parse::share")]
    pub split: f64,
    /// The share of the training part that is set aside to watch the training. Without it the test
    /// part is watched.
    #[serde(default, deserialize_with = "parse::optional_share")]
    pub validation: Option<f64>,
    /// Whether each class gives the same share to each part.
    #[serde(default = "yes")]
    pub stratify: bool,
}

/// `[data.test]`: files of the same kind as the training data's.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestData {
    /// A table.
    pub csv: Option<PathBuf>,
    /// An archive with the arrays `x` and `y`.
    pub npz: Option<PathBuf>,
    /// Samples as npy or IDX.
    pub x: Option<PathBuf>,
    /// Labels as npy or IDX.
    pub y: Option<PathBuf>,
}

/// `[data.synthetic]`: uniform noise of mean 0 and deviation 1, with random classes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Synthetic {
    /// How many samples.
    pub samples: NonZeroU32,
    /// The shape of a sample.
    #[serde(deserialize_with = "parse::shape")]
    pub shape: Option<Vec<usize>>,
    /// How many classes; for classification.
    #[serde(default = "two")]
    pub classes: NonZeroU32,
}

/// What is to be learned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Which class a sample is of.
    #[default]
    Classification,
    /// Numbers.
    Regression,
    /// The sample itself, as an autoencoder gives it back.
    Reconstruction,
}

/// `[model]`
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// The model's name; the file's by default.
    pub name: String,
    /// The layers from input to output.
    pub layers: Vec<LayerSpec>,
}

/// `[train]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Train {
    /// The update rule and its settings.
    #[serde(default)]
    pub optimizer: Optimizer,
    /// What is made small. By default cross-entropy for classes, mean squared error for numbers.
    pub loss: Option<Loss>,
    /// Passes over the training part.
    pub epochs: NonZeroUsize,
    /// Samples in one step.
    #[serde(default = "thirty_two")]
    pub batch: NonZeroUsize,
    /// The numbers to train in.
    #[serde(default)]
    pub precision: Precision,
    /// From it come the split, the initial weights and every shuffle.
    #[serde(default)]
    pub seed: u64,
}

/// What training makes small.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// Cross-entropy of a softmax; labels are classes.
    #[serde(alias = "categorical_crossentropy", alias = "sparse_categorical_crossentropy")]
    CrossEntropy,
    /// Mean squared error; classes are spread one-hot.
    #[serde(alias = "mean_squared_error")]
    Mse,
}

/// `[quantize]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantize {
    /// The number types.
    #[serde(default)]
    pub scheme: Scheme,
    /// How many training samples find the ranges of activations.
    #[serde(default = "calibration")]
    pub calibration: NonZeroUsize,
}

impl Default for Quantize {
    fn default() -> Self {
        Self { scheme: Scheme::default(), calibration: calibration() }
    }
}

/// Which numbers a quantised model computes with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// 8-bit activations and weights, a scale per output channel.
    #[default]
    Int8,
}

impl Experiment {
    /// The loss in use.
    pub fn loss(&self) -> Loss {
        self.train.loss.unwrap_or(match self.data.task {
            Task::Classification => Loss::CrossEntropy,
            Task::Regression | Task::Reconstruction => Loss::Mse,
        })
    }
}

/// What is wrong with an experiment.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // path, line and column say where
pub enum ExperimentError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// No TOML, or keys and values that do not fit.
    #[error("{}:{line}:{column}: {message}", path.display())]
    Toml { path: PathBuf, line: usize, column: usize, message: String },
    /// A file of a data set that can be fetched.
    #[error(
        "there is no {}; fetch it with `embernet data get {set}`, or say with --data-folder or EMBERNET_DATA where the \
         files lie",
        path.display()
    )]
    NotFetched { path: PathBuf, set: &'static str },
    /// The data cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A column that cannot be filled.
    #[error("{}: column {column:?} holds no number in the training part; leave it out with `ignore`", path.display())]
    NoNumber { path: PathBuf, column: String, source: NoNumber },
    /// The data do not have the wanted shape.
    #[error("{}:{line}: [data]", path.display())]
    Shape { path: PathBuf, line: usize, source: DatasetError },
    /// The test set does not look like the training set.
    #[error("{}:{line}: the test samples have shape {test:?}, the training samples {train:?}", path.display())]
    TestShape { path: PathBuf, line: usize, train: Vec<usize>, test: Vec<usize> },
    /// The data cannot be divided.
    #[error("{}:{line}: [data]", path.display())]
    Split { path: PathBuf, line: usize, source: SplitError },
    /// A layer does not fit.
    #[error("{}:{line}", path.display())]
    Model { path: PathBuf, line: usize, source: Box<GraphError> },
    /// The model's outputs are not the data's.
    #[error("{}:{line}: the last layer gives shape {found:?}; the data have {expected}", path.display())]
    Outputs { path: PathBuf, line: usize, found: Vec<usize>, expected: String },
}

const fn two() -> NonZeroU32 {
    NonZeroU32::new(2).unwrap()
}

fn one() -> f32 {
    1.0
}

fn four_fifths() -> f64 {
    0.8
}

fn yes() -> bool {
    true
}

const fn thirty_two() -> NonZeroUsize {
    NonZeroUsize::new(32).unwrap()
}

const fn calibration() -> NonZeroUsize {
    NonZeroUsize::new(256).unwrap()
}
