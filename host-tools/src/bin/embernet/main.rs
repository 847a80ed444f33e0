//! `embernet`: train on the PC, quantise, pack flash images, run and train them on devices.
//!
//! One file per command. A command parses its arguments, calls the library and prints; what it
//! prints goes through [`output::Output`], so that `--json` holds for all of them.

mod args;
mod data;
mod eval;
mod export;
mod firmware;
mod flash;
mod import;
mod inspect;
mod learn;
mod model;
mod monitor;
mod new;
mod output;
mod pack;
mod plan;
mod progress;
mod quantize;
mod room;
mod rule;
mod run;
mod screen;
mod slots;
mod start;
mod strip;
mod train;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use output::Output;

/// Neural networks that learn on microcontrollers.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 100)]
struct Cli {
    /// Print one JSON object per line on standard output, and nothing else there.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Train(train::Train),
    Data(data::Data),
    Import(import::Import),
    Export(export::Export),
    Eval(eval::Eval),
    Quantize(quantize::Quantize),
    Plan(plan::Plan),
    Pack(pack::Pack),
    New(new::New),
    Firmware(firmware::Firmware),
    Flash(flash::Flash),
    Slots(slots::Slots),
    Inspect(inspect::Inspect),
    Run(run::Run),
    Learn(learn::Learn),
    Monitor(monitor::Monitor),
    Start(start::Start),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = Output::new(cli.json);
    let result = match cli.command {
        Command::Train(command) => command.run(&output),
        Command::Data(command) => command.run(&output),
        Command::Import(command) => command.run(&output),
        Command::Export(command) => command.run(&output),
        Command::Eval(command) => command.run(&output),
        Command::Quantize(command) => command.run(&output),
        Command::Plan(command) => command.run(&output),
        Command::Pack(command) => command.run(&output),
        Command::New(command) => command.run(&output),
        Command::Firmware(command) => command.run(&output),
        Command::Flash(command) => command.run(&output),
        Command::Slots(command) => command.run(&output),
        Command::Inspect(command) => command.run(&output),
        Command::Run(command) => command.run(&output),
        Command::Learn(command) => command.run(&output),
        Command::Monitor(command) => command.run(&output),
        Command::Start(command) => command.run(&output),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", one_line(&error));
            ExitCode::FAILURE
        }
    }
}

/// The error and its causes in one line, without saying anything twice.
fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let text = cause.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        // Some messages quote their cause already.
        if line.ends_with(&text) {
            continue;
        }
        if !line.is_empty() {
            line.push_str(": ");
        }
        line.push_str(&text);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_error_is_one_line_that_says_all_once() {
        let error = anyhow::anyhow!("disk\n  is full").context("cannot write a.emb: disk is full").context("packing");
        assert_eq!(one_line(&error), "packing: cannot write a.emb: disk is full");
    }
}
