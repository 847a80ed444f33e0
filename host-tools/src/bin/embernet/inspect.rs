//! `embernet inspect`: what a model file holds.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use embernet::graph::{LayerRow, layer_rows, layer_table};
use embernet::image;
use embernet_core::image::Image;
use serde::Serialize;

use crate::model::Model;
use crate::output::Output;

/// Show what a checkpoint or image holds: layers, sizes, the map of its memory.
#[derive(Debug, Args)]
pub struct Inspect {
    /// A checkpoint (.safetensors) or an image (.emb).
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// A checkpoint in JSON.
#[derive(Serialize)]
struct CheckpointLine<'c> {
    kind: &'static str,
    name: &'c str,
    parameters: usize,
    macs: u64,
    class_names: &'c [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    layers: Vec<LayerRow>,
}

/// An image in JSON.
#[derive(Serialize)]
struct ImageLine {
    kind: &'static str,
    #[serde(flatten)]
    inspection: image::Inspection,
}

impl Inspect {
    pub fn run(&self, output: &Output) -> Result<()> {
        match Model::read(&self.file)? {
            Model::Image(bytes) => {
                let inspection = image::inspect(&Image::parse(&bytes)?);
                output.text(&inspection);
                output.json(&ImageLine { kind: "image", inspection });
            }
            Model::Checkpoint(checkpoint) => {
                let graph = &checkpoint.graph;
                output.text(layer_table(graph));
                output.json(&CheckpointLine {
                    kind: "checkpoint",
                    name: &graph.name,
                    parameters: graph.parameter_count(),
                    macs: graph.macs(),
                    class_names: &graph.meta.class_names,
                    parent: checkpoint.parent.map(|parent| parent.to_string()),
                    layers: layer_rows(graph),
                });
            }
        }
        Ok(())
    }
}
