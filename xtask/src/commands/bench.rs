//! `cargo xtask bench host`

use crate::tools;
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Training and inference on this PC: samples per second, GFLOP/s, percent of peak, memory, start-up
    #[command(disable_help_flag = true)]
    Host {
        /// Options of the benchmark; `cargo xtask bench host --help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<OsString>,
    },
    /// Inference and training on emulated microcontrollers: instructions and estimated cycles, beside other runtimes
    #[command(disable_help_flag = true)]
    Mcu {
        /// Options of the benchmark; `cargo xtask bench mcu --help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<OsString>,
    },
}

/// Runs a benchmark of the host tools. It measures and fails nothing.
pub fn run(args: &Args) -> Result<ExitCode> {
    let mut command = tools::cargo();
    command.args(["run", "--quiet", "--package", "embernet", "--manifest-path"]);
    command.arg(crate::paths::root().join("Cargo.toml"));
    // What is timed is optimised; what is counted is the boards' program, and they build their own.
    let options = match &args.what {
        What::Host { options } => {
            command.args(["--release", "--example", "bench"]);
            options
        }
        What::Mcu { options } => {
            command.args(["--example", "mcu"]);
            options
        }
    };
    command.arg("--").args(options);
    // Paths among the options are relative to where the command was typed.
    command.current_dir(std::env::current_dir().context("the working directory")?);
    let status = command.status().with_context(|| format!("cannot start `{}`", tools::shown(&command)))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
