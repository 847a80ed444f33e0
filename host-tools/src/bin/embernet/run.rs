//! `embernet run`: inference, here or on a device.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use embernet::data::{Values, write_npy};
use embernet::engine::{self, Place};
use embernet::graph::text_table;
use embernet::image::{self, StepRow};
use embernet_core::arch::Scalar;
use embernet_core::exec::{PlanKind, Session};
use embernet_core::image::Image;
use serde::Serialize;

use crate::args::{PlaceArgs, read_samples};
use crate::model::{Facts, read_image};
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
    /// Time every step (on the host).
    #[arg(long)]
    profile: bool,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    nanoseconds: Option<u64>,
}

impl Run {
    pub fn run(&self, output: &Output) -> Result<()> {
        if self.profile && self.place.on != Place::Host {
            bail!("--profile times the steps of the host; a device times whole inferences");
        }
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
        let seconds = began.elapsed().as_secs_f64();

        let values = if raw { engine::decode(&result, to) } else { Values::F32(engine::decode_f32(&result, to)) };
        let shape: Vec<usize> = [samples].into_iter().chain(to.shape().iter().map(|&axis| axis as usize)).collect();
        write_npy(&self.output, &shape, &values)?;

        let times = if self.profile { Some(profile(&image, &input)?) } else { None };
        let steps = image::inspect(&image).infer.steps;
        let per_layer = steps.into_iter().enumerate().map(|(index, step)| LayerLine {
            step,
            nanoseconds: times.as_ref().and_then(|times| times.get(index).copied()),
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
            let mut table = text_table(&["layer", "step", "ns"], 2);
            for row in &line.per_layer {
                table.add_row([row.step.layer.clone(), row.step.step.into(), grouped(row.nanoseconds.unwrap_or(0))]);
            }
            output.text(table);
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
        output.json(&line);
        Ok(())
    }
}

/// Nanoseconds of every step of one inference: the least of several runs over the first sample.
fn profile(image: &Image<'_>, input: &[u8]) -> Result<Vec<u64>> {
    const RUNS: usize = 20;
    let mut arena = image::arena_for(image);
    let mut session = Session::new(image, &mut arena, Scalar)?;
    let one = image.inputs()[0].sample_bytes();
    let mut best: Vec<u64> = Vec::new();
    for _ in 0..RUNS {
        if let (Some(to), Some(from)) = (session.input_mut(PlanKind::Infer, 0).get_mut(..one), input.get(..one)) {
            to.copy_from_slice(from);
        }
        let mut times = Vec::new();
        let mut last = Instant::now();
        session.infer_observed(1, |_, _, _| {
            times.push(last.elapsed().as_nanos() as u64);
            last = Instant::now();
        })?;
        if best.is_empty() {
            best = times;
        } else {
            best.iter_mut().zip(times).for_each(|(best, time)| *best = time.min(*best));
        }
    }
    Ok(best)
}
