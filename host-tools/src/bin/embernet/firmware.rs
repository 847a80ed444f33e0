//! `embernet firmware`: a board's program with the kernels of one image only.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use embernet::files;
use embernet::link::{Board, FirmwareOptions, build_firmware, flash_bytes};
use embernet_core::image::Image;
use serde::Serialize;

use crate::model::read_image;
use crate::output::{Output, grouped};

/// Build a board's program that carries only the kernels of one image (in a checkout, with cargo).
#[derive(Debug, Args)]
pub struct Firmware {
    /// The image (.emb). It is not part of the program: flash it beside it, or send it.
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// The board, such as m4 or pico; a wrong name lists all.
    #[arg(long = "for", value_name = "BOARD")]
    board: String,
    /// The program to write (.elf).
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Keep the log, which takes about 2 KB.
    #[arg(long)]
    log: bool,
    /// Let the program watch the model at work (drift, counts of classes), which takes about 4 KB.
    #[arg(long)]
    watch: bool,
    /// Let the program take other models over the link, which takes about 1 KB.
    #[arg(long)]
    transfer: bool,
}

#[derive(Serialize)]
struct Line {
    done: bool,
    firmware: PathBuf,
    board: String,
    /// Of the program alone.
    flash_bytes: u64,
    /// Kinds of steps that it carries.
    steps: Vec<u16>,
}

impl Firmware {
    pub fn run(&self, output: &Output) -> Result<()> {
        let bytes = read_image(&self.model)?;
        let image = Image::parse(&bytes)?;
        let least = FirmwareOptions::for_image(&image);
        let options = FirmwareOptions { log: self.log, watch: self.watch, transfer: self.transfer, ..least };
        let board = Board::named(&self.board)?;
        let program = build_firmware(board, &options)?;
        let flash_bytes = flash_bytes(&program)?;
        let elf = std::fs::read(&program).with_context(|| program.display().to_string())?;
        files::write(&self.output, &elf)?;
        let line = Line {
            done: true,
            firmware: self.output.clone(),
            board: board.name.clone(),
            flash_bytes,
            steps: options.steps.into_iter().flatten().collect(),
        };
        output.text(format_args!(
            "{}: program for {} with {} kinds of steps, flash {} B",
            line.firmware.display(),
            line.board,
            line.steps.len(),
            grouped(line.flash_bytes)
        ));
        output.json(&line);
        Ok(())
    }
}
