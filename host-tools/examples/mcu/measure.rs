//! One model on one board.

use crate::models::Model;
use anyhow::{Context, Result};
use embernet::counting::{self, Count, Counted};
use embernet::image::{self, Optimize, PackOptions, pack};
use embernet::link::{Board, FirmwareOptions, build_firmware};
use embernet_core::arch::IsaId;
use embernet_core::image::Image;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

/// How images are packed.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct How {
    /// What images are packed for: speed, size or ram.
    #[arg(long, value_name = "AIM", default_value = "speed")]
    optimise: Optimize,
    /// Pack no layer in the order of a core's own loops.
    #[arg(long)]
    plain: bool,
}

/// What an inference costs.
#[derive(Debug)]
pub struct Measured {
    pub board: &'static Board,
    pub model: String,
    /// Multiply-accumulates.
    pub macs: u64,
    pub whole: Count,
    pub steps: Vec<Step>,
    pub arena_bytes: usize,
    pub stack_bytes: u32,
    pub image_bytes: usize,
}

/// One step of the plan.
#[derive(Debug)]
pub struct Step {
    pub layer: String,
    pub kind: &'static str,
    pub macs: u64,
    pub count: Count,
}

/// Every model on every board, in order; as many at a time as the machine has processors.
pub fn all<'m>(
    boards: &[&'static Board],
    models: &'m [Model],
    how: How,
) -> Vec<(&'static Board, &'m Model, Result<Measured>)> {
    // One build after the other: they share a target folder.
    let programs: Vec<Result<PathBuf, String>> = boards
        .iter()
        .map(|board| build_firmware(board, &FirmwareOptions::default()).map_err(|error| error.to_string()))
        .collect();
    let jobs: Vec<_> = models
        .iter()
        .flat_map(|model| boards.iter().zip(&programs).map(move |(board, program)| (*board, model, program)))
        .collect();
    let next = Mutex::new(jobs.iter().enumerate());
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, std::num::NonZero::get) {
            scope.spawn(|| {
                while let Some((number, (board, model, program))) = next.lock().ok().and_then(|mut jobs| jobs.next()) {
                    let program = program.as_ref().map_err(|error| anyhow::anyhow!("{error}"));
                    let result = program.and_then(|program| one(board, model, how, program));
                    if let Ok(mut done) = done.lock() {
                        done.push((number, (*board, *model, result)));
                    }
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_default();
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

fn one(board: &'static Board, model: &Model, how: How, program: &Path) -> Result<Measured> {
    let isa = if how.plain { IsaId::Scalar } else { board.isa };
    let options = PackOptions { isa, optimize: how.optimise, ..PackOptions::default() };
    let packed = pack(&model.graph, &options, None).context("pack")?;
    let image = packed.image().context("the packed image")?;
    let counted = count(board, program, &image)?;
    let rows = image::inspect(&image).infer.by_layer(image.inputs().len()).steps;
    let steps: Vec<Step> = rows
        .into_iter()
        .map(|row| Step {
            count: row.steps.iter().filter_map(|step| counted.steps.get(*step).copied()).sum(),
            layer: row.layer,
            kind: row.step,
            macs: row.macs,
        })
        .collect();
    Ok(Measured {
        board,
        model: model.name.clone(),
        macs: steps.iter().map(|step| step.macs).sum(),
        whole: counted.whole,
        steps,
        arena_bytes: image.arena_bytes(),
        stack_bytes: counted.stack_bytes,
        image_bytes: packed.bytes.len(),
    })
}

/// Counts one inference of an image.
pub fn count(board: &Board, program: &Path, image: &Image<'_>) -> Result<Counted> {
    // Bytes as the peers had them: a linear congruential generator's highest.
    let mut state = 1u32;
    let mut sample = |bytes| -> Vec<u8> {
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..bytes).map(|_| next()).collect()
    };
    let inputs: Vec<Vec<u8>> = image.inputs().iter().map(|input| sample(input.sample_bytes())).collect();
    let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
    Ok(counting::count(board, program, image, &inputs)?)
}
