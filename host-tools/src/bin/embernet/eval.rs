//! `embernet eval`: how good a model is.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use embernet::data::{Dataset, Labels};
use embernet::engine::{self, Place};
use embernet::graph::text_table;
use embernet::train::metrics::{self, ClassScore, Confusion};
use embernet::train::predict;
use embernet_core::image::Image;
use serde::Serialize;

use crate::args::{DataArgs, PlaceArgs};
use crate::model::{Facts, Model};
use crate::output::Output;
use crate::progress;

/// Judge a checkpoint or an image on labelled data.
#[derive(Debug, Args)]
pub struct Eval {
    /// A checkpoint (.safetensors) or an image (.emb).
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    place: PlaceArgs,
}

/// How a model did.
#[derive(Debug, Serialize)]
pub struct Verdict {
    pub samples: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mse: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<ClassLine>,
    /// `confusion[truth][predicted]`
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub confusion: Vec<Vec<u64>>,
}

#[derive(Debug, Serialize)]
pub struct ClassLine {
    pub name: String,
    #[serde(flatten)]
    pub score: ClassScore,
}

#[derive(Serialize)]
struct Line {
    done: bool,
    target: String,
    #[serde(flatten)]
    verdict: Verdict,
    #[serde(skip_serializing_if = "Option::is_none")]
    instructions: Option<u64>,
}

impl Eval {
    pub fn run(&self, output: &Output) -> Result<()> {
        let (verdict, instructions) = match Model::read(&self.model)? {
            Model::Checkpoint(checkpoint) => {
                if self.place.on != Place::Host {
                    bail!("{} is a checkpoint; pack it to run it on a device", self.model.display());
                }
                let data = self.data.load(&Facts::of_graph(&checkpoint.graph)?)?;
                (Verdict::new(&data, &predict(&checkpoint.graph, &data.x(), false)?), None)
            }
            Model::Image(bytes) => {
                let image = Image::parse(&bytes)?;
                let data = self.data.load(&Facts::of_image(&image)?)?;
                let input = engine::encode_f32(&data.x(), &image.inputs()[0]);
                let sending = progress::bar("sending", 0);
                let running = progress::bar("running", data.len());
                let (result, cost) = engine::with(
                    &self.place.on,
                    &image,
                    &mut |at| {
                        sending.set_length(at.total as u64);
                        sending.set_position(at.done as u64);
                    },
                    |engine| -> Result<_> {
                        sending.finish_and_clear();
                        let result = engine.infer(&input, &mut |done| running.set_position(done as u64))?;
                        Ok((result, engine.cost()?))
                    },
                )?;
                running.finish_and_clear();
                let outputs = engine::decode_f32(&result, &image.outputs()[0]);
                let instructions = cost.infer_instructions.map(|total| total / cost.inferences.max(1));
                (Verdict::new(&data, &outputs), instructions)
            }
        };
        output.text(&verdict);
        output.json(&Line { done: true, target: self.place.on.to_string(), verdict, instructions });
        Ok(())
    }
}

impl Verdict {
    /// Compares `[samples, outputs]` with the labels.
    pub fn new(data: &Dataset, outputs: &[f32]) -> Self {
        match data.labels() {
            Labels::Class { ids, names } => {
                let mut matrix = Confusion::new(names.clone());
                matrix.add_outputs(ids, outputs);
                Self::of(&matrix)
            }
            Labels::Values { values, .. } => Self::of_values(values, data.len(), outputs),
            Labels::Samples { .. } => Self::of_values(&data.x(), data.len(), outputs),
        }
    }

    fn of_values(values: &[f32], samples: usize, outputs: &[f32]) -> Self {
        let mse = Some(metrics::mse(values, outputs));
        Self { samples, accuracy: None, mse, classes: Vec::new(), confusion: Vec::new() }
    }

    /// What a confusion matrix says.
    pub fn of(matrix: &Confusion) -> Self {
        let classes = 0..matrix.names().len();
        let row = |truth| classes.clone().map(|predicted| matrix.count(truth, predicted)).collect();
        let named = matrix.names().iter().zip(matrix.scores());
        Self {
            samples: matrix.total() as usize,
            accuracy: Some(matrix.accuracy()),
            mse: None,
            classes: named.map(|(name, score)| ClassLine { name: name.clone(), score }).collect(),
            confusion: classes.clone().map(row).collect(),
        }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.classes.is_empty() {
            let taken = self.classes.iter().map(|class| class.name.as_str());
            let header: Vec<&str> =
                ["truth \\ taken for"].into_iter().chain(taken).chain(["precision", "recall"]).collect();
            let mut table = text_table(&header, 1);
            for (class, row) in self.classes.iter().zip(&self.confusion) {
                let counts = row.iter().map(|&count| if count == 0 { ".".into() } else { count.to_string() });
                let scores = [class.score.precision, class.score.recall].map(|score| format!("{score:.3}"));
                table.add_row([class.name.clone()].into_iter().chain(counts).chain(scores));
            }
            writeln!(f, "{table}")?;
        }
        match (self.accuracy, self.mse) {
            (Some(accuracy), _) => write!(f, "accuracy {accuracy:.4} on {} samples", self.samples),
            (None, mse) => write!(f, "mean squared error {:.6} on {} samples", mse.unwrap_or(0.0), self.samples),
        }
    }
}
