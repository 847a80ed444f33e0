//! Arguments that several commands share.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use embernet::data::csv::{self, CsvOptions, Missing, Target};
use embernet::data::{self, Array, Dataset, LabelKind, Labels, Storage};
use embernet::engine::Place;
use embernet::experiment::Experiment;
use embernet::graph::Graph;
use embernet::image::{Optimize, PackOptions, Packed};
use embernet::link::Board;
use embernet_core::arch::IsaId;
use embernet_core::image::Image;
use embernet_core::plan::Step;

use crate::model::Facts;
use crate::room;

/// Samples with labels.
#[derive(Debug, Args)]
pub struct DataArgs {
    /// The data: an experiment file (.toml), a table (.csv), an archive with the arrays x and y (.npz),
    /// or samples as npy or IDX.
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// The labels of samples that came as npy or IDX.
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// The part of an experiment's data.
    #[arg(long, value_enum, default_value_t = Part::Test)]
    pub part: Part,
    /// The target column of a table, by name or number from 1. The last by default.
    #[arg(long, value_name = "COLUMN")]
    pub target: Option<String>,
    /// What to do with cells of a table that are missing or no numbers.
    #[arg(long, value_enum, default_value_t = MissingArg::Error)]
    pub missing: MissingArg,
}

/// A part of an experiment's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    Train,
    Validation,
    Test,
}

/// [`Missing`] on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MissingArg {
    Error,
    Drop,
    /// Filled as in the model's training.
    Fill,
}

impl From<MissingArg> for Missing {
    fn from(arg: MissingArg) -> Self {
        match arg {
            MissingArg::Error => Self::Error,
            MissingArg::Drop => Self::Drop,
            // What fills a cell stands in the model; a table that is read keeps the hole.
            MissingArg::Fill => Self::Mean,
        }
    }
}

impl DataArgs {
    /// Reads the data and gives it the shape and the preparation that the model wants.
    pub fn load(&self, model: &Facts) -> Result<Dataset> {
        let kind = match (model.regression, model.named) {
            (true, _) => LabelKind::Values,
            (false, _) => LabelKind::Class(Some(model.classes.clone())),
        };
        let extension = self.data.extension().map(|extension| extension.to_ascii_lowercase());
        let data = match extension.as_ref().and_then(|extension| extension.to_str()) {
            Some("toml") => self.experiment()?,
            Some("csv" | "tsv" | "data") => self.table(model)?,
            Some("npz") => {
                let [x, y] = data::read_npz(&self.data, ["x", "y"])?;
                data::from_arrays(x, y, kind, &self.data, &self.data)?
            }
            _ => {
                let Some(labels) = &self.labels else {
                    bail!("{} holds samples only; name their labels with --labels", self.data.display());
                };
                let (x, y) = (data::read_array(&self.data)?, data::read_array(labels)?);
                data::from_arrays(x, y, kind, &self.data, labels)?
            }
        };
        let outputs = data.labels().outputs();
        if outputs != model.outputs {
            bail!("{} has {outputs} classes or values, the model {}", self.data.display(), model.outputs);
        }
        fit(data, model, &self.data)
    }

    /// Reads the samples; labels that the file does not hold are not missed, and others mean nothing.
    pub fn load_unlabelled(&self, model: &Facts) -> Result<Dataset> {
        let extension = self.data.extension().map(|extension| extension.to_ascii_lowercase());
        let data = match extension.as_ref().and_then(|extension| extension.to_str()) {
            Some("toml") => self.experiment()?,
            Some("csv" | "tsv" | "data") => self.table(model)?,
            Some("npz") => {
                let [x] = data::read_npz(&self.data, ["x"])?;
                data::unlabelled(x, &self.data)?
            }
            _ => data::unlabelled(data::read_array(&self.data)?, &self.data)?,
        };
        fit(data, model, &self.data)
    }

    fn experiment(&self) -> Result<Dataset> {
        let parts = read_experiment(&self.data, None)?.load()?;
        match self.part {
            Part::Train => Ok(parts.train),
            Part::Test => Ok(parts.test),
            Part::Validation => {
                parts.validation.with_context(|| format!("{} sets no validation part aside", self.data.display()))
            }
        }
    }

    fn table(&self, model: &Facts) -> Result<Dataset> {
        let target = match (&self.target, model.regression) {
            (None, true) => bail!("name the column to predict with --target"),
            (None, false) => Target::Last,
            (Some(column), true) => Target::Values(column.split(',').map(str::to_string).collect()),
            (Some(column), false) => Target::Class(column.clone()),
        };
        let options = CsvOptions {
            target,
            missing: self.missing.into(),
            classes: model.named.then(|| model.classes.clone()),
            ..CsvOptions::default()
        };
        let table = csv::read(&self.data, &options)?;
        if table.holes > 0 && model.preprocessing.fill.is_empty() {
            bail!(
                "{} lacks {} cells, and the model does not say what fills them; train it with missing = \"mean\" or \
                 \"median\"",
                self.data.display(),
                table.holes
            );
        }
        let columns = table.columns.len();
        // A model without class names has had them numbered; so are those of the table.
        let labels = match table.labels {
            Labels::Class { ids, names } if !model.named && names.len() <= model.outputs => {
                Labels::Class { ids, names: model.classes.clone() }
            }
            labels => labels,
        };
        Dataset::new(vec![columns], Storage::F32(table.x), labels).with_context(|| self.data.display().to_string())
    }
}

/// Where the data files of experiments lie, if not where the experiment says.
pub const DATA_FOLDER: &str = "EMBERNET_DATA";

/// Reads an experiment file; its data files lie in `folder`, or in the environment's, if there is one.
pub fn read_experiment(path: &Path, folder: Option<&Path>) -> Result<Experiment> {
    let mut experiment = Experiment::read(path)?;
    experiment.data_folder = folder.map(Path::to_path_buf).or_else(data_folder);
    Ok(experiment)
}

/// The environment's folder for data files.
pub fn data_folder() -> Option<PathBuf> {
    std::env::var_os(DATA_FOLDER).filter(|folder| !folder.is_empty()).map(PathBuf::from)
}

/// Samples without labels, prepared for the model: to find the ranges of its activations.
///
/// At most `most` of them, spread evenly over the file.
pub fn read_calibration(path: &Path, target: Option<&str>, model: &Facts, most: usize) -> Result<Vec<f32>> {
    let (data, target, missing) = (path.into(), target.map(str::to_string), MissingArg::Drop);
    let data = DataArgs { data, labels: None, part: Part::Train, target, missing }.load_unlabelled(model)?;
    let step = data.len().div_ceil(most).max(1);
    let rows: Vec<u32> = (0..data.len() as u32).step_by(step).collect();
    Ok(data.gather(&rows))
}

/// Gives data the shape and the preparation that the model wants.
fn fit(data: Dataset, model: &Facts, path: &Path) -> Result<Dataset> {
    let found = data.shape().to_vec();
    let mut data = data.reshape(model.input.clone()).with_context(|| {
        format!("{}: samples have shape {found:?}, the model takes {:?}", path.display(), model.input)
    })?;
    data.set_preprocessing(model.preprocessing.clone());
    Ok(data)
}

/// Whether inputs are normalised on the device.
#[derive(Debug, Args)]
pub struct NormaliseArgs {
    /// Have the device bring inputs back to what the model was trained on when light, colour or gain have changed: it
    /// measures mean and deviation of each channel of some samples (`embernet learn --normalise`) and looks values up in a
    /// table. The reference is what `embernet quantize` has measured, or with --normalise=DATA these samples: an
    /// experiment file (its training part), a table, an archive with the array x, or samples as npy or IDX.
    #[arg(long, value_name = "DATA", num_args = 0..=1, require_equals = true)]
    pub normalise: Option<Option<PathBuf>>,
}

impl NormaliseArgs {
    /// As it stands on a command line, with a space before.
    pub fn text(&self) -> String {
        match &self.normalise {
            None => String::new(),
            Some(None) => " --normalise".into(),
            Some(Some(path)) => format!(" --normalise={}", path.display()),
        }
    }

    /// The graph to work with.
    pub fn apply(&self, graph: &Graph) -> Result<Graph> {
        let mut graph = graph.clone();
        let op = match (&self.normalise, &graph.meta.reference) {
            (None, _) => return Ok(graph),
            (Some(Some(path)), _) => {
                let samples = read_calibration(path, None, &Facts::of_graph(&graph)?, usize::MAX)?;
                graph.measured(&samples)?
            }
            (Some(None), Some(reference)) => reference.clone(),
            (Some(None), None) => {
                // What it has no form of comes first.
                graph.input_channels()?;
                bail!(
                    "nobody has measured what this model was trained on; name some of that data: --normalise=DATA (what \
                     `embernet quantize` makes knows it)"
                )
            }
        };
        graph.normalise_inputs(op)?;
        Ok(graph)
    }
}

/// What an image is packed for.
#[derive(Debug, Args)]
pub struct PackingArgs {
    /// Pack for this board (such as m4 or pico; a wrong name lists all): weights in the order of its core's loops, and
    /// no more than it has room for. Without it the image runs everywhere, slower.
    #[arg(long = "for", value_name = "BOARD")]
    board: Option<String>,
    /// What shall be small where a layer can be computed in several ways: speed (the time), size (the image) or ram.
    #[arg(long, value_name = "AIM", default_value = "speed", requires = "board")]
    optimise: Optimize,
}

impl PackingArgs {
    /// The board.
    pub fn board(&self) -> Result<Option<&'static Board>> {
        Ok(self.board.as_deref().map(Board::named).transpose()?)
    }

    /// Options for packing.
    pub fn options(&self) -> Result<PackOptions> {
        let board = self.board()?;
        let isa = board.map_or(IsaId::Scalar, |board| board.isa);
        let room = board.map(|board| board.arena_bytes() as usize);
        Ok(PackOptions { isa, optimize: self.optimise, room, ..PackOptions::default() })
    }

    /// Refuses these arguments beside a checkpoint, which is packed later.
    pub fn none(&self) -> Result<()> {
        match &self.board {
            Some(board) => bail!("--for {board} is for images; a checkpoint gets it when it is packed"),
            None => Ok(()),
        }
    }

    /// Refuses an image that the board has no room for.
    pub fn check(&self, packed: &Packed) -> Result<()> {
        match self.board()? {
            Some(board) => room::check(&packed.image()?, board),
            None => Ok(()),
        }
    }
}

/// Where a model works.
#[derive(Debug, Args)]
pub struct PlaceArgs {
    /// Where the model works: host, qemu:BOARD (such as m4; a wrong name lists all), serial:PORT or serial:PORT@BAUD.
    #[arg(long, value_name = "PLACE", default_value = "host")]
    pub on: Place,
}

impl PlaceArgs {
    /// What to tell somebody whose image could be faster there. It is not packed anew for them: what runs, and what its
    /// figures are of, is the file that they will flash, to the byte.
    pub fn advice(&self, image: &Image<'_>) -> Option<String> {
        let Place::Qemu(name) = &self.on else { return None };
        let board = Board::named(name).ok()?;
        let has_loops =
            |step: Step<'_>| matches!(step, Step::DenseI8(_) | Step::Conv2dI8(_) | Step::DepthwiseConv2dI8(_));
        let plain = image.header().isa == IsaId::Scalar as u32 && board.isa.has_layout();
        let advice = || format!("this image is for every core; packed with --for {name} it takes less time there");
        (plain && image.infer_plan().steps().any(has_loops)).then(advice)
    }
}

/// Reads samples for a model's one input; their values must fill whole samples of `shape`.
pub fn read_samples(path: &Path, shape: &[u32]) -> Result<(Array, usize)> {
    let array = data::read_array(path)?;
    let one: usize = shape.iter().map(|&axis| axis as usize).product();
    let samples = array.shape().first().copied().unwrap_or(0);
    let count = array.values().len();
    if samples == 0 || one == 0 || count != samples * one {
        bail!("{}: shape {:?} is not [samples] of {shape:?}", path.display(), array.shape());
    }
    Ok((array, samples))
}

#[cfg(test)]
mod tests {
    use super::*;
    use embernet::graph::Sequential;
    use embernet::graph::ops::Dense;
    use embernet::image::pack;
    use embernet::quant::{Scheme, quantize};

    #[test]
    fn images_for_every_core_could_be_faster_on_some() {
        let float = Sequential::new([4]).add(Dense::new(3)).build(1).unwrap();
        let graph = quantize(&float, &[0.5; 8], Scheme::Int8).unwrap().graph;
        let advice = |isa, on: &str| {
            let packed = pack(&graph, &PackOptions { isa, ..PackOptions::default() }, None).unwrap();
            PlaceArgs { on: on.parse().unwrap() }.advice(&packed.image().unwrap())
        };
        assert!(advice(IsaId::Scalar, "qemu:m4").unwrap().contains("--for m4"));
        assert_eq!(advice(IsaId::Dsp, "qemu:m4"), None);
        assert_eq!(advice(IsaId::Scalar, "host"), None);
    }
}
