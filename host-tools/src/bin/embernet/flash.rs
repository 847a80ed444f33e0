//! `embernet flash`: a model into a board's flash.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use embernet::engine::{self, Place};
use embernet::flash::{self, Destination, Drive, Flashed, Plan};
use embernet::link::{Board, Serial};
use embernet_core::image::Image;
use serde::Serialize;

use crate::model::read_image;
use crate::output::{Output, grouped};
use crate::{progress, room};

/// Write a model to a board's flash: through the program that runs there (--on), by its boot loader's drive (--drive)
/// or with a debug probe (--probe).
#[derive(Debug, Args)]
pub struct Flash {
    /// The image (.emb).
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// The board.
    #[arg(long)]
    board: String,
    /// Through the program on the board: serial:PORT, serial:PORT@BAUD or qemu:BOARD. The model goes into the slot that
    /// is not active.
    #[arg(long, value_name = "PLACE", group = "way")]
    on: Option<Place>,
    /// Copy a UF2 file to the drive that is mounted here.
    #[arg(long, value_name = "FOLDER", group = "way")]
    drive: Option<PathBuf>,
    /// The slot that a drive's file is for: it cannot be seen which one is active.
    #[arg(long, value_name = "0|1", default_value_t = 0, requires = "drive", value_parser = clap::value_parser!(u8).range(0..=1))]
    slot: u8,
    /// With a debug probe, the only one or the one that is named VID:PID or VID:PID:SERIAL.
    #[arg(long, value_name = "PROBE", group = "way", num_args = 0..=1, default_missing_value = "")]
    probe: Option<String>,
    /// Only say what would be erased and written.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct PlanLine {
    action: &'static str,
    start: u32,
    bytes: u32,
}

#[derive(Serialize)]
struct Line {
    done: bool,
    board: String,
    slot: u8,
    generation: u32,
    sent_bytes: usize,
}

impl Flash {
    pub fn run(&self, output: &Output) -> Result<()> {
        let board = Board::named(&self.board)?;
        let bytes = read_image(&self.model)?;
        let image = Image::parse(&bytes)?;
        // Before anything is looked for: that is the same for every way.
        room::check(&image, board).with_context(|| self.model.display().to_string())?;
        let flashed = match (&self.on, &self.drive, &self.probe) {
            (Some(place), ..) => self.over_link(output, place, board, &image)?,
            (_, Some(drive), _) => self.onto_drive(output, drive, board, &image)?,
            (.., Some(selector)) => self.with_probe(output, selector, board, &image)?,
            _ => bail!("{}", ways(board)),
        };
        let Some(flashed) = flashed else { return Ok(()) };
        let Flashed { slot, generation, sent } = flashed;
        output.text(format_args!(
            "{}: slot {slot}, generation {generation}, {}",
            board.name,
            if sent == 0 { "was there already".into() } else { format!("{} B sent", grouped(sent as u64)) }
        ));
        output.json(&Line { done: true, board: board.name.clone(), slot, generation, sent_bytes: sent });
        Ok(())
    }

    fn over_link(&self, output: &Output, place: &Place, board: &Board, image: &Image<'_>) -> Result<Option<Flashed>> {
        let (mut client, emulated) = engine::connect(place)?;
        let emulated = emulated.map(|_| board.emulated());
        let board = emulated.as_ref().unwrap_or(board);
        if self.dry_run {
            let Destination { slot, is_there } = flash::destination(&mut client, board, image)?;
            if is_there {
                output
                    .text(format_args!("{}, slot {slot}: holds this model; only a record makes it active", board.name));
                return Ok(None);
            }
            return self.show(output, board, image, slot);
        }
        let bar = progress::bytes("sending", image.bytes().len());
        let flashed = flash::over_link(&mut client, board, image, |done, _| bar.set_position(done as u64))?;
        bar.finish_and_clear();
        Ok(Some(flashed))
    }

    fn onto_drive(&self, output: &Output, drive: &Path, board: &Board, image: &Image<'_>) -> Result<Option<Flashed>> {
        let drive = Drive::open(drive)?;
        if self.dry_run {
            drive.check(board)?;
            return self.show(output, board, image, self.slot);
        }
        let bar = progress::bytes("copying", image.bytes().len());
        let flashed = drive.write(board, image.bytes(), self.slot, |done, total| {
            bar.set_length(total as u64);
            bar.set_position(done as u64);
        })?;
        bar.finish_and_clear();
        Ok(Some(flashed))
    }

    #[cfg(not(feature = "probe"))]
    fn with_probe(&self, _: &Output, _: &str, _: &Board, _: &Image<'_>) -> Result<Option<Flashed>> {
        bail!("this `embernet` was built without support for debug probes: cargo install --path host-tools -F probe")
    }

    #[cfg(feature = "probe")]
    fn with_probe(&self, output: &Output, selector: &str, board: &Board, image: &Image<'_>) -> Result<Option<Flashed>> {
        let mut probe = flash::attach(&mut flash::DebugProbes::default(), board, selector)?;
        if self.dry_run {
            let slot = flash::slot_states(&mut probe, board)?.spare();
            return self.show(output, board, image, slot);
        }
        let bar = progress::bytes("writing", image.bytes().len());
        let flashed = flash::over_probe(&mut probe, board, image.bytes(), |done, _| bar.set_position(done as u64))?;
        bar.finish_and_clear();
        Ok(Some(flashed))
    }

    /// What would happen, in place of it.
    fn show(&self, output: &Output, board: &Board, image: &Image<'_>, slot: u8) -> Result<Option<Flashed>> {
        let plan = Plan::new(image.bytes(), &board.slots, slot)?;
        output.text(format_args!("{}, slot {}; nothing was changed:", board.name, plan.slot));
        for step in &plan.steps {
            output.text(format_args!("  {step}"));
            let action = match step.action {
                flash::Action::Erase => "erase",
                flash::Action::Write => "write",
            };
            output.json(&PlanLine { action, start: step.start, bytes: step.bytes });
        }
        Ok(None)
    }
}

/// How this board can be reached, and what of that is there.
fn ways(board: &Board) -> String {
    let ports = Serial::ports();
    let ports = if ports.is_empty() { "none here".to_string() } else { format!("here: {}", ports.join(", ")) };
    let mut ways = vec![format!("--on serial:PORT ({ports})")];
    if let Some(uf2) = &board.uf2 {
        ways.push(format!("--drive FOLDER (its boot loader's drive, {})", uf2.board_id));
    }
    if board.chip.is_some() {
        ways.push("--probe".into());
    }
    if board.qemu.is_some() {
        ways.push(format!("--on qemu:{}", board.name));
    }
    format!("how shall {} be reached? {}", board.name, ways.join(", "))
}
