//! `embernet pack`: a checkpoint becomes a flash image.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use embernet::files;
use embernet::flash;
use embernet::graph::{Graph, Selection};
use embernet::image::{self, Format, PackOptions, Packed, Piece, Precision, Target, TrainOptions};
use embernet::link::Board;
use embernet::lower::lower;
use embernet::passes::Report;
use embernet::planner::PlanFile;
use embernet_core::optim::state::StateFormat;
use serde::Serialize;

use crate::args::{NormaliseArgs, PackingArgs};
use crate::model::read_checkpoint;
use crate::output::{Output, grouped};
use crate::room;
use crate::rule::RuleArgs;

/// Make a flash image of a checkpoint, if asked with a training plan.
#[derive(Debug, Args)]
pub struct Pack {
    /// The checkpoint (.safetensors).
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// The image to write (.emb).
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Add a training plan for these layers: all, last:N, or names with commas between. Behind each may stand what of it
    /// learns: :bias, :channels=0-7+12 (output channels), or :lora=RANK (a low-rank adapter beside frozen weights).
    #[arg(long, value_name = "LAYERS")]
    train: Option<Selection>,
    /// Take what `embernet plan` chose: what learns, how, and for which board.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["train", "board"])]
    plan: Option<PathBuf>,
    #[command(flatten)]
    rule: RuleArgs,
    /// Most samples in one pass.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "train")]
    batch: usize,
    /// Add up the gradients of so many passes before an update.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "train", value_parser = clap::value_parser!(u32).range(1..=65535))]
    accumulate: u32,
    /// How the optimiser's state is kept: f32, bf16 or 8bit.
    #[arg(long, value_name = "FORMAT", default_value = "f32", requires = "train", value_parser = state)]
    state: StateFormat,
    /// Layers (with commas between) whose output is not kept for the backward pass but computed again.
    #[arg(long, value_name = "LAYERS", value_delimiter = ',', requires = "train")]
    recompute: Vec<String>,
    /// Layers (with commas between) whose output, f32, is kept for the backward pass as int8: gradients change a little.
    #[arg(long, value_name = "LAYERS", value_delimiter = ',', requires = "train")]
    compress: Vec<String>,
    /// The numbers that a float model is computed and trained in: f32, or fixed16 for cores without a floating-point
    /// unit.
    #[arg(long, value_name = "NUMBERS", default_value = "f32", conflicts_with = "plan")]
    precision: Precision,
    #[command(flatten)]
    normalise: NormaliseArgs,
    /// Most samples in one inference.
    #[arg(long, value_name = "N", default_value_t = 1)]
    samples: usize,
    /// How the image is wrapped: bin, hex, uf2, elf, c or rust. Hex, uf2 and elf need an address; with
    /// --for they hold the board's whole first slot, ready to be flashed.
    #[arg(long, default_value = "bin")]
    format: Format,
    /// Put this program of the board (.elf, from `embernet firmware`) into the same file: bin, hex, uf2 or elf.
    #[arg(long, value_name = "ELF", requires = "board")]
    firmware: Option<PathBuf>,
    /// The address of the first byte, such as 0x08010000.
    #[arg(long, value_name = "ADDRESS", value_parser = number, conflicts_with = "board")]
    address: Option<u32>,
    /// Leave out the graph that the file carries behind the image: nothing can be exported from it then.
    #[arg(long)]
    strip: bool,
    /// The processor family that a UF2 boot loader asks for, such as 0xe48bff56.
    #[arg(long, value_name = "NUMBER", value_parser = number)]
    uf2_family: Option<u32>,
    #[command(flatten)]
    packing: PackingArgs,
}

#[derive(Serialize)]
struct Line {
    done: bool,
    image: PathBuf,
    flash_bytes: u32,
    arena_bytes: usize,
    infer_arena_bytes: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    train_arena_bytes: Option<u32>,
    trainable_bytes: u32,
    simplified: Report,
}

impl Pack {
    pub fn run(&self, output: &Output) -> Result<()> {
        let checkpoint = read_checkpoint(&self.model)?;
        let plan = self.plan.as_deref().map(PlanFile::read).transpose()?;
        let graph = match (&self.normalise.normalise, &plan) {
            (None, Some(plan)) if plan.normalise => NormaliseArgs { normalise: Some(None) }.apply(&checkpoint.graph)?,
            _ => self.normalise.apply(&checkpoint.graph)?,
        };
        let (options, board) = self.options(&graph, plan.as_ref())?;
        let packed = image::pack(&graph, &options, Some(checkpoint.id()?))?;
        let parsed = packed.image()?;
        if let Some(board) = board {
            room::check(&parsed, board)?;
        }
        files::write(&self.output, &self.wrap(&packed, &graph, board)?)?;
        let header = parsed.header();
        let line = Line {
            done: true,
            image: self.output.clone(),
            flash_bytes: header.image_bytes,
            arena_bytes: parsed.arena_bytes(),
            infer_arena_bytes: header.infer.arena_bytes,
            train_arena_bytes: parsed.is_trainable().then_some(header.train.arena_bytes),
            trainable_bytes: header.param_bytes,
            simplified: packed.program.simplified.clone(),
        };
        output.simplified(&line.simplified);
        output.text(format_args!(
            "{}: flash {} B, RAM {} B to infer{}",
            self.output.display(),
            grouped(line.flash_bytes),
            grouped(line.infer_arena_bytes),
            line.train_arena_bytes.map_or_else(String::new, |bytes| format!(", {} B to train", grouped(bytes)))
        ));
        let inspection = image::inspect(&parsed);
        if let Some(loops) = inspection.infer.by_layer(inspection.inputs.len()).loops() {
            output.text(loops);
        }
        output.json(&line);
        Ok(())
    }

    /// What to pack, and for which board.
    fn options(&self, graph: &Graph, plan: Option<&PlanFile>) -> Result<(PackOptions, Option<&'static Board>)> {
        if self.rule.is_some() && self.train.is_none() {
            bail!("--optimizer, --lr and --loss are for images that train: add --train");
        }
        if let (Some(path), Some(plan)) = (&self.plan, plan) {
            let board = Board::named(&plan.board)?;
            let options = PackOptions { samples: self.samples, ..plan.options(board.isa) };
            let found = lower(graph, &options)?.arena_bytes();
            if self.samples == 1 && found != plan.ram_bytes {
                let (path, planned) = (path.display(), plan.ram_bytes);
                bail!("{path} was made for another model: it plans {planned} B of RAM, this one needs {found}");
            }
            return Ok((options, Some(board)));
        }
        let train = match self.train.clone() {
            None => None,
            Some(layers) => Some(TrainOptions {
                optimizer: self.rule.record()?.with_state(self.state).with_passes(self.accumulate),
                loss: self.rule.loss(graph),
                batch: self.batch,
                layers: Some(layers),
                recompute: self.recompute.clone(),
                compress: self.compress.clone(),
            }),
        };
        let (samples, precision) = (self.samples, self.precision);
        Ok((PackOptions { samples, train, precision, ..self.packing.options()? }, self.packing.board()?))
    }

    /// The file's bytes.
    fn wrap(&self, packed: &Packed, graph: &Graph, board: Option<&Board>) -> Result<Vec<u8>> {
        let image = &packed.bytes[..];
        let riscv = board.is_some_and(|board| board.target.starts_with("riscv"));
        let machine = if riscv { Target::RISC_V } else { Target::ARM };
        let mut target = Target { machine, entry: 0, family: self.uf2_family };
        let Some(board) = board else {
            return match (self.format, self.address) {
                (Format::Bin, _) if !self.strip => Ok(packed.file_bytes(graph)),
                (format, None) if format.has_addresses() => {
                    bail!("this format holds addresses; give --address, or --for BOARD")
                }
                (format, address) => Ok(format.wrap(vec![piece(address.unwrap_or(0), image)], &target)?),
            };
        };
        let whole = self.format.has_addresses() || self.firmware.is_some();
        if !whole {
            return match self.format {
                Format::Bin if !self.strip => Ok(packed.file_bytes(graph)),
                format => Ok(format.wrap(vec![piece(0, image)], &target)?),
            };
        }
        // A lone image at a slot's address would not start: its record must stand before it.
        let mut pieces = vec![piece(board.slots.origins[0], &flash::slot(image, &board.slots, 1)?)];
        if let Some(path) = &self.firmware {
            let program = flash::Program::parse(&files::read(path)?).with_context(|| path.display().to_string())?;
            if program.machine != machine {
                bail!("{} is a program for another processor than {}'s", path.display(), board.name);
            }
            target.entry = program.entry;
            pieces.extend(program.pieces);
        }
        Ok(self.format.wrap(pieces, &target)?)
    }
}

fn piece(address: u32, bytes: &[u8]) -> Piece {
    Piece { address, bytes: bytes.to_vec() }
}

/// A format of optimiser state, by its name.
fn state(text: &str) -> Result<StateFormat, String> {
    let known = StateFormat::ALL.map(StateFormat::name).join(", ");
    let found = StateFormat::ALL.into_iter().find(|format| format.name() == text);
    found.ok_or_else(|| format!("there is no {text:?}; there are {known}"))
}

/// A whole number, also in hexadecimal.
fn number(text: &str) -> Result<u32, std::num::ParseIntError> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    }
}
