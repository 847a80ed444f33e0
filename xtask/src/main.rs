//! `cargo xtask`: the chores of this workspace.
//!
//! One file per command under `commands/`; what several of them need lies beside it.

mod boards;
mod commands;
mod elf;
mod paths;
mod setup;
mod steps;
mod tools;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Chores of the embernet workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
#[command(after_help = "New here? `cargo xtask demo` shows everything, `cargo xtask test` proves it.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Get what the other commands need: targets for rustc, and QEMU
    Setup(commands::setup::Args),
    /// Train, quantise, flash an emulated board, learn there; writes report.html
    Demo(commands::demo::Args),
    /// Run every check and every test; ends in the test runner's summary
    Test(commands::test::Args),
    /// Build the firmware of some boards, or of all
    Firmware(commands::firmware::Args),
    /// Show flash and RAM of every board's firmware, and what changed
    Sizes(commands::sizes::Args),
    /// Write the pages and tables that are made from the code and from what was measured
    Docs(commands::docs::Args),
    /// Measure how fast networks train here, or what they cost on microcontrollers, beside other frameworks
    Bench(commands::bench::Args),
    /// Run a fuzz target (needs nightly and cargo-fuzz)
    Fuzz(commands::fuzz::Args),
    /// Start a board's program and watch it: outputs, latency, log
    Start(commands::start::Args),
    /// Boot a board's firmware in QEMU, its serial port on this terminal
    Qemu(commands::qemu::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Setup(args) => commands::setup::run(&args),
        Command::Demo(args) => commands::demo::run(&args),
        Command::Test(args) => commands::test::run(&args),
        Command::Firmware(args) => commands::firmware::run(&args),
        Command::Sizes(args) => commands::sizes::run(&args),
        Command::Docs(args) => commands::docs::run(&args),
        Command::Bench(args) => commands::bench::run(&args),
        Command::Fuzz(args) => commands::fuzz::run(&args),
        Command::Start(args) => commands::start::run(&args),
        Command::Qemu(args) => commands::qemu::run(&args),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
