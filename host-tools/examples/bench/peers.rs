//! Other frameworks on the same programs: measured beside ours where they are installed, else as recorded.

use crate::Args;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a framework reaches.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Framework and mode.
    pub name: String,
    /// Best round, training.
    pub samples_s: f64,
    /// Best round, one inference of one sample.
    pub infer_us: f64,
    start: Start,
}

#[derive(Debug, Clone)]
enum Start {
    Script(PathBuf),
    Program(PathBuf),
    /// Nothing to start.
    Recorded,
}

/// The line that every benchmark prints last.
#[derive(Deserialize)]
struct Answer {
    samples_s: f64,
    infer_b1_us: Option<f64>,
}

/// The scripts and programs that a folder may have.
const TORCH: &str = "torch_bench.py";
const BUILT: [(&str, &str); 2] =
    [("burn flex", "burn/target/release/burn_bench"), ("candle cpu", "candle/target/release/candle_bench")];

/// The benchmarks of a folder that know the program.
pub fn installed(folder: &Path, program: &str) -> Vec<Peer> {
    let mut peers = Vec::new();
    let mut add = |name: &str, start| {
        peers.push(Peer { name: name.into(), samples_s: 0.0, infer_us: f64::INFINITY, start });
    };
    let script = folder.join(TORCH);
    if script.exists() {
        add("torch fused", Start::Script(script));
    }
    // The others lack the networks with normalisation.
    if !["DSCNN", "RESNET8", "AE"].contains(&program) {
        for (name, file) in BUILT {
            let file = folder.join(file);
            if file.exists() {
                add(name, Start::Program(file));
            }
        }
    }
    peers
}

/// One line on the peers that cannot take part; `None` if all can.
pub fn missing(folder: &Path, python: &Path) -> Option<String> {
    let mut missing = Vec::new();
    if !folder.join(TORCH).exists() {
        missing.push(format!("torch (no {TORCH})"));
    } else if !Command::new(python).args(["-c", "import torch"]).output().is_ok_and(|o| o.status.success()) {
        missing.push(format!("torch ({} has none)", python.display()));
    }
    let absent = BUILT.iter().filter(|(_, file)| !folder.join(file).exists());
    missing.extend(absent.map(|(name, file)| format!("{name} (no {file})")));
    (!missing.is_empty()).then(|| format!("not installed in {}: {}", folder.display(), missing.join(", ")))
}

impl Peer {
    /// One round.
    pub fn measure(&mut self, args: &Args, program: &str, threads: usize) -> Result<()> {
        let mut command = match &self.start {
            Start::Script(script) => {
                let mut command = Command::new(&args.python);
                command.arg(script);
                command
            }
            Start::Program(file) => Command::new(file),
            Start::Recorded => return Ok(()),
        };
        let mode = self.name.rsplit(' ').next().unwrap_or_default();
        let threads = threads.to_string();
        command.args(["--prog", program, "--mode", mode, "--threads", &threads, "--epochs", "2"]);
        // An epoch of the larger networks takes long enough on a part of the data, on a smaller one where convolutions
        // are slow.
        let part = match program {
            "S0" | "S4" if matches!(self.start, Start::Program(_)) => Some("1920"),
            "S0" | "S4" => Some("9600"),
            "DSCNN" => Some("2048"),
            "RESNET8" => Some("1024"),
            _ => None,
        };
        if let Some(part) = part {
            command.args(["--train-n", part]);
        }
        if let Some(batch) = args.batch {
            command.args(["--batch", &batch.to_string()]);
        }
        let data = args.peer_data.clone().or_else(|| Some(args.peers.as_ref()?.join("data")));
        if let Some(data) = data {
            command.arg("--data").arg(data);
        }
        // The names that the thread pools of linear algebra listen to.
        for name in ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"] {
            command.env(name, &threads);
        }
        let output = command.output().with_context(|| format!("cannot start {:?}", command.get_program()))?;
        let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let last = text.lines().rev().find(|line| line.starts_with('{'));
        let last = last.with_context(|| errors.lines().next_back().unwrap_or("it said nothing").to_owned())?;
        let answer: Answer = serde_json::from_str(last)?;
        self.samples_s = self.samples_s.max(answer.samples_s);
        self.infer_us = self.infer_us.min(answer.infer_b1_us.unwrap_or(f64::INFINITY));
        Ok(())
    }
}

/// Figures of another day and machine.
#[derive(Debug)]
pub struct Recorded {
    /// Whose, when and where.
    pub source: String,
    figures: BTreeMap<String, Figure>,
}

#[derive(Deserialize)]
struct File {
    source: String,
    /// By number of threads, then by program.
    threads: BTreeMap<String, BTreeMap<String, Figure>>,
}

#[derive(Debug, Clone, Deserialize)]
struct Figure {
    peer: String,
    samples_s: f64,
    infer_us: f64,
}

impl Recorded {
    /// Those for so many threads, or for fewer where there are none.
    pub fn load(threads: usize) -> Result<Self> {
        let file: File = toml::from_str(include_str!("peers.toml")).context("peers.toml")?;
        let fits = |known: &String| known.parse::<usize>().is_ok_and(|known| known <= threads);
        let best = file.threads.into_iter().rfind(|(known, _)| fits(known));
        let (known, figures) = best.context("peers.toml has no figures")?;
        Ok(Self { source: format!("{}, {known} thread(s)", file.source), figures })
    }

    /// The best peer of a program.
    pub fn of(&self, program: &str) -> Option<Peer> {
        let Figure { peer, samples_s, infer_us } = self.figures.get(program)?.clone();
        Some(Peer { name: peer, samples_s, infer_us, start: Start::Recorded })
    }
}
