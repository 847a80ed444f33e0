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
    for group in boards::groups(boards) {
        let Some(first) = group.first() else { continue };
        let (names, target) = (names(&group), &first.target);
        if !machine.builds(target) {
            steps.skip(format!("firmware of {names}: rustc has no target {target}; see `cargo xtask setup`"));
        } else if steps.run(&format!("firmware {names} ({target})"), &mut cargo("build", &group)) {
            built.extend(group);
        }
    }
    built
}

/// The boards' names, for a line on the terminal.
pub fn names(boards: &[Board]) -> String {
    boards.iter().map(|board| board.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// A cargo command for boards of one target: their packages, that target, the profile of what goes to flash.
pub fn cargo(verb: &str, boards: &[Board]) -> Command {
    let packages: Vec<&str> = boards.iter().map(|board| board.package.as_str()).collect();
    cargo_in(&paths::firmware_target(), verb, &packages, boards.first().map_or("", |board| &board.target))
}

/// The same for any package.
pub fn cargo_for(verb: &str, package: &str, target: &str) -> Command {
    cargo_in(&paths::firmware_target(), verb, &[package], target)
}

/// What a program's loops are written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// Few instructions.
    Speed,
    /// Few bytes of program.
    Size,
}

/// The build of a program that carries the kernels of these steps only and does not watch its model; see
/// `core/src/plan/carried.rs`.
pub fn cargo_for_steps(steps: &str, aim: Aim, board: &Board) -> Command {
    let mut command = cargo_in(&paths::lean_target(), "build", &[&board.package], &board.target);
    command.env("EMBERNET_STEPS", steps).env("EMBERNET_WATCH", "none");
    if aim == Aim::Size {
        command.env("EMBERNET_OPTIMISE", "size");
    }
    command
}

fn cargo_in(folder: &Path, verb: &str, packages: &[&str], target: &str) -> Command {
    let mut command = tools::cargo();
    command.args([verb, "--quiet", "--profile", "firmware"]);
    command.args(packages.iter().flat_map(|package| ["--package", package])).args(["--target", target]);
    command.arg("--target-dir").arg(folder);
    command
}
