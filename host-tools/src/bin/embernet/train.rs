//! `embernet train`: from an experiment file to a checkpoint and a report.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use clap::Args;
use embernet::data::{Dataset, Labels};
use embernet::experiment::{Experiment, Loss as ExperimentLoss, Parts};
use embernet::files;
use embernet::graph::{Graph, layer_rows, shape_text};
use embernet::image::{PackOptions, Packed, TrainOptions, pack};
use embernet::import::checkpoint::Checkpoint;
use embernet::lower::Loss;
use embernet::report::{Curves, MemoryMap, Range, Report, Section, Table};
use embernet::train::history::{Epoch, History};
use embernet::train::metrics::Confusion;
use embernet::train::{Event, FitOptions, evaluate, fit};
use serde::Serialize;

use crate::output::{Output, grouped};
use crate::progress;

/// Train the network of an experiment file.
#[derive(Debug, Args)]
pub struct Train {
    /// The experiment file.
    #[arg(value_name = "EXPERIMENT.toml")]
    experiment: PathBuf,
    /// The folder for model.safetensors, history.csv and report.html. By default out/NAME.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Instead of the file's number of epochs.
    #[arg(long, value_name = "N")]
    epochs: Option<u32>,
    /// Instead of the file's seed.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Most threads to use. Training works in one.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    threads: Option<u32>,
    /// Compute as a device does, bit for bit, instead of as fast as this machine can.
    #[arg(long)]
    exact: bool,
}

#[derive(Serialize)]
struct Line<'l> {
    done: bool,
    name: &'l str,
    /// Whether it was stopped before its last epoch.
    stopped: bool,
    epochs: usize,
    seconds: f64,
    samples_per_s: f64,
    test_loss: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    test_accuracy: Option<f64>,
    test_samples: usize,
    parameters: usize,
    macs: u64,
    model: PathBuf,
    history: PathBuf,
    report: PathBuf,
}

impl Train {
    pub fn run(&self, output: &Output) -> Result<()> {
        let mut experiment = Experiment::read(&self.experiment)?;
        if let Some(seed) = self.seed {
            experiment.train.seed = seed;
        }
        let parts = experiment.load()?;
        let mut graph = experiment.build(&parts.train)?;
        let folder = self.out.clone().unwrap_or_else(|| Path::new("out").join(&experiment.model.name));
        files::make_folder(&folder)?;

        let loss = match (experiment.loss(), parts.train.labels()) {
            (ExperimentLoss::Mse, _) => Loss::MeanSquaredError,
            (ExperimentLoss::CrossEntropy, _) => Loss::SparseCrossEntropy,
        };
        let options = FitOptions {
            epochs: self.epochs.unwrap_or(u32::try_from(experiment.train.epochs.get()).unwrap_or(u32::MAX)),
            batch: experiment.train.batch.get(),
            optimizer: experiment.train.optimizer.record(),
            loss,
            shuffle: Some(experiment.shuffle_rng()),
            exact: self.exact,
            layers: None,
        };
        let (history, stopped) = self.fit(output, &mut graph, &parts, &options)?;

        let verdict = evaluate(&graph, &parts.test, loss, self.exact)?;
        let seconds = history.epochs.last().map_or(0.0, |epoch| epoch.seconds);
        let line = Line {
            done: true,
            name: &experiment.model.name,
            stopped,
            epochs: history.epochs.len(),
            seconds,
            samples_per_s: (history.epochs.len() * parts.train.len()) as f64 / seconds.max(1e-9),
            test_loss: verdict.loss,
            test_accuracy: verdict.accuracy,
            test_samples: parts.test.len(),
            parameters: graph.parameter_count(),
            macs: graph.macs(),
            model: folder.join("model.safetensors"),
            history: folder.join("history.csv"),
            report: folder.join("report.html"),
        };
        // What a device would need: to infer alone, and to learn with the same rule, a sample at a time.
        let train = TrainOptions { optimizer: options.optimizer, loss, batch: 1, layers: None };
        let device = [
            pack(&graph, &PackOptions::default(), None)?,
            pack(&graph, &PackOptions { train: Some(train), ..PackOptions::default() }, None)?,
        ];
        let report = report(&experiment, &graph, &parts, &history, &line, &verdict.outputs, &device);
        Checkpoint::new(graph).save(&line.model)?;
        history.write_csv(&line.history)?;
        report.write(&line.report)?;

        let quality = match line.test_accuracy {
            Some(accuracy) => format!("test accuracy {accuracy:.4}"),
            None => format!("test loss {:.6}", line.test_loss),
        };
        output.text(format_args!(
            "{quality} on {} samples; {} samples/s over {seconds:.1} s\n{}\n{}\n{}",
            line.test_samples,
            grouped(line.samples_per_s as u64),
            line.model.display(),
            line.history.display(),
            line.report.display()
        ));
        output.json(&line);
        Ok(())
    }

    /// Trains, with a line per epoch. Control-C ends it early and keeps what was learned.
    fn fit(&self, output: &Output, graph: &mut Graph, parts: &Parts, options: &FitOptions) -> Result<(History, bool)> {
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        ctrlc::set_handler(move || {
            // The second one means it.
            if flag.swap(true, Ordering::SeqCst) {
                std::process::exit(130);
            }
        })
        .context("cannot catch control-C")?;

        let batches = parts.train.len().div_ceil(options.batch);
        let bar = progress::bar("training", batches * options.epochs as usize);
        let history = fit(graph, &parts.train, Some(parts.watched()), options, &mut |event| {
            match event {
                Event::Batch { loss, .. } => {
                    bar.inc(1);
                    bar.set_prefix(format!("loss {loss:.4}"));
                }
                Event::Epoch(epoch) => {
                    output.json(&epoch);
                    bar.suspend(|| output.text(epoch_text(&epoch)));
                }
            }
            if stop.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        bar.finish_and_clear();
        Ok((history, stop.load(Ordering::SeqCst)))
    }
}

fn epoch_text(epoch: &Epoch) -> String {
    let mut text = format!("epoch {:4}  loss {:.5}", epoch.epoch, epoch.loss);
    for (name, value) in
        [("accuracy", epoch.accuracy), ("val_loss", epoch.val_loss), ("val_accuracy", epoch.val_accuracy)]
    {
        if let Some(value) = value {
            text.push_str(&format!("  {name} {value:.5}"));
        }
    }
    text
}

fn report(
    experiment: &Experiment,
    graph: &Graph,
    parts: &Parts,
    history: &History,
    line: &Line<'_>,
    outputs: &[f32],
    [infers, learns]: &[Packed; 2],
) -> Report {
    let figure = |name: &str, value: String| (name.to_string(), value);
    let mut figures = vec![
        match line.test_accuracy {
            Some(accuracy) => figure("test accuracy", format!("{accuracy:.4}")),
            None => figure("test loss", format!("{:.5}", line.test_loss)),
        },
        figure("parameters", grouped(line.parameters as u64)),
        figure("MACs", grouped(line.macs)),
        figure("samples/s", grouped(line.samples_per_s as u64)),
    ];
    if line.test_accuracy.is_some() {
        figures.insert(1, figure("test loss", format!("{:.4}", line.test_loss)));
    }

    let watched = if parts.validation.is_some() { "validation" } else { "test" };
    let points = |value: fn(&Epoch) -> Option<f64>| {
        let points = history.epochs.iter().filter_map(move |epoch| Some((f64::from(epoch.epoch), value(epoch)?)));
        points.collect::<Vec<_>>()
    };
    let loss = Curves::new("epoch", "loss")
        .series("training", points(|epoch| Some(epoch.loss)))
        .series(watched, points(|epoch| epoch.val_loss));
    let training = match line.test_accuracy {
        None => Section::Curves(loss),
        Some(_) => {
            let accuracy = Curves::new("epoch", "accuracy")
                .range(Range::UpToOne)
                .series("training", points(|epoch| epoch.accuracy))
                .series(watched, points(|epoch| epoch.val_accuracy));
            Section::Columns(vec![
                ("loss".into(), Section::Curves(loss)),
                ("accuracy".into(), Section::Curves(accuracy)),
            ])
        }
    };

    let mut layers = Table::new(["layer", "operation", "output", "parameters", "MACs"]);
    for row in layer_rows(graph) {
        let operation = match row.activation {
            Some(activation) => format!("{}, {activation}", row.op),
            None => row.op.to_string(),
        };
        let shape = shape_text(&row.shape);
        layers.push([row.name, operation, shape, grouped(row.parameters as u64), grouped(row.macs)]);
    }

    let mut report = Report::new(experiment.model.name.clone())
        .subtitle(format!("trained on the PC, {} epochs", line.epochs))
        .section("At a glance", Section::Figures(figures))
        .section("Training", training);
    if let Some(matrix) = confusion(&parts.test, outputs) {
        report = report.section("Test data", Section::Confusion(matrix));
    }
    report = report.section("Network", Section::Table(layers));
    let map = MemoryMap::of(&infers.program, &infers.program.infer);
    report = report.section("Memory on a device that infers", Section::MemoryMap(map));
    if let Some(train) = &learns.program.train {
        let map = MemoryMap::of(&learns.program, train);
        report = report.section("Memory on a device that learns, sample by sample", Section::MemoryMap(map));
    }
    report.section("Settings", Section::KeyValues(settings(experiment, parts)))
}

fn confusion(test: &Dataset, outputs: &[f32]) -> Option<Confusion> {
    let Labels::Class { ids, names } = test.labels() else { return None };
    let mut matrix = Confusion::new(names.clone());
    matrix.add_outputs(ids, outputs);
    Some(matrix)
}

fn settings(experiment: &Experiment, parts: &Parts) -> Vec<(String, String)> {
    let mut optimizer = serde_json::to_value(experiment.train.optimizer).unwrap_or_default();
    let kind = optimizer.as_object_mut().and_then(|table| table.remove("type"));
    let mut settings = vec![
        ("experiment", experiment.path.display().to_string()),
        ("optimizer", kind.as_ref().and_then(|kind| kind.as_str()).unwrap_or("?").to_string()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_string(), value))
    .collect::<Vec<_>>();
    settings.extend(optimizer.as_object().into_iter().flatten().map(|(name, value)| {
        // An f32 in JSON is a long f64; as an f32 it is what the file says.
        let value = value.as_f64().map_or_else(|| value.to_string(), |value| (value as f32).to_string());
        (name.replace('_', " "), value)
    }));
    settings.extend([
        ("batch".to_string(), experiment.train.batch.to_string()),
        ("seed".to_string(), experiment.train.seed.to_string()),
        ("training samples".to_string(), grouped(parts.train.len() as u64)),
        ("test samples".to_string(), grouped(parts.test.len() as u64)),
    ]);
    if let Some(validation) = &parts.validation {
        settings.push(("validation samples".into(), grouped(validation.len() as u64)));
    }
    settings
}
