//! `embernet quantize`: a trained f32 checkpoint becomes an int8 image.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use embernet::files;
use embernet::graph::text_table;
use embernet::image;
use embernet::import::checkpoint::Checkpoint;
use embernet::passes::Report;
use embernet::quant::{self, LayerError, Scheme};
use serde::Serialize;

use crate::args::{PackingArgs, read_calibration};
use crate::model::{Facts, read_checkpoint};
use crate::output::{Output, grouped};

/// Quantise a trained checkpoint, with a scale for every output channel.
#[derive(Debug, Args)]
pub struct Quantize {
    /// The checkpoint (.safetensors).
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// The number types: int8.
    #[arg(long, default_value = "int8")]
    scheme: Scheme,
    /// Some of the training data: an experiment file (its training part), a table, an archive with the
    /// array x, or samples as npy or IDX.
    #[arg(long, value_name = "DATA")]
    calibration: PathBuf,
    /// The target column of a table, which is left out. The last by default.
    #[arg(long, value_name = "COLUMN")]
    target: Option<String>,
    /// Most calibration samples to use.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    samples: u32,
    /// Where the result goes: an image (.emb), or a checkpoint if the name ends in .safetensors.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    packing: PackingArgs,
}

/// What quantisation did to one layer.
#[derive(Serialize)]
struct LayerLine<'l> {
    layer: &'l str,
    op: &'l str,
    scale: f32,
    zero_point: i32,
    /// `None` where nothing differs.
    snr_db: Option<f64>,
    max_error: f32,
}

#[derive(Serialize)]
struct Line<'l> {
    done: bool,
    scheme: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    flash_bytes: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arena_bytes: Option<usize>,
    output: &'l PathBuf,
    simplified: Report,
    layers: Vec<LayerLine<'l>>,
}

impl Quantize {
    pub fn run(&self, output: &Output) -> Result<()> {
        let to_checkpoint = self.output.extension().is_some_and(|extension| extension == "safetensors");
        if to_checkpoint {
            self.packing.none()?;
        }
        let checkpoint = read_checkpoint(&self.model)?;
        let facts = Facts::of_graph(&checkpoint.graph)?;
        let samples = read_calibration(&self.calibration, self.target.as_deref(), &facts, self.samples as usize)?;
        let result = quant::quantize(&checkpoint.graph, &samples, self.scheme)?;
        let parent = checkpoint.id()?;

        let mut line = Line {
            done: true,
            scheme: self.scheme.name(),
            flash_bytes: None,
            arena_bytes: None,
            output: &self.output,
            simplified: result.simplified,
            layers: result.errors.iter().map(layer_line).collect(),
        };
        if to_checkpoint {
            Checkpoint { graph: result.graph, parent: Some(parent) }.save(&self.output)?;
        } else {
            let packed = image::pack(&result.graph, &self.packing.options()?, Some(parent))?;
            self.packing.check(&packed)?;
            line.simplified = line.simplified.and(&packed.program.simplified);
            let parsed = packed.image()?;
            line.flash_bytes = Some(parsed.header().image_bytes);
            line.arena_bytes = Some(parsed.arena_bytes());
            files::write(&self.output, &packed.file_bytes(&result.graph))?;
        }

        let mut table = text_table(&["layer", "op", "scale", "zero point", "signal/error dB", "largest error"], 2);
        for row in &line.layers {
            table.add_row([
                row.layer.into(),
                row.op.into(),
                format!("{:.6}", row.scale),
                row.zero_point.to_string(),
                row.snr_db.map_or_else(|| "exact".into(), |db| format!("{db:.1}")),
                format!("{:.5}", row.max_error),
            ]);
        }
        output.text(table);
        output.simplified(&line.simplified);
        let sizes = match (line.flash_bytes, line.arena_bytes) {
            (Some(flash), Some(arena)) => format!(": flash {} B, RAM {} B", grouped(flash), grouped(arena as u64)),
            _ => String::new(),
        };
        output.text(format_args!("{}{sizes}", self.output.display()));
        output.json(&line);
        Ok(())
    }
}

fn layer_line(error: &LayerError) -> LayerLine<'_> {
    LayerLine {
        layer: &error.layer,
        op: error.kind,
        scale: error.scale,
        zero_point: error.zero_point,
        snr_db: error.snr_db.is_finite().then_some(error.snr_db),
        max_error: error.max_error,
    }
}
