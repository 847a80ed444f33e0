//! `cargo xtask start`

use crate::boards;
use crate::commands::firmware;
use crate::setup::Machine;
use crate::steps::Steps;
use crate::tools;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The board, whose program is built first, or a program (ELF)
    #[arg(value_name = "BOARD")]
    board: PathBuf,
    /// With support for debug probes, which boards want that QEMU does not play
    #[arg(long)]
    probe: bool,
    /// What `embernet start` takes besides, such as --on serial:PORT
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// Starts a board's program and watches it; `cargo run` of a board's package comes here.
pub fn run(args: &Args) -> Result<ExitCode> {
    let machine = Machine::prepare();
    let name = args.board.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let name = name.strip_prefix("embernet-board-").unwrap_or(name).to_owned();
    let chosen = boards::chosen(&[name])?;
    let is_real = chosen.iter().any(|board| board.qemu.is_none());
    let program = match is_program(&args.board) {
        true => std::path::absolute(&args.board).context("the program")?,
        false => match firmware::build(&chosen, &machine, &mut Steps::default()).pop() {
            Some(board) => board.elf(),
            None => return Ok(ExitCode::FAILURE),
        },
    };
    let mut command = tools::cargo();
    machine.equip(&mut command);
    command.args(["run", "--quiet", "--package", "embernet"]);
    if args.probe || is_real {
        command.args(["--features", "probe"]);
    }
    command.args(["--", "start"]).arg(program).args(&args.rest);
    let status = command.status().context("cannot start cargo")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A file, not the name of a board.
fn is_program(path: &Path) -> bool {
    path.components().count() > 1 && path.is_file()
}
