//! `embernet firmware`: a board's program with the kernels of one image only.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use embernet::files;
use embernet::link::{Board, FirmwareOptions, Orders, build_firmware, flash_bytes};
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
    /// What the program's loops are written for: speed, or size (the fewest bytes, several times slower; such a program
    /// runs images that were packed with `--optimise size`).
    #[arg(long, value_name = "AIM", value_enum, default_value = "speed")]
    optimise: Aim,
    /// Which kernels it carries: those of the model, or all of inference, so that it can take other models.
    #[arg(long, value_name = "KERNELS", value_enum, default_value = "model")]
    kernels: Kernels,
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

/// What a program's loops are written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Aim {
    Speed,
    Size,
}

/// Which kernels a program carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kernels {
    Model,
    Inference,
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
    fn options(&self, image: &Image<'_>) -> Result<FirmwareOptions> {
        let model = self.model.display();
        let (of_model, compact) = (FirmwareOptions::for_image(image), self.optimise == Aim::Size);
        ensure!(
            !compact || of_model.orders == Orders::Plain,
            "{model} was packed in the order of its core's own loops, which a program for size does not have: pack it with \
             `--optimise size`"
        );
        let least = match self.kernels {
            Kernels::Model => of_model,
            Kernels::Inference => {
                ensure!(
                    !image.is_trainable(),
                    "{model} learns: `--kernels inference` leaves out what it needs for that"
                );
                FirmwareOptions::inference()
            }
        };
        Ok(FirmwareOptions { compact, log: self.log, watch: self.watch, transfer: self.transfer, ..least })
    }

    pub fn run(&self, output: &Output) -> Result<()> {
        let bytes = read_image(&self.model)?;
        let image = Image::parse(&bytes)?;
        let options = self.options(&image)?;
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
