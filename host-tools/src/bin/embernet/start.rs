//! `embernet start`: a board's program, put where it works and watched.
//!
//! `cargo run` of a board's package ends here.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use embernet::engine::{self, Place};
use embernet::files;
use embernet::flash::Program;
use embernet::link::{Board, Cable, Client, Qemu, QemuOptions, Serial};

use crate::monitor::Watched;
use crate::output::Output;

/// Start a board's program and watch it: in QEMU where that plays the board, else flashed with a debug probe and then
/// watched over the board's own link.
#[derive(Debug, Args)]
pub struct Start {
    /// The program (ELF). Its name says whose it is: embernet-board-NAME.
    #[arg(value_name = "FIRMWARE.elf")]
    firmware: PathBuf,
    /// The board, where the program's name does not say it.
    #[arg(long)]
    board: Option<String>,
    /// The port of the real board, serial:PORT or serial:PORT@BAUD. With it a board that QEMU plays too is the real one.
    #[arg(long, value_name = "PLACE")]
    on: Option<Place>,
    /// The debug probe, where there are several: VID:PID or VID:PID:SERIAL.
    #[arg(long, value_name = "PROBE", default_value = "")]
    probe: String,
    #[command(flatten)]
    watched: Watched,
}

impl Start {
    pub fn run(&self, output: &Output) -> Result<()> {
        let board = self.board()?;
        let program = Program::parse(&files::read(&self.firmware)?);
        let program = program.with_context(|| self.firmware.display().to_string())?;
        let image = self.watched.image()?;
        let mut watched = self.watched.clone();
        watched.elf.get_or_insert_with(|| self.firmware.clone());
        if board.qemu.is_some() && self.on.is_none() {
            let qemu = Qemu::start(board, &self.firmware, &QemuOptions::default())?;
            return watched.on_link(
                Client::connect(qemu)?,
                Some(board),
                &format!("qemu:{}", board.name),
                image,
                output,
            );
        }
        if board.hal.as_deref() == Some("esp-hal") {
            bail!(
                "{} has a boot loader of its own: `espflash flash` puts the program there, then `embernet monitor`",
                board.name
            );
        }
        let place = match &self.on {
            Some(place) => place.clone(),
            None => port_of(board)?,
        };
        self.flash(board, &program)?;
        let (client, _) = engine::connect(&place)?;
        watched.on_link(client, None, &place.to_string(), image, output)
    }

    fn board(&self) -> Result<&'static Board> {
        if let Some(name) = &self.board {
            return Ok(Board::named(name)?);
        }
        let name = self.firmware.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match Board::all().find(|board| board.package == name) {
            Some(board) => Ok(board),
            None => bail!("{} is not named after a board; say which one with --board", self.firmware.display()),
        }
    }

    #[cfg(not(feature = "probe"))]
    fn flash(&self, board: &Board, _: &Program) -> Result<()> {
        let uf2 = match &board.uf2 {
            Some(uf2) => format!(", or copy a UF2 file to {} (`embernet pack --firmware`)", uf2.board_id),
            None => String::new(),
        };
        bail!("{} is flashed with a debug probe, which this `embernet` was built without: -F probe{uf2}", board.name)
    }

    #[cfg(feature = "probe")]
    fn flash(&self, board: &Board, program: &Program) -> Result<()> {
        use embernet::flash::{self, Probe};
        let mut probe = flash::attach(&mut flash::DebugProbes::default(), board, &self.probe)?;
        let failed = |reason: String| anyhow::anyhow!("debug probe: {reason}");
        probe.program(&program.pieces).map_err(failed)?;
        probe.restart().map_err(failed)
    }
}

/// The port that a real board is on, if that is clear.
fn port_of(board: &Board) -> Result<Place> {
    let (found, baud) = match board.link {
        Some(Cable::Usb(numbers)) => (Serial::usb_ports(numbers), None),
        Some(Cable::Uart(baud)) => (Serial::ports(), Some(baud)),
        None => (Vec::new(), None),
    };
    match &found[..] {
        [port] => Ok(format!("serial:{port}{}", baud.map_or_else(String::new, |baud| format!("@{baud}"))).parse()?),
        [] => bail!("no serial port looks like {}'s; name it with --on serial:PORT", board.name),
        several => {
            bail!("which serial port is {}'s? name it with --on serial:PORT: {}", board.name, several.join(", "))
        }
    }
}
