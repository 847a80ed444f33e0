//! `embernet learn`: training an image's model where it works.

mod check;
mod normalise;
mod show;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use embernet::engine::{self, Learned, Place};
use embernet::files;
use embernet::image::{self, apply_params, source_bytes, with_params};
use embernet::import::checkpoint::Checkpoint;
use embernet::train::Runaway;
use embernet_core::checksum::crc32;
use embernet_core::image::Image;
use embernet_core::rng::Rng;
use serde::Serialize;

use self::check::Check;
use self::show::Show;
use crate::args::{DataArgs, PlaceArgs};
use crate::model::{Facts, read_checkpoint, read_image};
use crate::output::{Output, grouped};
use crate::progress;

/// Train a model on a device; the same flags on the host give the same bits.
#[derive(Debug, Args)]
pub struct Learn {
    /// An image with a training plan (.emb, packed with --train), or with --normalise.
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    place: PlaceArgs,
    /// First bring inputs back to what the model was trained on: the device measures mean and deviation of each channel
    /// over all of the data. For images that were packed with --normalise.
    #[arg(long)]
    normalise: bool,
    /// Passes over the data. With --normalise they may be 0: nothing else is learned then, and the data need no labels.
    #[arg(long, value_name = "N", default_value_t = 1)]
    epochs: u32,
    /// Samples in one step. As many as the image takes by default.
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// The learning rate. The image's by default.
    #[arg(long)]
    lr: Option<f32>,
    /// Shuffle the data before every epoch, from this seed. By default they keep their order.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Have the device write what it has learned to its flash after every so many steps.
    #[arg(long, value_name = "STEPS", value_parser = clap::value_parser!(u64).range(1..))]
    save_every: Option<u64>,
    /// Go on from what the device has learned, which after a loss of power is its last checkpoint: the steps that it has
    /// done are left out, so that with the same data and options the result is that of a training without a break.
    #[arg(long)]
    resume: bool,
    /// Take npy or IDX samples as the network's input, without scaling or standardising.
    #[arg(long)]
    prepared: bool,
    /// The checkpoint that the image was packed from: with it the result is a checkpoint too.
    #[arg(long, value_name = "MODEL.safetensors")]
    base: Option<PathBuf>,
    /// After every epoch have so many samples, spread evenly over the data, evaluated to tell the accuracy. 0: none.
    #[arg(long, value_name = "N", default_value_t = 100)]
    check: usize,
    /// Print a line for every epoch only, in a terminal too.
    #[arg(long)]
    plain: bool,
    /// Where the result goes: an image that starts with what was learned, or (with --base) a
    /// checkpoint that names its parent.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

#[derive(Serialize)]
struct EpochLine {
    epoch: u32,
    steps: u64,
    seconds: f64,
    loss: f64,
    /// Share of right answers among the samples that were checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy: Option<f64>,
}

/// Inputs were normalised.
#[derive(Serialize)]
struct NormalisedLine {
    /// Samples that were measured.
    normalised: usize,
    /// Share of right answers before and after.
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy: Option<[f64; 2]>,
}

#[derive(Serialize)]
struct Line {
    done: bool,
    target: String,
    steps: u64,
    loss: f64,
    seconds: f64,
    /// Of one step; QEMU counts instructions, not cycles.
    instructions: Option<u64>,
    stack_bytes: Option<u32>,
    arena_bytes: u32,
    /// CRC-32 of the trainable parameters: equal for equal bits.
    weights_crc32: String,
    output: PathBuf,
}

impl Learn {
    pub fn run(&self, output: &Output) -> Result<()> {
        let bytes = read_image(&self.model)?;
        let image = Image::parse(&bytes)?;
        if self.normalise && image::normalisation(&image).is_none() {
            bail!("{} does not normalise its inputs; pack it with --normalise", self.model.display());
        }
        if self.epochs == 0 {
            return self.normalise_only(output, &bytes, &image);
        }
        let (Some(target), true) = (image.target(), image.is_trainable()) else {
            bail!("{} has no training plan; pack it with --train", self.model.display());
        };
        let base = self.base.as_deref().map(read_checkpoint).transpose()?;
        let mut data = self.data.load(&Facts::of_image(&image)?)?;
        if self.prepared {
            data.set_preprocessing(Default::default());
        }
        if let Some(lr) = self.lr
            && !(lr.is_finite() && lr > 0.0)
        {
            bail!("--lr is {lr}; it must be a positive number");
        }
        if self.place.on == Place::Host && (self.resume || self.save_every.is_some()) {
            bail!("--resume and --save-every are for devices, which have flash for what they learn");
        }
        let most = image.header().train.samples as usize;
        let batch = self.batch.unwrap_or(most);
        if batch == 0 || batch > most {
            bail!("--batch is {batch}; the image takes 1 to {most} samples in one step");
        }
        let input = engine::encode_f32(&data.x(), &image.train_inputs()[0]);
        let labels = engine::encode_labels(&data.explicit_labels(), target)
            .with_context(|| self.data.data.display().to_string())?;
        let (x_bytes, y_bytes) = (image.train_inputs()[0].sample_bytes(), target.sample_bytes());

        let began = Instant::now();
        let sending = progress::bar("sending", 0);
        let steps_in_epoch = data.len().div_ceil(batch);
        let total = (steps_in_epoch * self.epochs as usize) as u64;
        let check = Check::new(&data, &image, [&input, &labels], self.check);
        let mut show = Show::new(format!("{} learns on {}", self.model.display(), self.place.on), total);
        let (params, cost, loss) = engine::with_learned(
            &self.place.on,
            &image,
            if self.resume { Learned::Kept } else { Learned::Forgotten },
            &mut |at| {
                sending.set_length(at.total as u64);
                sending.set_position(at.done as u64);
            },
            |engine| -> Result<_> {
                sending.finish_and_clear();
                if !self.plain && !output.is_json() {
                    show.open();
                }
                if let Some(lr) = self.lr {
                    engine.set_lr(lr)?;
                }
                let mut order: Vec<usize> = (0..data.len()).collect();
                let mut rng = self.seed.map(Rng::new);
                let (mut x, mut y) = (Vec::new(), Vec::new());
                let passes = u64::from(image.header().optimizer.passes.max(1));
                let done = if self.resume { u64::from(engine.updates()?) * passes } else { 0 };
                if self.normalise && done == 0 {
                    if self.resume {
                        // What was being measured when the power failed counts no more.
                        engine.reset()?;
                    }
                    let before = check.accuracy(engine)?;
                    engine.normalise(&input)?;
                    let after = check.accuracy(engine)?;
                    self.keep_normalised(engine)?;
                    let accuracy = before.zip(after).map(|(before, after)| [before, after]);
                    let judged = accuracy.map_or_else(String::new, |[a, b]| format!("  accuracy {a:.4} -> {b:.4}"));
                    output.json(&NormalisedLine { normalised: data.len(), accuracy });
                    show.tell(output, &format!("inputs normalised over {} samples{judged}", data.len()));
                }
                if done >= total {
                    bail!("the device has done {done} steps, and these are {total}; more --epochs would go on");
                }
                let mut step = 0;
                let mut loss = 0.0;
                for epoch in 1..=self.epochs {
                    if let Some(rng) = &mut rng {
                        rng.shuffle(&mut order);
                    }
                    let (mut sum, mut samples) = (0.0, 0);
                    for rows in order.chunks(batch) {
                        step += 1;
                        if step <= done {
                            continue;
                        }
                        let began = Instant::now();
                        x.clear();
                        y.clear();
                        for &row in rows {
                            x.extend_from_slice(&input[row * x_bytes..(row + 1) * x_bytes]);
                            y.extend_from_slice(&labels[row * y_bytes..(row + 1) * y_bytes]);
                        }
                        let loss = engine.train_step(&x, &y)?;
                        show.step(step, loss, began.elapsed());
                        sum += f64::from(loss) * rows.len() as f64;
                        samples += rows.len();
                        if self.save_every.is_some_and(|every| step.is_multiple_of(every)) {
                            engine.checkpoint()?;
                        }
                    }
                    if samples == 0 {
                        continue;
                    }
                    loss = sum / samples as f64;
                    if (!loss.is_finite() || Runaway::is_hidden(&image))
                        && let Some(runaway) = Runaway::of_params(&image, &engine.params()?)
                    {
                        bail!("learning diverged in epoch {epoch}: {runaway}; a smaller --lr may help");
                    }
                    if !loss.is_finite() {
                        bail!("learning diverged in epoch {epoch}: the loss is {loss}; a smaller --lr may help");
                    }
                    let accuracy = check.accuracy(engine)?;
                    let seconds = began.elapsed().as_secs_f64();
                    output.json(&EpochLine { epoch, steps: step, seconds, loss, accuracy });
                    let judged = accuracy.map_or_else(String::new, |accuracy| format!("  accuracy {accuracy:.4}"));
                    show.epoch(accuracy.map(|accuracy| (accuracy, check.samples())));
                    show.tell(output, &format!("epoch {epoch:4}  loss {loss:.5}{judged}"));
                }
                Ok((engine.params()?, engine.cost()?, loss))
            },
        )?;
        drop(show);

        self.save(&bytes, &image, base, &params)?;
        let line = Line {
            done: true,
            target: self.place.on.to_string(),
            steps: cost.train_steps,
            loss,
            seconds: began.elapsed().as_secs_f64(),
            instructions: cost.train_instructions.map(|total| total / cost.train_steps.max(1)),
            stack_bytes: cost.stack_bytes,
            arena_bytes: image.header().train.arena_bytes,
            weights_crc32: format!("{:08x}", crc32(&params)),
            output: self.output.clone(),
        };
        output.text(format_args!(
            "{} steps on {} in {:.2} s{}: weights {}, in {}",
            line.steps,
            line.target,
            line.seconds,
            line.instructions.map_or_else(String::new, |count| format!(", {} instructions each", grouped(count))),
            line.weights_crc32,
            self.output.display(),
        ));
        if let Some(advice) = self.place.advice(&image) {
            output.text(advice);
        }
        output.json(&line);
        Ok(())
    }

    /// Writes what was learned.
    fn save(&self, bytes: &[u8], image: &Image<'_>, base: Option<Checkpoint>, params: &[u8]) -> Result<()> {
        match base {
            Some(mut checkpoint) => {
                let parent = checkpoint.id()?;
                apply_params(&mut checkpoint.graph, image, params)?;
                checkpoint.parent = Some(parent);
                checkpoint.save(&self.output)?;
            }
            None => {
                let learned = with_params(image, params)?;
                files::write(&self.output, &[&learned[..], source_bytes(bytes)].concat())?;
            }
        }
        Ok(())
    }
}
