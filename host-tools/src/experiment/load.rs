//! The data and the network of an experiment.

use std::path::{Path, PathBuf};

use embernet_core::rng::Rng;

use super::{Data, Experiment, ExperimentError, Loss, Synthetic, Task, TestData};
use crate::data::csv::{self, CsvOptions, Missing, Target};
use crate::data::{self, DataError, Dataset, Fill, LabelKind, Labels, Preprocessing, Storage, sets};
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
    Synthetic = 3,
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
        let (all, columns) = self.source(&Source::of(&self.data), self.data.classes.clone())?;
        let all = self.shaped(all)?;
        let (mut train, mut test) = match &self.data.test {
            Some(test) => {
                let names = match all.labels() {
                    Labels::Class { names, .. } => Some(names.clone()),
                    Labels::Values { .. } | Labels::Samples { .. } => None,
                };
                let test = self.shaped(self.source(&Source::of_test(test), names)?.0)?;
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
            None => data::split(all, self.data.split, self.data.stratify, &mut rng).map_err(split_error)?,
        };
        let mut validation = None;
        if let Some(share) = self.data.validation {
            let (rest, part) = data::split(train, 1.0 - share, self.data.stratify, &mut rng).map_err(split_error)?;
            (train, validation) = (rest, Some(part));
        }
        let rule = self.preparation(&train, &columns)?;
        for part in [Some(&mut train), validation.as_mut(), Some(&mut test)].into_iter().flatten() {
            part.set_preprocessing(rule.clone());
        }
        Ok(Parts { train, validation, test })
    }

    /// What is done to raw values, fit on the training part alone.
    fn preparation(&self, train: &Dataset, columns: &[String]) -> Result<Preprocessing, ExperimentError> {
        let mut rule = Preprocessing { scale: self.data.scale, ..Preprocessing::default() };
        let fill = match self.data.missing {
            Missing::Mean => Some(Fill::Mean),
            Missing::Median => Some(Fill::Median),
            Missing::Error | Missing::Drop => None,
        };
        if let (Some(fill), Some(path)) = (fill, &self.data.csv) {
            rule.fill = Preprocessing::filling(train, fill).map_err(|source| ExperimentError::NoNumber {
                path: self.beside(path),
                column: columns.get(source.feature - 1).cloned().unwrap_or_default(),
                source,
            })?;
        }
        Ok(match self.data.standardise {
            Some(axis) => rule.standardised(train, axis),
            None => rule,
        })
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
        let wanted = match data.labels() {
            Labels::Samples { .. } => data.shape().to_vec(),
            _ => vec![outputs],
        };
        let found = &graph.tensor(graph.outputs[0]).shape;
        if *found != wanted {
            return Err(ExperimentError::Outputs {
                path: self.path.clone(),
                line: self.lines.layers.last().copied().unwrap_or_default(),
                found: found.clone(),
                expected: match data.labels() {
                    Labels::Class { .. } => format!("{outputs} classes"),
                    Labels::Values { .. } => format!("{outputs} values"),
                    Labels::Samples { .. } => format!("samples of shape {wanted:?}"),
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

    /// The file that `[data]` means by `path`: in the folder for data if it is there, else where it says; itself, or
    /// its gzipped form.
    fn data_file(&self, path: &Path) -> Result<PathBuf, ExperimentError> {
        let elsewhere = self.data_folder.as_ref().and_then(|folder| Some(folder.join(path.file_name()?)));
        let said = self.beside(path);
        for place in elsewhere.iter().chain([&said]) {
            let mut packed = place.clone().into_os_string();
            packed.push(".gz");
            if let Some(found) = [place.clone(), packed.into()].into_iter().find(|file| file.exists()) {
                return Ok(found);
            }
        }
        match sets::of_file(&said) {
            Some(set) => Err(ExperimentError::NotFetched { path: said, set: set.name }),
            None => Ok(said),
        }
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

    /// The data of a source, and the names of a table's columns.
    fn source(
        &self,
        source: &Source<'_>,
        classes: Option<Vec<String>>,
    ) -> Result<(Dataset, Vec<String>), ExperimentError> {
        let kind = match self.data.task {
            Task::Classification => LabelKind::Class(classes.clone()),
            Task::Regression => LabelKind::Values,
            Task::Reconstruction => LabelKind::Samples,
        };
        let mut columns = Vec::new();
        let data = match source {
            Source::Csv(path) => {
                let path = self.data_file(path)?;
                let options = CsvOptions { classes, ..self.data.csv_options() };
                let table = csv::read(&path, &options)?;
                let shape = vec![table.columns.len()];
                columns = table.columns;
                let labels = match kind {
                    LabelKind::Samples => Labels::Samples { count: table.x.len() / shape[0], width: shape[0] },
                    _ => table.labels,
                };
                Dataset::new(shape, Storage::F32(table.x), labels)
                    .map_err(|source| DataError::Dataset { path, source })?
            }
            Source::Npz(path) => {
                let path = self.data_file(path)?;
                if kind == LabelKind::Samples {
                    let [x] = data::read_npz(&path, ["x"])?;
                    data::unlabelled(x, &path)?.label_with_samples()
                } else {
                    let [x, y] = data::read_npz(&path, ["x", "y"])?;
                    data::from_arrays(x, y, kind, &path, &path)?
                }
            }
            Source::Arrays(x, y) => {
                let x_path = self.data_file(x)?;
                let x = data::read_array(&x_path)?;
                match y {
                    Some(y) => {
                        let y_path = self.data_file(y)?;
                        data::from_arrays(x, data::read_array(&y_path)?, kind, &x_path, &y_path)?
                    }
                    None => data::unlabelled(x, &x_path)?.label_with_samples(),
                }
            }
            Source::Synthetic(synthetic) => self.synthetic(synthetic)?,
        };
        Ok((data, columns))
    }

    fn synthetic(&self, synthetic: &Synthetic) -> Result<Dataset, DataError> {
        let mut rng = self.rng(Stream::Synthetic);
        let count = synthetic.samples.get() as usize;
        let shape = synthetic.shape.clone().unwrap_or_default();
        // Uniform within the square root of 3 has deviation 1.
        let limit = 3f32.sqrt();
        let total = crate::graph::elements(&shape).and_then(|width| width.checked_mul(count));
        let x = (0..total.unwrap_or(0)).map(|_| rng.uniform_f32(-limit, limit)).collect();
        let classes = synthetic.classes.get();
        let labels = match self.data.task {
            Task::Reconstruction => Labels::Samples { count, width: shape.iter().product() },
            _ => Labels::Class {
                ids: (0..count).map(|_| rng.below(classes)).collect(),
                names: (0..classes).map(|class| class.to_string()).collect(),
            },
        };
        Dataset::new(shape, Storage::F32(x), labels)
            .map_err(|source| DataError::Dataset { path: self.path.clone(), source })
    }
}

impl Data {
    fn csv_options(&self) -> CsvOptions {
        let target = match (&self.target, self.task) {
            (None, Task::Reconstruction) => Target::Values(Vec::new()),
            (None, _) => Target::Last,
            (Some(columns), Task::Classification) => columns.first().map_or(Target::Last, |c| Target::Class(c.clone())),
            (Some(columns), Task::Regression) => Target::Values(columns.clone()),
            (Some(_), Task::Reconstruction) => Target::Values(Vec::new()),
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
    /// Labels are missing where samples are reconstructed.
    Arrays(&'p Path, Option<&'p Path>),
    Synthetic(&'p Synthetic),
}

impl<'p> Source<'p> {
    fn of(data: &'p Data) -> Self {
        match &data.synthetic {
            Some(synthetic) => Source::Synthetic(synthetic),
            None => Self::new(&data.csv, &data.npz, &data.x, &data.y),
        }
    }

    fn of_test(test: &'p TestData) -> Self {
        Self::new(&test.csv, &test.npz, &test.x, &test.y)
    }

    fn new(csv: &'p Option<PathBuf>, npz: &'p Option<PathBuf>, x: &'p Option<PathBuf>, y: &'p Option<PathBuf>) -> Self {
        match (csv, npz, x) {
            (Some(path), ..) => Source::Csv(path),
            (_, Some(path), _) => Source::Npz(path),
            (.., Some(x)) => Source::Arrays(x, y.as_deref()),
            _ => unreachable!("parsing made sure of a source"),
        }
    }
}
