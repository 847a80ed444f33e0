//! `cargo xtask docs`: pages and tables that are made from the code and from what was measured.

use crate::tools;
use anyhow::{Context, Result};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Args {}

/// Writes them anew. The same tests without the variable compare them.
pub fn run(_: &Args) -> Result<ExitCode> {
    let mut command = tools::cargo();
    command.args(["test", "--quiet", "--package", "embernet-tests", "--test", "pages"]);
    let status = command.env("EMBERNET_WRITE_DOCS", "1").status().context("cannot start cargo test")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
