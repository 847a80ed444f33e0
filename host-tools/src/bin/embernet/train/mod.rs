//! `embernet train`: from an experiment file to a checkpoint and a report.

mod report;
mod saved;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use embernet::data::Dataset;
use embernet::experiment::Loss as ExperimentLoss;
use embernet::files;
use embernet::graph::Graph;
use embernet::image::{PackOptions, TrainOptions, pack};
use embernet::import::checkpoint::Checkpoint;
use embernet::lower::Loss;
use embernet::train::history::Epoch;
use embernet::train::{Event, FitOptions, Fitted, TrainError, TrainState, Watch, evaluate, fit_from};
use indicatif::ProgressBar;
use serde::Serialize;

use crate::output::{Output, grouped};
use crate::progress;
use saved::Saved;

/// Train the network of an experiment file.
#[derive(Debug, Args)]
pub struct Train {
    /// The experiment file.
    #[arg(value_name = "EXPERIMENT.toml", required_unless_present = "resume")]
    experiment: Option<PathBuf>,
    /// Go on with the interrupted training in this folder.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["experiment", "out", "seed", "exact"])]
    resume: Option<PathBuf>,
    /// The folder for model.safetensors, history.csv and report.html. By default out/NAME.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Where the data files lie, if not where the experiment says: they keep their names. By default the
    /// environment's EMBERNET_DATA.
    #[arg(long, value_name = "DIR")]
    data_folder: Option<PathBuf>,
    /// Instead of the file's number of epochs.
    #[arg(long, value_name = "N")]
    epochs: Option<u32>,
    /// Instead of the file's seed.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Most threads to use; by default as many as this machine runs at once. The learned weights do not depend on it.
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
        let (saved, state) = self.saved()?;
        let experiment = saved.experiment()?;
        let parts = experiment.load()?;
        let mut graph = experiment.build(&parts.train)?;
        let folder = match (&self.resume, &self.out) {
            (Some(folder), _) | (_, Some(folder)) => folder.clone(),
            _ => Path::new("out").join(&experiment.model.name),
        };
        files::make_folder(&folder)?;
        let file = |name: &str| folder.join(name);
        let (model, history) = (file("model.safetensors"), file("history.csv"));
        // A folder that cannot be written should say so before the training, not after it.
        files::Draft::new(&model)?;

        let loss = match experiment.loss() {
            ExperimentLoss::Mse => Loss::MeanSquaredError,
            ExperimentLoss::CrossEntropy => Loss::SparseCrossEntropy,
        };
        let options = FitOptions {
            epochs: saved.epochs,
            batch: experiment.train.batch.get(),
            optimizer: experiment.train.optimizer.record(),
            loss,
            shuffle: Some(experiment.shuffle_rng()),
            exact: saved.exact,
            threads: self.threads.map_or_else(cores, |threads| threads as usize),
            layers: None,
            precision: experiment.train.precision,
        };
        let watched = (&parts.train, parts.watched());
        let state_file = saved::path(&folder);
        let fitted = match self.fit(output, &mut graph, watched, &options, (state, &saved, &state_file)) {
            Err(TrainError::Diverged { epoch, batch, runaway, lr, last_good: Some(good) }) => {
                let epochs = good.history.epochs.len();
                let text = TrainError::Diverged { epoch, batch, runaway, lr, last_good: None }.to_string();
                Checkpoint::new(good.graph).save(&model)?;
                good.history.write_csv(&history)?;
                anyhow::bail!("{text}; {} is as it was after epoch {epochs}", model.display());
            }
            fitted => fitted?,
        };
        if fitted.finished {
            saved::remove(&state_file)?;
        } else {
            fitted.state.save(&state_file, &saved.about())?;
        }

        let verdict = evaluate(&graph, &parts.test, loss, saved.exact)?;
        let rows = &fitted.history.epochs;
        let seconds = rows.last().map_or(0.0, |epoch| epoch.seconds);
        let line = Line {
            done: true,
            name: &experiment.model.name,
            stopped: !fitted.finished,
            epochs: rows.len(),
            seconds,
            samples_per_s: (rows.len() * parts.train.len()) as f64 / seconds.max(1e-9),
            test_loss: verdict.loss,
            test_accuracy: verdict.accuracy,
            test_samples: parts.test.len(),
            parameters: graph.parameter_count(),
            macs: graph.macs(),
            model,
            history,
            report: file("report.html"),
        };
        // What a device would need: to infer alone, and to learn with the same rule, a sample at a time.
        let train = TrainOptions { optimizer: options.optimizer, loss, batch: 1, ..TrainOptions::default() };
        let device = [
            pack(&graph, &PackOptions { precision: options.precision, ..PackOptions::default() }, None)?,
            pack(
                &graph,
                &PackOptions { train: Some(train), precision: options.precision, ..PackOptions::default() },
                None,
            )?,
        ];
        let report = report::report(&experiment, &graph, &parts, &fitted.history, &line, &verdict.outputs, &device);
        Checkpoint::new(graph).save(&line.model)?;
        fitted.history.write_csv(&line.history)?;
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
        if line.stopped {
            let (done, batch) = (line.epochs, fitted.state.batch);
            let place = if batch == 0 {
                format!("after epoch {done}")
            } else {
                format!("in epoch {}, after batch {batch}", done + 1)
            };
            output.text(format_args!("stopped {place}; go on with: embernet train --resume {}", folder.display()));
        }
        output.json(&line);
        Ok(())
    }

    /// What is to be trained, and where an interrupted run stands.
    fn saved(&self) -> Result<(Saved, Option<TrainState>)> {
        let (mut saved, state) = match (&self.resume, &self.experiment) {
            (Some(folder), _) => {
                let (saved, state) = Saved::read(folder)?;
                (saved, Some(state))
            }
            (None, Some(path)) => (Saved::new(path, self.seed, self.exact)?, None),
            (None, None) => anyhow::bail!("name an experiment file, or a folder with --resume"),
        };
        saved.epochs = self.epochs.unwrap_or(saved.epochs);
        if let Some(folder) = self.data_folder.clone().or_else(crate::args::data_folder) {
            saved.data_folder = Some(folder);
        }
        Ok((saved, state))
    }

    /// Trains, with a line per epoch. Control-C ends it early and keeps what was learned.
    fn fit(
        &self,
        output: &Output,
        graph: &mut Graph,
        (train, watched): (&Dataset, &Dataset),
        options: &FitOptions,
        (state, saved, state_file): (Option<TrainState>, &Saved, &Path),
    ) -> Result<Fitted, TrainError> {
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let handler = ctrlc::set_handler(move || {
            // The second one means it.
            if flag.swap(true, Ordering::SeqCst) {
                std::process::exit(130);
            }
        });
        if let Err(error) = handler.context("cannot catch control-C") {
            output.text(format_args!("{error:#}"));
        }
        let batches = train.len().div_ceil(options.batch);
        let bar = progress::bar("training", batches * options.epochs as usize);
        if let Some(state) = &state {
            bar.set_position((state.history.epochs.len() * batches + state.batch) as u64);
        }
        let mut screen = Screen { output, bar, stop, saved, state_file, last_save: Instant::now() };
        let fitted = fit_from(graph, train, Some(watched), options, state, &mut screen);
        screen.bar.finish_and_clear();
        fitted
    }
}

/// How often a long training is saved, at the end of an epoch.
const SAVE_EVERY: Duration = Duration::from_secs(30);

/// Shows how training goes, saves it now and then, and stops it at control-C.
struct Screen<'s> {
    output: &'s Output,
    bar: ProgressBar,
    stop: Arc<AtomicBool>,
    saved: &'s Saved,
    state_file: &'s Path,
    last_save: Instant,
}

impl Watch for Screen<'_> {
    fn event(&mut self, event: Event) -> ControlFlow<()> {
        match event {
            Event::Batch { loss, .. } => {
                self.bar.inc(1);
                if !self.bar.is_hidden() {
                    self.bar.set_prefix(format!("loss {loss:.4}"));
                }
            }
            Event::Epoch(epoch) => {
                self.output.json(&epoch);
                self.bar.suspend(|| self.output.text(epoch_text(&epoch)));
            }
        }
        if self.stop.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn state(&mut self, state: &TrainState) {
        if self.last_save.elapsed() >= SAVE_EVERY {
            // A disk that is full now may have room at the end, where a failure is an error.
            let _ = state.save(self.state_file, &self.saved.about());
            self.last_save = Instant::now();
        }
    }
}

/// How many threads this machine runs at once.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
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
