//! Builds a network in Rust, trains it with several seeds and says how good it becomes.
//!
//! ```text
//! cargo run --release -p embernet --example programs -- S2 --data-folder data/mnist --seeds 5
//! ```
//!
//! The data and the settings of the training are those of the experiment of that name.

mod networks;

use anyhow::{Context, Result};
use clap::Parser;
use embernet::experiment::{Experiment, Loss as Wanted};
use embernet::lower::Loss;
use embernet::train::{FitOptions, evaluate, fit};
use networks::{PROGRAMS, network};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

#[derive(Debug, Parser)]
struct Args {
    /// S0, S1, S2, S3, S4, DSCNN, RESNET8 or AE.
    program: String,
    /// Where the data files lie, if not where the experiment says.
    #[arg(long, value_name = "DIR")]
    data_folder: Option<PathBuf>,
    /// How many seeds: 1, 2, ...
    #[arg(long, default_value_t = 5)]
    seeds: u64,
    /// Instead of the experiment's number of epochs.
    #[arg(long)]
    epochs: Option<u32>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let known = || PROGRAMS.map(|(program, _)| program).join(", ");
    let (program, file) = PROGRAMS
        .into_iter()
        .find(|(program, _)| *program == args.program)
        .with_context(|| format!("there is no program `{}`; known: {}", args.program, known()))?;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../experiments").join(file).with_extension("toml");
    let mut experiment = Experiment::read(&path)?;
    experiment.data_folder = args.data_folder;
    let mut results = Vec::new();
    for seed in 1..=args.seeds.max(1) {
        experiment.train.seed = seed;
        let parts = experiment.load()?;
        let mut graph = network(program).with_context(|| format!("no network for {program}"))?.build(seed)?;
        let loss = match experiment.loss() {
            Wanted::CrossEntropy => Loss::SparseCrossEntropy,
            Wanted::Mse => Loss::MeanSquaredError,
        };
        let options = FitOptions {
            epochs: args.epochs.unwrap_or(u32::try_from(experiment.train.epochs.get())?),
            batch: experiment.train.batch.get(),
            optimizer: experiment.train.optimizer.record(),
            loss,
            shuffle: Some(experiment.shuffle_rng()),
            threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            ..FitOptions::default()
        };
        let history = fit(&mut graph, &parts.train, None, &options, &mut |_| ControlFlow::Continue(()))?;
        let seconds = history.epochs.last().map_or(0.0, |epoch| epoch.seconds);
        let result = evaluate(&graph, &parts.test, loss, false)?;
        let (what, value) = match result.accuracy {
            Some(accuracy) => ("test accuracy", accuracy),
            None => ("test loss", result.loss),
        };
        println!("{program} seed {seed}: {what} {value:.4}, {seconds:.1} s");
        results.push(value);
    }
    let mean = results.iter().sum::<f64>() / results.len() as f64;
    println!("{program}: mean of {} seeds {mean:.4}", results.len());
    Ok(())
}
