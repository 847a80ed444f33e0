//! `embernet import`: somebody else's model becomes a flash image or a checkpoint.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use embernet::experiment::Experiment;
use embernet::files;
use embernet::graph::{DType, Graph, Selection, TensorId, layer_table, shape_text, text_table};
use embernet::image::{self, PackOptions};
use embernet::import::checkpoint::Checkpoint;
use embernet::import::onnx::{self, Imported, Port};
use embernet::import::{Kind, state_dict};
use embernet::passes::{self, Report};
use embernet::quant;
use serde::Serialize;

use crate::args::PackingArgs;
use crate::model::{kind, read_checkpoint, read_graph};
use crate::output::{Output, grouped};

/// Make a flash image of somebody else's model, or a checkpoint that can be trained further.
#[derive(Debug, Args)]
pub struct Import {
    /// The model: TFLite, ONNX, a checkpoint, or with --graph a PyTorch state dict (.safetensors).
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// The file to write: an image (.emb), or a checkpoint with --checkpoint or if the name ends in .safetensors.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Write a checkpoint instead of an image; all float parameters are trainable in it.
    #[arg(long)]
    checkpoint: bool,
    /// Write what the integers of a quantised model stand for: a float model, to be trained or quantised anew.
    #[arg(long, requires = "checkpoint")]
    float: bool,
    /// The network that a state dict's weights are for: an experiment file (.toml) or a checkpoint.
    #[arg(long, value_name = "FILE")]
    graph: Option<PathBuf>,
    /// The module of the state dict that a layer takes its weights from, where names, order and shapes
    /// do not tell.
    #[arg(long, value_name = "LAYER=MODULE", value_parser = pair, requires = "graph")]
    map: Vec<(String, String)>,
    /// Most samples in one inference.
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "checkpoint")]
    samples: usize,
    #[command(flatten)]
    packing: PackingArgs,
    /// The whole shape of an ONNX model's input where the file leaves it open; may be repeated.
    #[arg(long = "shape", value_name = "INPUT=N,C,H,W", value_parser = input_shape)]
    shapes: Vec<(String, Vec<usize>)>,
}

/// Reads `name=1,3,32,32`.
fn input_shape(text: &str) -> Result<(String, Vec<usize>), String> {
    let (name, sizes) = text.rsplit_once('=').ok_or("expected INPUT=SIZE,SIZE,...")?;
    let size = |s: &str| s.trim().parse().map_err(|_| format!("`{s}` is not a size"));
    Ok((name.to_owned(), sizes.split([',', 'x']).map(size).collect::<Result<_, _>>()?))
}

/// What became of the axes of an ONNX model.
#[derive(Serialize)]
struct Layout {
    /// Transposes of activations in the file.
    transposes: usize,
    /// Those that are left in the network.
    transposes_left: usize,
    /// Inputs and outputs whose values lie in another order, or have another type, than in the file.
    ports: Vec<String>,
}

impl Layout {
    fn of(imported: &Imported) -> Self {
        let graph = &imported.graph;
        let inputs = imported.inputs.iter().zip(&graph.inputs).map(|p| ("input", p));
        let outputs = imported.outputs.iter().zip(&graph.outputs).map(|p| ("output", p));
        let line = |(list, (port, id)): (&str, (&Port, &TensorId))| {
            let here = shape_text(&graph.tensor(*id).shape);
            let moved = port.is_rearranged().then(|| format!("{} in the file, {here} here", shape_text(&port.shape)));
            let shifted = port.unsigned.then(|| "uint8 in the file, int8 here (less 128)".to_owned());
            let notes: Vec<String> = moved.into_iter().chain(shifted).collect();
            (!notes.is_empty()).then(|| format!("{list} `{}`: {}", port.name, notes.join("; ")))
        };
        let ports = inputs.chain(outputs).filter_map(line).collect();
        Self { transposes: imported.transposes, transposes_left: imported.transposes_left, ports }
    }

    fn text(&self) -> String {
        let Self { transposes, transposes_left, ports } = self;
        let counted = format!("transposes: {transposes} in the file, {transposes_left} left");
        ports.iter().cloned().chain([counted]).collect::<Vec<_>>().join("\n")
    }
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
    #[serde(skip_serializing_if = "Option::is_none")]
    layout: Option<Layout>,
}

impl Import {
    pub fn run(&self, output: &Output) -> Result<()> {
        let to_checkpoint =
            self.checkpoint || self.output.extension().is_some_and(|extension| extension == "safetensors");
        if to_checkpoint {
            self.packing.none()?;
        }
        let (mut graph, layout) = self.graph(output)?;
        if self.float {
            graph = quant::to_float(&graph)?;
        }
        // Integer weights stay as they are, and in an image all: only what is float can learn.
        let float = graph.parameter_tensors().iter().all(|t| graph.tensor(*t).dtype == DType::F32);
        graph.set_trainable(if to_checkpoint && float { &Selection::All } else { &Selection::None })?;
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
            layout,
        };
        output.text(layer_table(&graph));
        output.simplified(&line.simplified);
        if to_checkpoint {
            Checkpoint::new(graph).save(&self.output)?;
        } else {
            let packed = image::pack(&graph, &PackOptions { samples: self.samples, ..self.packing.options()? }, None)?;
            self.packing.check(&packed)?;
            let parsed = packed.image()?;
            line.flash_bytes = Some(parsed.header().image_bytes);
            line.arena_bytes = Some(parsed.arena_bytes());
            files::write(&self.output, &packed.file_bytes(&graph))?;
        }
        let sizes = match (line.flash_bytes, line.arena_bytes) {
            (Some(flash), Some(arena)) => format!(": flash {} B, RAM {} B", grouped(flash), grouped(arena as u64)),
            _ => String::new(),
        };
        if let Some(layout) = &line.layout {
            output.text(layout.text());
        }
        output.text(format_args!("{}{sizes}", self.output.display()));
        output.json(&line);
        Ok(())
    }

    /// The network in the file, and what became of an ONNX model's axes.
    fn graph(&self, output: &Output) -> Result<(Graph, Option<Layout>)> {
        let kind = kind(&self.model)?;
        if let Some(graph) = &self.graph {
            if kind != Kind::Safetensors {
                let advice = kind.advice();
                bail!("{}: --graph is for weights in a safetensors file; {advice}", self.model.display());
            }
            return Ok((self.state_dict(output, graph)?, None));
        }
        if kind == Kind::Onnx {
            let options = onnx::Options { shapes: self.shapes.iter().cloned().collect(), ..Default::default() };
            let imported = onnx::load(&self.model, &options)?;
            let layout = Layout::of(&imported);
            return Ok((imported.graph, Some(layout)));
        }
        if !self.shapes.is_empty() {
            bail!("--shape is for ONNX models; {} says its shapes itself", self.model.display());
        }
        Ok((read_graph(&self.model)?, None))
    }

    /// Weights of a PyTorch state dict in a network that is described elsewhere.
    fn state_dict(&self, output: &Output, graph: &Path) -> Result<Graph> {
        let mut graph = match graph.extension().and_then(|e| e.to_str()) {
            Some("toml") => {
                let experiment = Experiment::read(graph)?;
                experiment.build(&experiment.load()?.train)?
            }
            _ => read_checkpoint(graph)?.graph,
        };
        let matched = state_dict::apply(&mut graph, &files::read(&self.model)?, &self.map)
            .with_context(|| self.model.display().to_string())?;
        let mut table = text_table(&["layer", "module", "values"], 2);
        for row in &matched {
            table.add_row([row.layer.clone(), row.module.clone(), grouped(row.values as u64)]);
        }
        output.text(table);
        Ok(graph)
    }
}

/// `LAYER=MODULE`
fn pair(text: &str) -> Result<(String, String), String> {
    let (layer, module) = text.split_once('=').ok_or("write LAYER=MODULE, such as dense=fc1")?;
    Ok((layer.into(), module.into()))
}
