//! `embernet monitor`: a device at work, live.

mod show;
mod watched;

use anyhow::{Result, bail};
use clap::Args;
use embernet::engine::{self, Place};

use crate::output::Output;

pub use watched::Watched;

/// Watch a device at work: outputs, latency, drift, training loss, log.
///
/// In a terminal it draws; elsewhere, or with --plain, it prints a line for everything that happens.
#[derive(Debug, Args)]
pub struct Monitor {
    /// The device: qemu:BOARD, serial:PORT, serial:PORT@BAUD, or probe (probe:VID:PID) for the log of a program of your
    /// own, which comes through a debug probe by RTT.
    #[arg(long, value_name = "PLACE")]
    on: String,
    /// The board behind a debug probe.
    #[arg(long)]
    board: Option<String>,
    #[command(flatten)]
    watched: Watched,
}

impl Monitor {
    pub fn run(&self, output: &Output) -> Result<()> {
        match self.on.strip_prefix("probe") {
            Some(rest) if rest.is_empty() || rest.starts_with(':') => {
                let Some(board) = &self.board else { bail!("name the board behind the probe with --board") };
                self.watched.by_probe(board, rest.trim_start_matches(':'), output)
            }
            _ => {
                let place: Place = self.on.parse()?;
                let image = self.watched.image()?;
                let (client, emulated) = match &image {
                    Some(image) => engine::connect_for(&place, image)?,
                    None => engine::connect(&place)?,
                };
                self.watched.on_link(client, emulated, &self.on, image, output)
            }
        }
    }
}
