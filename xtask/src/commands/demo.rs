//! `cargo xtask demo`

use crate::boards;
use crate::commands::firmware;
use crate::setup::Machine;
use crate::steps::Steps;
use crate::tools;
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder for report.html and the models
    #[arg(long, default_value = "out/demo")]
    out: PathBuf,
}

/// The board that the demo shows.
const BOARD: &str = "m4";

/// Prepares the machine and the firmware, then runs the demo of the host tools.
///
/// Without QEMU or the target the part on the PC still runs.
pub fn run(args: &Args) -> Result<ExitCode> {
    let machine = Machine::prepare();
    let mut steps = Steps::default();
    let built = firmware::build(&boards::chosen(&[BOARD.to_owned()])?, &machine, &mut steps);

    let out = std::path::absolute(&args.out).context("the folder for the report")?;
    let mut command = tools::cargo();
    machine.equip(&mut command);
    command.args(["run", "--release", "--package", "embernet", "--example", "demo", "--"]);
    command.arg("--board").arg(BOARD).arg("--out").arg(out);
    let reason = if machine.qemu.is_none() || built.is_empty() { Some(without(&machine, &steps)) } else { None };
    if let Some(reason) = &reason {
        command.arg("--without-board").arg(reason);
    }
    eprintln!("==> the host tools (the first time they are compiled, which takes a minute or two)");
    let status = command.status().with_context(|| format!("cannot start `{}`", tools::shown(&command)))?;
    Ok(if status.success() && steps.failed().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Why there is no board, in one line.
fn without(machine: &Machine, steps: &Steps) -> String {
    match machine.missing.first() {
        Some(_) => machine.missing.join("; "),
        None => format!("{} failed; see above", steps.failed().join(", ")),
    }
}
