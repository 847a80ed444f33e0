//! `embernet plan`: what of a model can learn on a board, and what it costs.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use embernet::data::Dataset;
use embernet::files;
use embernet::graph::{DType, text_table};
use embernet::link::Board;
use embernet::lower::{Optimize, Precision};
use embernet::planner::{self, Candidate, Gains, Normalisation, PlanFile, Request, cost};
use embernet::report::{Scatter, ScatterKind};
use embernet_core::optim::state::StateFormat;
use serde::Serialize;

use crate::args::{DataArgs, MissingArg, NormaliseArgs, Part};
use crate::model::{Facts, read_checkpoint};
use crate::output::{Output, grouped};
use crate::rule::RuleArgs;

/// Choose what of a model learns on a board, within its memory.
#[derive(Debug, Args)]
pub struct Plan {
    /// The checkpoint (.safetensors).
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// The board (m4, m7, m33, m55, m3, m0, m0-mps2, rv32).
    #[arg(long, value_name = "BOARD")]
    board: String,
    /// RAM for the model: weights that learn, the optimiser's state, activations. Bytes, or with K or M behind. What the
    /// board has by default.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    ram: Option<usize>,
    /// Flash for what was learned: two copies of weights and state.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    flash_rw: Option<usize>,
    #[command(flatten)]
    rule: RuleArgs,
    /// The numbers that a float model is computed in: f32, or fixed16 for cores without a floating-point unit. Both are
    /// choices by default.
    #[arg(long, value_name = "NUMBERS")]
    precision: Option<Precision>,
    /// Samples of one update.
    #[arg(long, value_name = "N", default_value_t = 1)]
    batch: usize,
    /// Samples of what there is to learn, to estimate what each choice gains: an experiment file (.toml), a table (.csv)
    /// or an archive with the arrays x and y (.npz). Without them the estimate is the share of the parameters.
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// The part of an experiment's data.
    #[arg(long, value_enum, default_value_t = Part::Train, requires = "data")]
    part: Part,
    #[command(flatten)]
    normalise: NormaliseArgs,
    /// Show every choice, not only those that are the best for their memory.
    #[arg(long)]
    all: bool,
    /// Draw the choices: memory against gain (.svg).
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Write the best choice (.toml), for `embernet pack --plan`.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Serialize)]
struct Line<'l> {
    done: bool,
    board: &'l str,
    ram_budget: Option<usize>,
    flash_budget: Option<usize>,
    /// The best choice, if one fits.
    best: Option<&'l Candidate>,
    /// Bytes that the smallest choice lacks, if none fits.
    missing_bytes: Option<usize>,
    choices: &'l [Candidate],
    /// Normalised inputs alone, where the model can have them.
    #[serde(skip_serializing_if = "Option::is_none")]
    normalisation: Option<&'l Normalisation>,
}

impl Plan {
    pub fn run(&self, output: &Output) -> Result<()> {
        let checkpoint = read_checkpoint(&self.model)?;
        let graph = &self.normalise.apply(&checkpoint.graph)?;
        let board = Board::named(&self.board)?;
        let is_float = graph.parameter_tensors().iter().all(|t| graph.tensor(*t).dtype == DType::F32);
        if self.precision.is_some() && !is_float {
            bail!("--precision is for float models; the integers of {} are what they are", self.model.display());
        }
        if self.batch == 0 {
            bail!("--batch is 0; an update needs a sample");
        }
        let request = Request {
            isa: board.isa,
            optimize: Optimize::Speed,
            core: cost::Core::of_target(&board.target),
            ram: self.ram.or(board.arena.map(|arena| arena.bytes as usize)),
            flash: self.flash_rw,
            erase_bytes: board.slots.erase_bytes as usize,
            optimizer: self.rule.record()?,
            loss: self.rule.loss(graph),
            batch: self.batch,
            precisions: match self.precision {
                Some(precision) => vec![precision],
                None if is_float => vec![Precision::F32, Precision::Fixed16],
                None => vec![Precision::F32],
            },
        };
        let data = self.data.as_ref().map(|path| self.load(path, &Facts::of_graph(graph)?)).transpose()?;
        let gains = Gains::new(graph, data.as_ref(), request.loss)?;
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let choices = planner::plan(graph, &request, &gains, threads)?;
        let best = choices.first().filter(|best| best.fits);
        let reference = graph.normalisation().map(|(_, op)| op).or(graph.meta.reference.as_ref());
        let normalisation = planner::normalisation(&checkpoint.graph, reference, &request, data.as_ref());
        output.text(table(&choices, normalisation.as_ref(), is_float, self.all));
        if let Some(path) = &self.svg {
            let drawing = scatter(&choices, &request).svg().context("there is nothing to draw")?;
            files::write(path, drawing.as_bytes())?;
        }
        let smallest = choices.iter().map(|c| c.ram_bytes).min().unwrap_or(0);
        let missing = best.is_none().then(|| smallest.saturating_sub(request.ram.unwrap_or(usize::MAX)));
        output.json(&Line {
            done: true,
            board: &board.name,
            ram_budget: request.ram,
            flash_budget: request.flash,
            best,
            missing_bytes: missing,
            choices: &choices,
            normalisation: normalisation.as_ref(),
        });
        let Some(best) = best else {
            return Err(too_small(&choices, &request));
        };
        let shown = self.model.display();
        let way = &best.way;
        let whole = (way.batch, way.passes, way.state) == (1, 1, StateFormat::F32)
            && way.recompute.is_empty()
            && way.compress.is_empty()
            && way.tile.is_none();
        let command = format!(
            "embernet pack {shown} --for {} --train {}{}{}",
            board.name,
            way.train,
            if way.precision == Precision::Fixed16 { " --precision fixed16" } else { "" },
            self.normalise.text()
        );
        output.text(format_args!(
            "best: {} with {} B of RAM; {}",
            way.train,
            grouped(best.ram_bytes as u64),
            if whole { &command } else { "-o plan.toml writes all of it, for embernet pack --plan" }
        ));
        if let Some(path) = &self.output {
            let normalise = self.normalise.normalise.is_some();
            PlanFile { normalise, ..PlanFile::new(&board.name, &request, best) }.write(path)?;
            let data = self.normalise.text();
            output.text(format_args!(
                "written to {0}: embernet pack {shown} --plan {0}{data} -o model.emb",
                path.display()
            ));
        }
        Ok(())
    }

    fn load(&self, path: &std::path::Path, model: &Facts) -> Result<Dataset> {
        let data =
            DataArgs { data: path.into(), labels: None, part: self.part, target: None, missing: MissingArg::Fill };
        data.load(model)
    }
}

/// By how much the smallest choice misses.
fn too_small(choices: &[Candidate], request: &Request) -> anyhow::Error {
    let misses = |bytes: fn(&Candidate) -> usize, most: Option<usize>, what: &str| {
        let smallest = choices.iter().map(bytes).min().unwrap_or(0);
        let most = most.filter(|most| smallest > *most)?;
        let (need, over) = (grouped(smallest as u64), grouped((smallest - most) as u64));
        Some(format!("the smallest choice needs {need} B of {what}, {over} more than there are"))
    };
    let ram = misses(|c| c.ram_bytes, request.ram, "RAM");
    let flash = misses(|c| c.flash_bytes, request.flash, "flash");
    let both = "no choice fits RAM and flash at once".to_owned();
    anyhow::anyhow!("{}", ram.or(flash).unwrap_or(both))
}

/// The choices, the best first. Unless all are wanted: those that nothing beats in both memory and gain.
fn table(choices: &[Candidate], normalisation: Option<&Normalisation>, is_float: bool, all: bool) -> String {
    let columns =
        ["learns", "in", "state", "batch", "again", "as int8", "RAM B", "flash B", "instructions", "gain", "fits"];
    let mut table = text_table(&columns, 6);
    let beaten = |c: &Candidate| {
        choices.iter().any(|other| {
            let same = other.way.precision == c.way.precision;
            let better = other.ram_bytes < c.ram_bytes || other.gain > c.gain;
            same && better && other.ram_bytes <= c.ram_bytes && other.gain >= c.gain
        })
    };
    for (index, candidate) in choices.iter().enumerate() {
        if index > 0 && !all && beaten(candidate) {
            continue;
        }
        let way = &candidate.way;
        let batch = if way.passes > 1 { format!("{} x {}", way.passes, way.batch) } else { way.batch.to_string() };
        // All of them stand in the plan's file.
        let names = |layers: &[String]| match layers {
            [] => "-".to_owned(),
            [layer] => layer.clone(),
            many => format!("{} layers", many.len()),
        };
        let small = if way.tile.is_some() { " s" } else { "" };
        let (numbers, state) = match way.precision {
            Precision::Fixed16 => ("fixed16", "int16"),
            Precision::F32 => (if is_float { "f32" } else { "int8" }, way.state.name()),
        };
        table.add_row([
            way.train.to_string(),
            numbers.to_owned(),
            state.to_owned(),
            format!("{batch}{small}"),
            names(&way.recompute),
            names(&way.compress),
            grouped(candidate.ram_bytes as u64),
            grouped(candidate.flash_bytes as u64),
            grouped(candidate.instructions),
            format!("{:.4}", candidate.gain),
            if candidate.fits { "yes" } else { "no" }.to_owned(),
        ]);
    }
    let Some(alone) = normalisation else {
        return format!("{table}\ninstructions and gain are estimates; s: small gradient tiles");
    };
    let text = |number: usize| grouped(number as u64);
    table.add_row([
        "normalise alone".to_owned(),
        "int8".to_owned(),
        "-".to_owned(),
        "1".to_owned(),
        "-".to_owned(),
        "-".to_owned(),
        text(alone.ram_bytes),
        text(alone.flash_bytes),
        grouped(alone.instructions),
        "-".to_owned(),
        if alone.fits { "yes" } else { "no" }.to_owned(),
    ]);
    let found = alone.loss.map_or_else(String::new, |[before, after]| {
        format!("; over these samples the loss is {before:.4} as they are and {after:.4} normalised")
    });
    format!(
        "{table}\ninstructions and gain are estimates; s: small gradient tiles\nnormalise: inputs brought back to what the \
         model was trained on (--normalise), {} B of state{found}",
        text(alone.state_bytes)
    )
}

fn scatter(choices: &[Candidate], request: &Request) -> Scatter {
    let points = |kind: ScatterKind, chosen: &dyn Fn(usize, &Candidate) -> bool| {
        let chosen = choices.iter().enumerate().filter(|(index, c)| chosen(*index, c));
        (kind, chosen.map(|(_, c)| (c.ram_bytes as f64 / 1024.0, c.gain)).collect::<Vec<_>>())
    };
    let mut drawing = Scatter::new("RAM, KB", "estimated gain")
        .points("does not fit", points(ScatterKind::Faint, &|_, c| !c.fits))
        .points("fits", points(ScatterKind::Plain, &|index, c| c.fits && index > 0))
        .points("best", points(ScatterKind::Strong, &|index, c| c.fits && index == 0));
    if let Some(ram) = request.ram {
        drawing = drawing.limit("budget", ram as f64 / 1024.0);
    }
    drawing
}

/// A number of bytes: `65536`, `64K`, `1M`.
fn bytes(text: &str) -> Result<usize, String> {
    let (digits, unit) = match text.trim_end_matches(['B', 'b']).to_ascii_uppercase() {
        text if text.ends_with('K') => (text[..text.len() - 1].to_owned(), 1024),
        text if text.ends_with('M') => (text[..text.len() - 1].to_owned(), 1024 * 1024),
        text => (text, 1),
    };
    let number: usize = digits.trim().parse().map_err(|_| format!("{text:?} is no number of bytes, as 4000 or 64K"))?;
    number.checked_mul(unit).ok_or_else(|| format!("{text:?} is too large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(bytes("64K"), Ok(65536));
        assert_eq!(bytes("2MB"), Ok(2 << 20));
        assert_eq!(bytes("100"), Ok(100));
        assert!(bytes("x").is_err() && bytes("").is_err() && bytes("99999999999999999M").is_err());
    }
}
