//! A network of an experiment file: trained, quantised, packed.

use crate::screen;
use anyhow::{Context, Result, bail};
use embernet::data::{Dataset, Labels};
use embernet::engine::{self, Place};
use embernet::experiment::{self, Experiment, Parts};
use embernet::files;
use embernet::graph::{Graph, grouped};
use embernet::image::{Loss, PackOptions, Packed, Precision, pack};
use embernet::import::checkpoint::Checkpoint;
use embernet::quant::{Scheme, quantize};
use embernet::train::history::History;
use embernet::train::{Evaluation, Event, FitOptions, evaluate, fit, metrics};
use embernet_core::image::Image;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// A trained network and what it was trained on.
#[derive(Debug)]
pub struct Model {
    pub name: String,
    pub experiment: Experiment,
    pub parts: Parts,
    pub graph: Graph,
    pub history: History,
    pub test: Evaluation,
}

/// Samples one after another as the network takes them, and the class of each.
#[derive(Debug)]
pub struct Samples {
    pub x: Vec<f32>,
    pub classes: Vec<u32>,
    pub names: Vec<String>,
}

impl Samples {
    /// All samples of a data set with classes.
    pub fn of(data: &Dataset) -> Result<Self> {
        let Labels::Class { ids, names } = data.labels() else { bail!("the demo's data sets have classes") };
        Ok(Self { x: data.x(), classes: ids.clone(), names: names.clone() })
    }

    /// The share of samples whose class the outputs name.
    pub fn accuracy(&self, outputs: &[f32]) -> f64 {
        metrics::accuracy(&self.classes, outputs, self.names.len())
    }
}

/// Trains the network of an experiment file.
pub fn train(file: &Path) -> Result<Model> {
    let experiment = Experiment::read(file)?;
    if experiment.loss() != experiment::Loss::CrossEntropy {
        bail!("the demo's networks recognise classes");
    }
    let parts = experiment.load()?;
    let mut graph = experiment.build(&parts.train)?;
    let name = experiment.model.name.clone();
    let options = FitOptions {
        epochs: u32::try_from(experiment.train.epochs.get()).context("epochs")?,
        batch: experiment.train.batch.get(),
        optimizer: experiment.train.optimizer.record(),
        loss: Loss::SparseCrossEntropy,
        shuffle: Some(experiment.shuffle_rng()),
        exact: false,
        threads: 1,
        layers: None,
        precision: Precision::F32,
    };
    let bar = screen::bar(&format!("training {name}"), options.epochs as usize);
    let history = fit(&mut graph, &parts.train, Some(parts.watched()), &options, &mut |event| {
        if let Event::Epoch(epoch) = event {
            bar.set_prefix(format!("loss {:.4}", epoch.loss));
            bar.inc(1);
        }
        ControlFlow::Continue(())
    })?;
    bar.finish_and_clear();
    let test = evaluate(&graph, &parts.test, options.loss, false)?;
    screen::say(format_args!(
        "   {name}: {} parameters, {} epochs in {:.1} s, accuracy {:.4} on {} test samples",
        grouped(graph.parameter_count() as u64),
        history.epochs.len(),
        history.epochs.last().map_or(0.0, |epoch| epoch.seconds),
        test.accuracy.unwrap_or_default(),
        parts.test.len()
    ));
    Ok(Model { name, experiment, parts, graph, history, test })
}

/// A flash image for inference and how it does on this PC.
#[derive(Debug)]
pub struct Candidate {
    pub model: String,
    /// `f32` or `int8`.
    pub numbers: &'static str,
    pub packed: Packed,
    pub test: Samples,
    /// The image's inputs for the whole test set.
    pub input: Vec<u8>,
    /// What this PC computes from them, with the bits of a device.
    pub output: Vec<u8>,
    /// The share of the test set that it recognises.
    pub accuracy: f64,
}

/// The f32 and the int8 image of a network; both are also written to `out`, with the checkpoint.
pub fn images(model: &Model, out: &Path) -> Result<[Candidate; 2]> {
    let path = |ending: &str| -> PathBuf { out.join(format!("{}{ending}", model.name)) };
    let checkpoint = Checkpoint::new(model.graph.clone());
    checkpoint.save(&path(".safetensors"))?;
    let parent = checkpoint.id()?;

    let settings = model.experiment.quantize.clone().unwrap_or_default();
    let width = model.parts.train.sample_len();
    let mut calibration = model.parts.train.x();
    calibration.truncate(settings.calibration.get() * width);
    let int8 = quantize(&model.graph, &calibration, Scheme::Int8)?;
    let worst = int8.errors.iter().min_by(|a, b| a.snr_db.total_cmp(&b.snr_db));
    if let Some(worst) = worst {
        screen::say(format_args!(
            "   {}: int8 from {} samples; the least exact layer is {} ({:.0} dB signal to error)",
            model.name,
            calibration.len() / width.max(1),
            worst.layer,
            worst.snr_db
        ));
    }

    let candidate = |numbers, graph: &Graph, ending| -> Result<Candidate> {
        let packed = pack(graph, &PackOptions::default(), Some(parent))?;
        files::write(&path(ending), &packed.bytes)?;
        let test = Samples::of(&model.parts.test)?;
        let image = packed.image()?;
        let input = engine::encode_f32(&test.x, &image.inputs()[0]);
        let output = infer(&image, &input)?;
        let accuracy = test.accuracy(&engine::decode_f32(&output, &image.outputs()[0]));
        Ok(Candidate { model: model.name.clone(), numbers, packed, test, input, output, accuracy })
    };
    Ok([candidate("f32", &model.graph, "-f32.emb")?, candidate("int8", &int8.graph, "-int8.emb")?])
}

/// Runs an image on this PC, with the bits of a device.
fn infer(image: &Image<'_>, input: &[u8]) -> Result<Vec<u8>> {
    engine::with(&Place::Host, image, &mut |_| {}, |engine| Ok(engine.infer(input, &mut |_| {})?))
}
