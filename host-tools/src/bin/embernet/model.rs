//! Models as files: checkpoints and images, told apart by content.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use embernet::data::Preprocessing;
use embernet::files;
use embernet::graph::Graph;
use embernet::image::{AlignedBytes, Metadata};
use embernet::import::checkpoint::Checkpoint;
use embernet::import::{Kind, onnx, tflite};
use embernet::lower::Loss;
use embernet_core::image::{Image, MAGIC};

/// A model that was read.
pub enum Model {
    /// Weights with their graph.
    Checkpoint(Box<Checkpoint>),
    /// A flash image; parsed when it was read.
    Image(AlignedBytes),
}

impl Model {
    /// Reads a checkpoint or an image.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = files::read(path)?;
        if bytes.starts_with(&MAGIC) {
            return Ok(Self::Image(image_bytes(path, &bytes)?));
        }
        let checkpoint = Checkpoint::from_bytes(&bytes).with_context(|| path.display().to_string())?;
        Ok(Self::Checkpoint(Box::new(checkpoint)))
    }
}

/// Reads an image; anything else is an error.
pub fn read_image(path: &Path) -> Result<AlignedBytes> {
    image_bytes(path, &files::read(path)?)
}

fn image_bytes(path: &Path, bytes: &[u8]) -> Result<AlignedBytes> {
    let bytes = AlignedBytes::copy_of(bytes);
    Image::parse(&bytes).with_context(|| path.display().to_string())?;
    Ok(bytes)
}

/// Reads a checkpoint; anything else is an error.
pub fn read_checkpoint(path: &Path) -> Result<Checkpoint> {
    match Model::read(path)? {
        Model::Checkpoint(checkpoint) => Ok(*checkpoint),
        Model::Image(_) => bail!("{} is a flash image; this needs a checkpoint (.safetensors)", path.display()),
    }
}

/// What a file is: by its content, except that ONNX has no mark and goes by its ending, too.
pub fn kind(path: &Path) -> Result<Kind> {
    let named = path.extension().is_some_and(|extension| extension == "onnx");
    Ok(if named { Kind::Onnx } else { Kind::of(&files::read(path)?) })
}

/// Whether a file holds a model in a format of others.
pub fn is_foreign(path: &Path) -> Result<bool> {
    Ok(matches!(kind(path)?, Kind::Tflite | Kind::Onnx))
}

/// The network in a foreign file or a checkpoint, told by the file's content.
pub fn read_graph(path: &Path) -> Result<Graph> {
    match kind(path)? {
        Kind::Tflite => Ok(tflite::load(path)?.graph),
        Kind::Onnx => Ok(onnx::load(path, &onnx::Options::default())?.graph),
        Kind::Safetensors => Ok(Checkpoint::load(path)?.graph),
        kind => bail!("{}: no model that can be imported: {}", path.display(), kind.advice()),
    }
}

/// What a model says about the data it wants.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// The shape of one sample.
    pub input: Vec<usize>,
    /// Values of one output.
    pub outputs: usize,
    /// The classes; made up (`0`, `1`, ...) where the model does not name them.
    pub classes: Vec<String>,
    /// Whether `classes` are the model's own.
    pub named: bool,
    /// What raw values go through.
    pub preprocessing: Preprocessing,
    /// Whether it predicts numbers.
    pub regression: bool,
}

impl Facts {
    /// Of a graph.
    pub fn of_graph(graph: &Graph) -> Result<Self> {
        let ([input], [output]) = (&graph.inputs[..], &graph.outputs[..]) else {
            bail!(
                "the model has {} inputs and {} outputs; this works with one",
                graph.inputs.len(),
                graph.outputs.len()
            );
        };
        let meta = &graph.meta;
        let regression = meta.class_names.is_empty() && loss_of(&meta.properties) == Some(Loss::MeanSquaredError);
        Self::new(
            graph.tensor(*input).shape.clone(),
            graph.tensor(*output).elements(),
            &meta.class_names,
            &meta.preprocessing,
            regression,
        )
    }

    /// Of an image.
    pub fn of_image(image: &Image<'_>) -> Result<Self> {
        let ([input], [output]) = (image.inputs(), image.outputs()) else {
            bail!(
                "the model has {} inputs and {} outputs; this works with one",
                image.inputs().len(),
                image.outputs().len()
            );
        };
        let metadata = metadata(image)?;
        let regression = metadata.class_names.is_empty() && metadata.loss == Loss::MeanSquaredError.name();
        let shape = input.shape().iter().map(|&axis| axis as usize).collect();
        Self::new(shape, output.elements as usize, &metadata.class_names, &metadata.preprocessing, regression)
    }

    fn new(
        input: Vec<usize>,
        outputs: usize,
        names: &[String],
        preprocessing: &Preprocessing,
        regression: bool,
    ) -> Result<Self> {
        if !preprocessing.fits(input.iter().product()) {
            bail!("the model's preprocessing does not fit its input of shape {input:?}");
        }
        let named = names.len() == outputs;
        let classes = if named { names.to_vec() } else { (0..outputs).map(|class| class.to_string()).collect() };
        Ok(Self { input, outputs, classes, named, preprocessing: preprocessing.clone(), regression })
    }
}

/// What an image says beside the computation; an image without metadata says nothing.
pub fn metadata(image: &Image<'_>) -> Result<Metadata> {
    if image.metadata().is_empty() {
        return Ok(Metadata::default());
    }
    Ok(Metadata::from_bytes(image.metadata())?)
}

/// The loss that a checkpoint was trained with.
pub fn loss_of(properties: &BTreeMap<String, String>) -> Option<Loss> {
    match properties.get("loss")?.as_str() {
        "cross_entropy" => Some(Loss::SparseCrossEntropy),
        "mse" => Some(Loss::MeanSquaredError),
        _ => None,
    }
}
