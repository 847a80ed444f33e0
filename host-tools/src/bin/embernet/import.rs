//! `embernet import`: somebody else's model becomes a flash image or a checkpoint.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use embernet::files;
use embernet::graph::{DType, Selection, layer_table};
use embernet::image::{self, PackOptions};
use embernet::import::checkpoint::Checkpoint;
use embernet::passes::{self, Report};
use serde::Serialize;

use crate::model::read_graph;
use crate::output::{Output, grouped};

/// Make a flash image of a TFLite model, or a checkpoint that can be trained further.
#[derive(Debug, Args)]
pub struct Import {
    /// The model (.tflite, or a checkpoint .safetensors).
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// The file to write: an image (.emb), or with --checkpoint a checkpoint (.safetensors).
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Write a checkpoint instead of an image; all float parameters are trainable in it.
    #[arg(long)]
    checkpoint: bool,
    /// Most samples in one inference.
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "checkpoint")]
    samples: usize,
}

#[derive(Serialize)]
struct Line<'l> {
    done: bool,
    output: &'l PathBuf,
    layers: usize,
    parameters: usize,
    macs: u64,
    simplified: Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    flash_bytes: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arena_bytes: Option<usize>,
}

impl Import {
    pub fn run(&self, output: &Output) -> Result<()> {
        let mut graph = read_graph(&self.model)?;
        // Integer weights stay as they are, and in an image all: only what is float can learn.
        let float = graph.parameter_tensors().iter().all(|t| graph.tensor(*t).dtype == DType::F32);
        graph.set_trainable(if self.checkpoint && float { &Selection::All } else { &Selection::None })?;
        let simplified = passes::simplify(&mut graph)?;
        let (layers, parameters, macs) = (graph.nodes.len(), graph.parameter_count(), graph.macs());
        let mut line = Line {
            done: true,
            output: &self.output,
            layers,
            parameters,
            macs,
            simplified,
            flash_bytes: None,
            arena_bytes: None,
        };
        output.text(layer_table(&graph));
        output.simplified(&line.simplified);
        if self.checkpoint {
            Checkpoint::new(graph).save(&self.output)?;
        } else {
            let packed = image::pack(&graph, &PackOptions { samples: self.samples, ..PackOptions::default() }, None)?;
            let parsed = packed.image()?;
            line.flash_bytes = Some(parsed.header().image_bytes);
            line.arena_bytes = Some(parsed.arena_bytes());
            files::write(&self.output, &packed.bytes)?;
        }
        let sizes = match (line.flash_bytes, line.arena_bytes) {
            (Some(flash), Some(arena)) => format!(": flash {} B, RAM {} B", grouped(flash), grouped(arena as u64)),
            _ => String::new(),
        };
        output.text(format_args!("{}{sizes}", self.output.display()));
        output.json(&line);
        Ok(())
    }
}
