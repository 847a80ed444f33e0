//! What a whole process needs: time to its first batch, and memory. Measured in a process of its own.

use crate::{Args, ours};
use anyhow::{Context, Result};
use embernet::data::{Dataset, Storage};
use embernet::experiment::Experiment;
use embernet::train::{Event, FitOptions, fit};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use std::process::Command;
use std::time::Instant;

/// What a probe found.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Process {
    /// Seconds from its start until the first batch was done.
    pub first_batch_s: f64,
    /// Most memory it had, if the system tells.
    pub peak_mb: Option<f64>,
    /// What the data take as the files hold them.
    pub data_mb: f64,
}

/// Measures a program in a process of its own.
pub fn measure(program: &str, args: &Args, threads: usize) -> Result<Process> {
    let mut command = Command::new(std::env::current_exe().context("this program's own path")?);
    command.args(["--probe", "--program", program, "--threads", &threads.to_string()]);
    if let Some(folder) = &args.data_folder {
        command.arg("--data-folder").arg(folder);
    }
    if let Some(batch) = args.batch {
        command.arg("--batch").arg(batch.to_string());
    }
    let output = command.output().context("the probe")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "the probe failed: {}", errors.trim());
    serde_json::from_slice(&output.stdout).context("the probe's answer")
}

/// The process of its own.
pub fn probe(began: Instant, experiment: &Experiment, threads: usize) -> Result<()> {
    let parts = experiment.load()?;
    let mut graph = experiment.build(&parts.train)?;
    let options = FitOptions { threads, epochs: 1, ..ours::options(experiment) };
    let mut first = None;
    fit(&mut graph, &parts.train, None, &options, &mut |event| {
        if let (Event::Batch { .. }, None) = (event, first) {
            first = Some(began.elapsed().as_secs_f64());
        }
        if began.elapsed().as_secs_f64() > 2.0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    let bytes = |data: &Dataset| match data.samples() {
        Storage::U8(v) => v.len(),
        Storage::F32(v) => 4 * v.len(),
    };
    let process = Process {
        first_batch_s: first.unwrap_or(f64::NAN),
        peak_mb: peak_mb(),
        data_mb: (bytes(&parts.train) + bytes(&parts.test)) as f64 / 1e6,
    };
    println!("{}", serde_json::to_string(&process)?);
    Ok(())
}

/// The high-water mark of this process's memory; Linux tells.
fn peak_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024.0 / 1e6)
}
