//! `embernet inspect`: what a model file holds.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use embernet::files;
use embernet::graph::{Graph, LayerRow, layer_rows, layer_table};
use embernet::image::{self, PackError, PackOptions};
use embernet::report::Diagram;
use embernet_core::image::Image;
use serde::Serialize;

use crate::model::{self, Model};
use crate::output::{Output, grouped};

/// Show what a model file holds: layers, sizes, the map of its memory.
#[derive(Debug, Args)]
pub struct Inspect {
    /// A checkpoint (.safetensors), an image (.emb) or a foreign model that `import` reads.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Also draw the model, as a picture for a browser.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// A graph in JSON: a checkpoint's or a foreign model's.
#[derive(Serialize)]
struct GraphLine<'c> {
    kind: &'static str,
    name: &'c str,
    parameters: usize,
    macs: u64,
    class_names: &'c [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    layers: Vec<LayerRow>,
    /// Sizes of the image that it would become; absent if it cannot be packed.
    #[serde(skip_serializing_if = "Option::is_none")]
    flash_bytes: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arena_bytes: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arena_bound: Option<u32>,
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
        if model::is_foreign(&self.file)? {
            return self.graph("foreign", &model::read_graph(&self.file)?, None, output);
        }
        match Model::read(&self.file)? {
            Model::Image(bytes) => {
                let inspection = image::inspect(&Image::parse(&bytes)?);
                self.draw(|| Diagram::of_image(&inspection))?;
                output.text(&inspection);
                output.json(&ImageLine { kind: "image", inspection });
                Ok(())
            }
            Model::Checkpoint(checkpoint) => {
                let parent = checkpoint.parent.map(|parent| parent.to_string());
                self.graph("checkpoint", &checkpoint.graph, parent, output)
            }
        }
    }

    fn graph(&self, kind: &'static str, graph: &Graph, parent: Option<String>, output: &Output) -> Result<()> {
        self.draw(|| Diagram::of_graph(graph))?;
        output.text(layer_table(graph));
        let mut line = GraphLine {
            kind,
            name: &graph.name,
            parameters: graph.parameter_count(),
            macs: graph.macs(),
            class_names: &graph.meta.class_names,
            parent,
            layers: layer_rows(graph),
            flash_bytes: None,
            arena_bytes: None,
            arena_bound: None,
        };
        match inspect_packed(graph) {
            Ok(packed) => {
                let plan = &packed.infer;
                output.text(format_args!(
                    "as an image: flash {} B, RAM {} B to infer{}",
                    grouped(packed.flash_bytes),
                    grouped(plan.arena_bytes),
                    plan.reason()
                ));
                line.flash_bytes = Some(packed.flash_bytes);
                line.arena_bytes = Some(plan.arena_bytes);
                line.arena_bound = Some(plan.transient_bound);
            }
            Err(error) => output.text(format_args!("no image can be made of it: {error}")),
        }
        output.json(&line);
        Ok(())
    }

    fn draw(&self, diagram: impl FnOnce() -> Diagram) -> Result<()> {
        if let Some(path) = &self.svg {
            files::write(path, diagram().to_svg().as_bytes())?;
        }
        Ok(())
    }
}

/// The image for inference that a graph becomes.
fn inspect_packed(graph: &Graph) -> Result<image::Inspection, PackError> {
    let packed = image::pack(graph, &PackOptions::default(), None)?;
    let parsed = packed.image().map_err(PackError::SelfCheck)?;
    Ok(image::inspect(&parsed))
}
