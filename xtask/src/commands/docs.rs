//! `cargo xtask docs`: the pages under `docs/` that are made from the code.

use crate::tools;
use anyhow::{Context, Result};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Args {}

/// Writes them anew. The same test without the variable compares them.
pub fn run(_: &Args) -> Result<ExitCode> {
    let mut command = tools::cargo();
    command.args(["test", "--quiet", "--package", "embernet-tests", "--test", "ops_page"]);
    let status = command.env("EMBERNET_WRITE_DOCS", "1").status().context("cannot start cargo test")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
