//! `cargo xtask firmware`

use crate::boards::{self, Board};
use crate::setup::Machine;
use crate::steps::Steps;
use crate::{paths, tools};
use anyhow::Result;
use std::path::Path;
use std::process::{Command, ExitCode};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Boards to build, such as `m4`; all of them where none is named
    #[arg(value_name = "BOARD")]
    boards: Vec<String>,
}

/// Builds firmware and prints where each ELF lies, one path per line on standard output.
pub fn run(args: &Args) -> Result<ExitCode> {
    let machine = Machine::prepare();
    let mut steps = Steps::default();
    for board in build(&boards::chosen(&args.boards)?, &machine, &mut steps) {
        println!("{}", board.elf().display());
    }
    Ok(if steps.failed().is_empty() && steps.skipped().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Builds each board for its own target; returns those whose firmware is there now.
pub fn build(boards: &[Board], machine: &Machine, steps: &mut Steps) -> Vec<Board> {
    let mut built = Vec::new();
    for board in boards {
        if !machine.builds(&board.target) {
            steps.skip(format!(
                "firmware of {}: rustc has no target {}; see `cargo xtask setup`",
                board.name, board.target
            ));
        } else if steps.run(&format!("firmware {} ({})", board.name, board.target), &mut cargo("build", board)) {
            built.push(board.clone());
        }
    }
    built
}

/// A cargo command for a board: its package, its target, the profile of what goes to flash.
pub fn cargo(verb: &str, board: &Board) -> Command {
    cargo_for(verb, &board.package, &board.target)
}

/// The same for any package.
pub fn cargo_for(verb: &str, package: &str, target: &str) -> Command {
    cargo_in(&paths::firmware_target(), verb, package, target)
}

/// [`cargo`] for a program that carries the kernels of these steps only and does not watch its model; see `core/src/plan/carried.rs`.
pub fn cargo_for_steps(steps: &str, verb: &str, board: &Board) -> Command {
    let mut command = cargo_in(&paths::lean_target(), verb, &board.package, &board.target);
    command.env("EMBERNET_STEPS", steps).env("EMBERNET_WATCH", "none");
    command
}

fn cargo_in(folder: &Path, verb: &str, package: &str, target: &str) -> Command {
    let mut command = tools::cargo();
    command.args([verb, "--quiet", "--profile", "firmware"]);
    command.args(["--package", package, "--target", target]);
    command.arg("--target-dir").arg(folder);
    command
}
