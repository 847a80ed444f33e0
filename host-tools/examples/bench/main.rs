//! How fast networks train here, beside other frameworks: `cargo xtask bench host`.
//!
//! A benchmark, no test: it fails nothing. Machines are shared and clocks drift, so ours, the peak and the peers take
//! turns in rounds, and the best round of each counts. What "% of peak" refers to is a loop of multiply-adds in
//! registers, on as many threads, measured in the same rounds.

mod ours;
mod peak;
mod peers;
mod process;
mod steps;
mod table;

use anyhow::{Context, Result};
use clap::Parser;
use embernet::experiment::Experiment;
use ours::Ours;
use peers::{Peer, Recorded};
use std::path::{Path, PathBuf};
use table::Row;

/// The programs, and the experiments that they are.
const PROGRAMS: [(&str, &str); 8] = [
    ("S0", "s0"),
    ("S1", "s1"),
    ("S2", "s2"),
    ("S3", "s3"),
    ("S4", "s4"),
    ("DSCNN", "dscnn"),
    ("RESNET8", "resnet8"),
    ("AE", "autoencoder"),
];

#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench host", about = "How fast networks train on this machine")]
struct Args {
    /// Which programs: S0, S1, S2, S3, S4, DSCNN, RESNET8, AE. All by default.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    program: Vec<String>,
    /// Numbers of threads, a table for each; by default 1 and as many as this machine runs at once.
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',')]
    threads: Vec<usize>,
    /// Samples in one update, instead of the experiment's.
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Where MNIST's files lie, if not in data/mnist.
    #[arg(long, value_name = "DIR")]
    data_folder: Option<PathBuf>,
    /// Measure other frameworks too: a folder with torch_bench.py, and burn/ and candle/ if they are built there.
    #[arg(long, value_name = "DIR")]
    peers: Option<PathBuf>,
    /// The data folder of the peers, if not DIR/data.
    #[arg(long, value_name = "DIR")]
    peer_data: Option<PathBuf>,
    /// The Python that has torch.
    #[arg(long, value_name = "PROGRAM", default_value = "python3")]
    python: PathBuf,
    /// How often everything takes its turn.
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: usize,
    /// Seconds that our training gets in each round.
    #[arg(long, value_name = "S", default_value_t = 2.0)]
    seconds: f64,
    /// Instead of all that: how long each step of an update takes, with so many threads.
    #[arg(long)]
    steps: bool,
    /// For itself: load one program, train for a moment, say how long it took to begin and how much memory it needed.
    #[arg(long, hide = true)]
    probe: bool,
}

impl Args {
    fn threads(&self) -> Vec<usize> {
        if self.threads.is_empty() {
            let all = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
            return if all > 1 { vec![1, all] } else { vec![1] };
        }
        self.threads.iter().map(|threads| (*threads).max(1)).collect()
    }

    fn experiment(&self, file: &str) -> Result<Experiment> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../experiments").join(file).with_extension("toml");
        let mut experiment = Experiment::read(&path)?;
        let environment = std::env::var_os("EMBERNET_DATA").map(PathBuf::from);
        experiment.data_folder = self.data_folder.clone().or(environment);
        if let Some(batch) = self.batch {
            experiment.train.batch = batch.try_into().context("--batch is 0")?;
        }
        Ok(experiment)
    }
}

fn main() -> Result<()> {
    let began = std::time::Instant::now();
    let args = Args::parse();
    let chosen = chosen(&args.program)?;
    if args.probe {
        let ([(_, file)], [threads]) = (&chosen[..], &args.threads()[..]) else {
            anyhow::bail!("--probe takes one program and one number of threads")
        };
        return process::probe(began, &args.experiment(file)?, *threads);
    }
    if let Some(folder) = args.peers.as_deref().filter(|_| !args.steps)
        && let Some(line) = peers::missing(folder, &args.python)
    {
        eprintln!("{line}");
    }
    for threads in args.threads() {
        if args.steps {
            for (program, file) in &chosen {
                let ours = Ours::load(&args.experiment(file)?)?;
                println!("{program}, {threads} threads\n{}\n", ours.steps(threads)?);
            }
            continue;
        }
        let recorded = Recorded::load(threads)?;
        let mut rows = Vec::new();
        for (program, file) in &chosen {
            match measure(&args, program, file, threads, &recorded) {
                Ok(row) => {
                    // A whole table takes minutes; who stops it keeps what there is.
                    eprintln!("{}", row.summary());
                    rows.push(row);
                }
                Err(error) => eprintln!("skipped: {program}: {error:#}"),
            }
        }
        println!("{}\n", table::render(&rows, threads, &recorded.source));
    }
    Ok(())
}

fn chosen(names: &[String]) -> Result<Vec<(&'static str, &'static str)>> {
    if names.is_empty() {
        return Ok(PROGRAMS.to_vec());
    }
    let known = PROGRAMS.map(|(program, _)| program).join(", ");
    let find = |name: &String| {
        let found = PROGRAMS.into_iter().find(|(program, _)| program.eq_ignore_ascii_case(name));
        found.with_context(|| format!("there is no program `{name}`; known: {known}"))
    };
    names.iter().map(find).collect()
}

/// One program: everything takes its turn.
fn measure(args: &Args, program: &'static str, file: &str, threads: usize, recorded: &Recorded) -> Result<Row> {
    let experiment = args.experiment(file)?;
    let ours = Ours::load(&experiment)?;
    let mut row = Row::new(program, ours.training_flops());
    let process = process::measure(program, args, threads).map_err(|error| eprintln!("{program}: {error:#}")).ok();
    row.process = process;
    let mut peers = match &args.peers {
        Some(folder) => peers::installed(folder, program),
        None => Vec::new(),
    };
    for round in 0..args.rounds.max(1) {
        eprintln!("{program}: round {} of {}", round + 1, args.rounds.max(1));
        row.samples_s = row.samples_s.max(ours.train(threads, args.seconds)?);
        row.peak = row.peak.max(peak::measure(threads));
        row.infer_us = row.infer_us.min(ours.infer(threads)?);
        peers.retain_mut(|peer| match peer.measure(args, program, threads) {
            Ok(()) => true,
            Err(error) => {
                eprintln!("skipped: {} on {program}: {error:#}", peer.name);
                false
            }
        });
    }
    row.same_run = !peers.is_empty();
    row.peers = if peers.is_empty() { recorded.of(program).into_iter().collect() } else { peers };
    row.peers.sort_by(|a: &Peer, b: &Peer| b.samples_s.total_cmp(&a.samples_s));
    Ok(row)
}
