//! `cargo xtask setup`

use crate::setup::Machine;
use anyhow::Result;
use std::process::ExitCode;

/// No options: what is there stays, what is missing is brought.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Prepares the machine; fails when something is still missing.
pub fn run(_args: &Args) -> Result<ExitCode> {
    let machine = Machine::prepare();
    for line in &machine.missing {
        eprintln!("missing  {line}");
    }
    Ok(if machine.missing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
