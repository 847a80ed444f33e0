//! `cargo xtask qemu`

use crate::boards::{self, Board, Emulation};
use crate::commands::firmware;
use crate::setup::{Machine, qemu::Qemu};
use crate::steps::Steps;
use anyhow::{Context, Result, bail};
use std::process::{Command, ExitCode};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The board, such as `m4`
    board: String,
    /// Put the serial port on a pseudo-terminal, for `embernet … --on serial:PORT`; QEMU prints its path
    #[arg(long)]
    pty: bool,
    /// Wait for a debugger on TCP port 1234
    #[arg(long)]
    gdb: bool,
}

/// Builds a board's firmware and boots it; runs until QEMU ends.
pub fn run(args: &Args) -> Result<ExitCode> {
    let machine = Machine::prepare();
    let Some(qemu) = &machine.qemu else { bail!("{}", machine.missing.join("; ")) };
    let boards = boards::chosen(std::slice::from_ref(&args.board))?;
    let mut steps = Steps::default();
    let Some(board) = firmware::build(&boards, &machine, &mut steps).pop() else {
        return Ok(ExitCode::FAILURE);
    };
    let Some(emulation) = &board.qemu else { bail!("QEMU does not emulate {}", board.name) };
    let end = if args.pty { "`quit` ends it" } else { "Ctrl-A X ends it" };
    eprintln!("==> {} on QEMU's {}; {end}", board.name, emulation.machine);
    let mut command = command(&board, emulation, qemu, args);
    let status = command.status().with_context(|| format!("cannot start {}", emulation.program))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn command(board: &Board, emulation: &Emulation, qemu: &Qemu, args: &Args) -> Command {
    let mut command = Command::new(qemu.dir.join(&emulation.program));
    command.args(["-machine", &emulation.machine]).args(&emulation.arguments);
    command.arg("-icount").arg(format!("shift={}", emulation.icount_shift));
    command.args(["-display", "none", "-serial", if args.pty { "pty" } else { "mon:stdio" }]);
    if args.pty {
        command.args(["-monitor", "stdio"]);
    }
    if args.gdb {
        command.args(["-s", "-S"]);
    }
    command.arg("-kernel").arg(board.elf());
    command
}
