//! `embernet export`: a model as a file that other people's programs read.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use embernet::export::tflite;
use embernet::files;
use embernet::graph::{Graph, layer_table};
use embernet::image::read_source;
use serde::Serialize;

use crate::model::Model;
use crate::output::{Output, grouped};

/// Write an image's or a checkpoint's model as a TFLite file.
#[derive(Debug, Args)]
pub struct Export {
    /// The model: an image (.emb), or a checkpoint (.safetensors).
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// The file to write (.tflite).
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

#[derive(Serialize)]
struct Line<'l> {
    done: bool,
    output: &'l PathBuf,
    layers: usize,
    bytes: usize,
}

impl Export {
    pub fn run(&self, output: &Output) -> Result<()> {
        if self.output.extension().is_none_or(|extension| extension != "tflite") {
            bail!("{}: the one format to export is TFLite; end the name in .tflite", self.output.display());
        }
        let graph = self.graph()?;
        let bytes = tflite::to_bytes(&graph).with_context(|| self.model.display().to_string())?;
        files::write(&self.output, &bytes)?;
        output.text(layer_table(&graph));
        output.text(format_args!("{}: {} B", self.output.display(), grouped(bytes.len() as u64)));
        let mut left_out = Vec::new();
        if !graph.meta.class_names.is_empty() {
            left_out.push("the class names");
        }
        if !graph.meta.preprocessing.is_identity() {
            left_out.push("the preprocessing");
        }
        if !left_out.is_empty() {
            output.text(format_args!("not in it, because the format has no place for it: {}", left_out.join(", ")));
        }
        output.json(&Line { done: true, output: &self.output, layers: graph.nodes.len(), bytes: bytes.len() });
        Ok(())
    }

    fn graph(&self) -> Result<Graph> {
        match Model::read(&self.model)? {
            Model::Checkpoint(checkpoint) => Ok(checkpoint.graph),
            Model::Image(bytes) => read_source(&bytes).with_context(|| self.model.display().to_string()),
        }
    }
}
