//! `embernet run`: inference, here or on a device.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;
use embernet::data::{Values, write_npy};
use embernet::engine::{self, Profile, StepCost};
use embernet::graph::text_table;
use embernet::image::{self, StepRow};
use embernet_core::image::Image;
use serde::Serialize;

use crate::args::{PlaceArgs, read_samples};
use crate::model::{Facts, read_checkpoint, read_image};
use crate::output::{Output, grouped};
use crate::progress;

/// Run a model over samples.
#[derive(Debug, Args)]
pub struct Run {
    /// The image (.emb).
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// Samples stacked on the first axis (npy or IDX): in the model's own type, or floats, which are
    /// quantised where the model is.
    #[arg(long, value_name = "X.npy")]
    input: PathBuf,
    /// Where the outputs go: in the model's own type if the samples were, else float32.
    #[arg(long, value_name = "Y.npy")]
    output: PathBuf,
    /// Do to the samples what was done to the training data (scaling, standardising).
    #[arg(long)]
    prepare: bool,
    /// Show what every step takes for the first sample: nanoseconds on the host, instructions on an emulated board and
    /// for M3 and M4 an estimate of cycles, ticks on another device.
    #[arg(long)]
    profile: bool,
    /// With --profile: the float model (.safetensors) that the image came from, and how far each of its layers is off.
    #[arg(long, value_name = "FLOAT", requires = "profile")]
    against: Option<PathBuf>,
    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Serialize)]
struct Line {
    done: bool,
    target: String,
    samples: usize,
    /// Of one inference; QEMU counts instructions, not cycles.
    instructions: Option<u64>,
    ticks: Option<u64>,
    seconds: f64,
    arena_bytes: usize,
    stack_bytes: Option<u32>,
    flash_bytes: u32,
    per_layer: Vec<LayerLine>,
}

#[derive(Serialize)]
struct LayerLine {
    #[serde(flatten)]
    step: StepRow,
    /// Of one inference.
    #[serde(flatten)]
    cost: StepCost,
    /// Signal over error against the float model.
    #[serde(skip_serializing_if = "Option::is_none")]
    snr_db: Option<f64>,
}

impl Run {
    pub fn run(&self, output: &Output) -> Result<()> {
        let bytes = read_image(&self.model)?;
        let image = Image::parse(&bytes)?;
        let facts = Facts::of_image(&image)?;
        let (from, to) = (&image.inputs()[0], &image.outputs()[0]);
        let (array, samples) = read_samples(&self.input, from.shape())?;
        let (_, mut values) = array.into_parts();
        if self.prepare {
            let mut x = values.to_f32();
            x.chunks_mut(facts.input.iter().product()).for_each(|sample| facts.preprocessing.apply(sample));
            values = Values::F32(x);
        }
        let raw = !matches!(values, Values::F32(_) | Values::F64(_));
        let input = engine::encode(&values, from).with_context(|| self.input.display().to_string())?;

        let began = Instant::now();
        let sending = progress::bar("sending", 0);
        let running = progress::bar("running", samples);
        let (result, cost, profile) = engine::with(
            &self.place.on,
            &image,
            &mut |at| {
                sending.set_length(at.total as u64);
                sending.set_position(at.done as u64);
            },
            |engine| -> Result<_> {
                sending.finish_and_clear();
                let result = engine.infer(&input, &mut |done| running.set_position(done as u64))?;
                let cost = engine.cost()?;
                let first = input.get(..from.sample_bytes()).unwrap_or_default();
                let profile = if self.profile { engine.profile(first)? } else { Profile::default() };
                Ok((result, cost, profile))
            },
        )?;
        running.finish_and_clear();
        let seconds = began.elapsed().as_secs_f64();

        let values = if raw { engine::decode(&result, to) } else { Values::F32(engine::decode_f32(&result, to)) };
        let shape: Vec<usize> = [samples].into_iter().chain(to.shape().iter().map(|&axis| axis as usize)).collect();
        write_npy(&self.output, &shape, &values)?;

        let snr = match &self.against {
            Some(path) => {
                let float = read_checkpoint(path)?;
                let samples = engine::decode_f32(&input, from);
                engine::signal_to_error(&image, &float.graph, &samples).with_context(|| path.display().to_string())?
            }
            None => Vec::new(),
        };
        let steps = image::inspect(&image).infer.by_layer(image.inputs().len()).steps;
        let per_layer = steps.into_iter().map(|step| LayerLine {
            cost: step.steps.iter().filter_map(|index| profile.steps.get(*index).copied()).sum(),
            snr_db: step.steps.iter().find_map(|index| snr.get(*index).copied().flatten()).filter(|db| db.is_finite()),
            step,
        });
        let one = |total: Option<u64>| total.map(|total| total / cost.inferences.max(1));
        let line = Line {
            done: true,
            target: self.place.on.to_string(),
            samples,
            instructions: one(cost.infer_instructions),
            ticks: one(cost.infer_ticks),
            seconds,
            arena_bytes: image.header().infer.arena_bytes as usize,
            stack_bytes: cost.stack_bytes,
            flash_bytes: image.header().image_bytes,
            per_layer: per_layer.collect(),
        };
        if self.profile {
            output.text(profile_table(&line.per_layer, line.arena_bytes, self.against.is_some()));
            if let Some(note) = &profile.note {
                output.text(note);
            }
        }
        output.text(format_args!(
            "{samples} samples on {} in {seconds:.2} s: flash {} B, arena {} B{}{}; outputs in {}",
            line.target,
            grouped(line.flash_bytes),
            grouped(line.arena_bytes as u64),
            line.stack_bytes.map_or_else(String::new, |bytes| format!(", stack {} B", grouped(bytes))),
            line.instructions.map_or_else(String::new, |count| format!(", {} instructions each", grouped(count))),
            self.output.display(),
        ));
        if let Some(advice) = self.place.advice(&image) {
            output.text(advice);
        }
        output.json(&line);
        Ok(())
    }
}

/// Layer by layer, and what they take together; columns that nothing fills are left out.
fn profile_table(rows: &[LayerLine], arena_bytes: usize, against: bool) -> impl std::fmt::Display {
    type Count = fn(&StepCost) -> Option<u64>;
    let has = |value: Count| rows.iter().any(|row| value(&row.cost).is_some());
    let counts: [(&str, Count); 3] =
        [("instructions", |cost| cost.instructions), ("ticks", |cost| cost.ticks), ("ns", |cost| cost.nanoseconds)];
    // Instructions say the same as an emulated board's ticks, but better.
    let count = counts.into_iter().find(|(_, value)| has(*value));
    let mut columns = vec!["layer", "step", "MACs", "RAM B"];
    columns.extend(count.map(|(title, _)| title));
    let estimated = has(|cost| cost.cycles);
    columns.extend(estimated.then_some("est. cycles"));
    columns.extend(against.then_some("signal/error dB"));
    let mut table = text_table(&columns, 2);
    let mut add = |names: [String; 2], macs: u64, ram: usize, cost: &StepCost, snr: Option<f64>| {
        let mut cells = Vec::from(names);
        cells.extend([grouped(macs), grouped(ram as u64)]);
        cells.extend(count.map(|(_, value)| value(cost).map_or_else(String::new, grouped)));
        cells.extend(estimated.then(|| cost.cycles.map_or_else(String::new, grouped)));
        cells.extend(against.then(|| snr.map_or_else(String::new, |db| format!("{db:.1}"))));
        table.add_row(cells);
    };
    for row in rows {
        add([row.step.layer.clone(), row.step.title()], row.step.macs, row.step.ram_bytes, &row.cost, row.snr_db);
    }
    // Layers share memory: together they take the arena, not the sum.
    let macs = rows.iter().map(|row| row.step.macs).sum();
    add(["total".into(), String::new()], macs, arena_bytes, &rows.iter().map(|row| row.cost).sum(), None);
    table
}
