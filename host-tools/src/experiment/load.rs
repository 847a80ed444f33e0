//! The data and the network of an experiment.

use std::path::{Path, PathBuf};

use embernet_core::rng::Rng;

use super::{Data, Experiment, ExperimentError, Loss, Task, TestData};
use crate::data::csv::{self, CsvOptions, Target};
use crate::data::{self, DataError, Dataset, LabelKind, Labels, Preprocessing, Storage};
use crate::graph::{Graph, Sequential};

/// The parts of an experiment's data, prepared.
#[derive(Debug, Clone, PartialEq)]
pub struct Parts {
    /// To learn from.
    pub train: Dataset,
    /// To watch the learning, if the file sets a part aside.
    pub validation: Option<Dataset>,
    /// To judge the result.
    pub test: Dataset,
}

impl Parts {
    /// What training watches: the validation part, or else the test part.
    pub fn watched(&self) -> &Dataset {
        self.validation.as_ref().unwrap_or(&self.test)
    }
}

/// The generators that one seed gives, so that a change of one use leaves the others alone.
/// Weights use stream 54, the default of [`Rng::new`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    Split = 1,
    Shuffle = 2,
}

impl Experiment {
    /// The generator for the order of batches.
    pub fn shuffle_rng(&self) -> Rng {
        self.rng(Stream::Shuffle)
    }

    fn rng(&self, stream: Stream) -> Rng {
        Rng::with_stream(self.train.seed, stream as u64)
    }

    /// Reads the data, divides it and fits the preparation on the training part.
    pub fn load(&self) -> Result<Parts, ExperimentError> {
        let split_error = |source| ExperimentError::Split { path: self.path.clone(), line: self.lines.data, source };
        let mut rng = self.rng(Stream::Split);
        let all = self.shaped(self.source(&Source::of(&self.data), self.data.classes.clone())?)?;
        let (mut train, mut test) = match &self.data.test {
            Some(test) => {
                let names = match all.labels() {
                    Labels::Class { names, .. } => Some(names.clone()),
                    Labels::Values { .. } => None,
                };
                let test = self.shaped(self.source(&Source::of_test(test), names)?)?;
                if test.shape() != all.shape() {
                    return Err(ExperimentError::TestShape {
                        path: self.path.clone(),
                        line: self.lines.data,
                        train: all.shape().to_vec(),
                        test: test.shape().to_vec(),
                    });
                }
                (all, test)
            }
            None => data::split(&all, self.data.split, self.data.stratify, &mut rng).map_err(split_error)?,
        };
        let mut validation = None;
        if let Some(share) = self.data.validation {
            let (rest, part) = data::split(&train, 1.0 - share, self.data.stratify, &mut rng).map_err(split_error)?;
            (train, validation) = (rest, Some(part));
        }
        let rule = match self.data.standardise {
            Some(axis) => Preprocessing::standardise(&train, axis, self.data.scale),
            None => Preprocessing { scale: self.data.scale, ..Preprocessing::default() },
        };
        for part in [Some(&mut train), validation.as_mut(), Some(&mut test)].into_iter().flatten() {
            part.set_preprocessing(rule.clone());
        }
        Ok(Parts { train, validation, test })
    }

    /// The network for these data: initial weights from the seed, classes and preparation noted.
    pub fn build(&self, data: &Dataset) -> Result<Graph, ExperimentError> {
        let sequential =
            Sequential::from_layers(data.shape(), self.model.layers.clone()).named(self.model.name.clone());
        let mut graph = sequential.build(self.train.seed).map_err(|source| {
            // The first layers that build by themselves are not at fault.
            let good = |count: &usize| {
                let layers = self.model.layers[..*count].to_vec();
                Sequential::from_layers(data.shape(), layers).build(0).is_ok()
            };
            let fault = (1..self.model.layers.len()).take_while(good).count();
            let line = self.lines.layers[fault];
            ExperimentError::Model { path: self.path.clone(), line, source: Box::new(source) }
        })?;
        let outputs = data.labels().outputs();
        let found = &graph.tensor(graph.outputs[0]).shape;
        if found[..] != [outputs] {
            return Err(ExperimentError::Outputs {
                path: self.path.clone(),
                line: self.lines.layers.last().copied().unwrap_or_default(),
                found: found.clone(),
                expected: match data.labels() {
                    Labels::Class { .. } => format!("{outputs} classes"),
                    Labels::Values { .. } => format!("{outputs} values"),
                },
            });
        }
        if let Labels::Class { names, .. } = data.labels() {
            graph.meta.class_names = names.clone();
        }
        let loss = match self.loss() {
            Loss::CrossEntropy => "cross_entropy",
            Loss::Mse => "mse",
        };
        graph.meta.properties.insert("loss".into(), loss.into());
        graph.meta.preprocessing = data.preprocessing().clone();
        Ok(graph)
    }

    fn beside(&self, path: &Path) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(path)
    }

    fn shaped(&self, data: Dataset) -> Result<Dataset, ExperimentError> {
        match &self.data.shape {
            None => Ok(data),
            Some(shape) => data.reshape(shape.clone()).map_err(|source| ExperimentError::Shape {
                path: self.path.clone(),
                line: self.lines.data,
                source,
            }),
        }
    }

    fn source(&self, source: &Source<'_>, classes: Option<Vec<String>>) -> Result<Dataset, DataError> {
        let kind = match self.data.task {
            Task::Classification => LabelKind::Class(classes.clone()),
            Task::Regression => LabelKind::Values,
        };
        match source {
            Source::Csv(path) => {
                let path = self.beside(path);
                let options = CsvOptions { classes, ..self.data.csv_options() };
                let table = csv::read(&path, &options)?;
                let shape = vec![table.columns.len()];
                Dataset::new(shape, Storage::F32(table.x), table.labels)
                    .map_err(|source| DataError::Dataset { path, source })
            }
            Source::Npz(path) => {
                let path = self.beside(path);
                let [x, y] = data::read_npz(&path, ["x", "y"])?;
                data::from_arrays(x, y, kind, &path, &path)
            }
            Source::Arrays(x, y) => {
                let (x_path, y_path) = (self.beside(x), self.beside(y));
                let (x, y) = (data::read_array(&x_path)?, data::read_array(&y_path)?);
                data::from_arrays(x, y, kind, &x_path, &y_path)
            }
        }
    }
}

impl Data {
    fn csv_options(&self) -> CsvOptions {
        let target = match (&self.target, self.task) {
            (None, _) => Target::Last,
            (Some(columns), Task::Classification) => columns.first().map_or(Target::Last, |c| Target::Class(c.clone())),
            (Some(columns), Task::Regression) => Target::Values(columns.clone()),
        };
        CsvOptions {
            header: self.header,
            delimiter: self.delimiter,
            target,
            ignore: self.ignore.clone().unwrap_or_default(),
            missing: self.missing,
            classes: None,
        }
    }
}

/// The one source that a checked experiment names.
enum Source<'p> {
    Csv(&'p Path),
    Npz(&'p Path),
    Arrays(&'p Path, &'p Path),
}

impl<'p> Source<'p> {
    fn of(data: &'p Data) -> Self {
        Self::new(&data.csv, &data.npz, &data.x, &data.y)
    }

    fn of_test(test: &'p TestData) -> Self {
        Self::new(&test.csv, &test.npz, &test.x, &test.y)
    }

    fn new(csv: &'p Option<PathBuf>, npz: &'p Option<PathBuf>, x: &'p Option<PathBuf>, y: &'p Option<PathBuf>) -> Self {
        match (csv, npz, x, y) {
            (Some(path), ..) => Source::Csv(path),
            (_, Some(path), ..) => Source::Npz(path),
            (.., Some(x), Some(y)) => Source::Arrays(x, y),
            _ => unreachable!("parsing made sure of a source"),
        }
    }
}
