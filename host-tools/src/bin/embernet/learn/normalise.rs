//! Inputs brought back to what a model was trained on, and nothing else.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail};
use embernet::engine::{self, Engine, Learned, Place};
use embernet_core::checksum::crc32;
use embernet_core::image::Image;
use serde::Serialize;

use super::Learn;
use crate::model::{Facts, read_checkpoint};
use crate::output::{Output, grouped};
use crate::progress;

#[derive(Serialize)]
struct Line {
    done: bool,
    target: String,
    /// Samples that were measured.
    normalised: usize,
    seconds: f64,
    /// Of all of it; QEMU counts instructions, not cycles.
    instructions: Option<u64>,
    /// CRC-32 of tables and whatever else is trainable: equal for equal bits.
    weights_crc32: String,
    output: PathBuf,
}

impl Learn {
    /// Has a model's tables made of samples, whose labels nobody needs.
    pub(super) fn normalise_only(&self, output: &Output, bytes: &[u8], image: &Image<'_>) -> Result<()> {
        if !self.normalise {
            bail!("--epochs is 0: nothing would be learned, unless --normalise asks for normalised inputs");
        }
        if self.resume {
            bail!("--resume goes on with training; with --epochs 0 there is none");
        }
        if self.place.on == Place::Host && self.save_every.is_some() {
            bail!("--save-every is for devices, which have flash for what they learn");
        }
        let base = self.base.as_deref().map(read_checkpoint).transpose()?;
        let mut data = self.data.load_unlabelled(&Facts::of_image(image)?)?;
        if self.prepared {
            data.set_preprocessing(Default::default());
        }
        let input = engine::encode_f32(&data.x(), &image.inputs()[0]);
        let began = Instant::now();
        let sending = progress::bar("sending", 0);
        let (params, cost) = engine::with_learned(
            &self.place.on,
            image,
            Learned::Forgotten,
            &mut |at| {
                sending.set_length(at.total as u64);
                sending.set_position(at.done as u64);
            },
            |engine| -> Result<_> {
                sending.finish_and_clear();
                engine.normalise(&input)?;
                self.keep_normalised(engine)?;
                Ok((engine.params()?, engine.cost()?))
            },
        )?;
        self.save(bytes, image, base, &params)?;
        let line = Line {
            done: true,
            target: self.place.on.to_string(),
            normalised: data.len(),
            seconds: began.elapsed().as_secs_f64(),
            instructions: cost.normalise_instructions,
            weights_crc32: format!("{:08x}", crc32(&params)),
            output: self.output.clone(),
        };
        output.text(format_args!(
            "inputs normalised over {} samples on {} in {:.2} s{}: weights {}, in {}",
            line.normalised,
            line.target,
            line.seconds,
            line.instructions.map_or_else(String::new, |count| format!(", {} instructions", grouped(count))),
            line.weights_crc32,
            self.output.display(),
        ));
        output.json(&line);
        Ok(())
    }

    /// Has the device write its tables to flash, if it is to write anything.
    pub(super) fn keep_normalised(&self, engine: &mut dyn Engine) -> Result<()> {
        if self.save_every.is_some() {
            engine.checkpoint()?;
        }
        Ok(())
    }
}
