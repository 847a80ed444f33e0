//! Work with a model on the device: send it, run it, train it, read back what it learned.

use embernet_core::checksum::crc32;
use embernet_core::image::{Image, TensorRecord};
use embernet_core::wire::{Buffer, Hyper, MAX_CHUNK, ModelState, Request};

use super::client::Reply;
use super::{Client, LinkError};

/// What an upload did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Upload {
    /// Bytes sent; 0 when the device had the image already.
    pub sent: usize,
    /// The slot of the image.
    pub slot: u8,
    /// Its generation.
    pub generation: u32,
}

/// What one inference gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Every output's bytes, samples one after another.
    pub outputs: Vec<Vec<u8>>,
    /// Ticks of the device's counter over all samples; `None` when they were not asked for.
    pub ticks: Option<u64>,
}

/// What one training step gave.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainStep {
    /// Mean loss of the samples before the update.
    pub loss: f32,
    /// Ticks of the device's counter.
    pub ticks: u64,
}

/// How well a model did on a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evaluated {
    /// Mean loss of the samples.
    pub loss: f32,
    /// Right answers, where the loss is a cross-entropy; else 0.
    pub right: u32,
    /// Ticks of the device's counter.
    pub ticks: u64,
}

impl Client {
    /// Makes `image` the device's model, with the image's own parameters: sends it unless the
    /// device has it, and forgets what was learned before.
    ///
    /// `progress` hears bytes done and bytes in all.
    pub fn load(&mut self, image: &Image<'_>, progress: impl FnMut(usize, usize)) -> Result<Upload, LinkError> {
        let upload = self.load_keeping(image, progress)?;
        if upload.sent == 0 {
            self.reset()?;
        }
        Ok(upload)
    }

    /// [`Client::load`], but a device that has the image keeps what it has learned with it.
    pub fn load_keeping(
        &mut self,
        image: &Image<'_>,
        mut progress: impl FnMut(usize, usize),
    ) -> Result<Upload, LinkError> {
        let info = self.info()?;
        let bytes = image.bytes();
        let crc = crc32(bytes);
        if let ModelState::Ready(model) = info.model
            && model.crc == crc
            && model.bytes as usize == bytes.len()
        {
            progress(bytes.len(), bytes.len());
            return Ok(Upload { sent: 0, slot: model.slot, generation: model.generation });
        }
        let (need, have) = (bytes.len() as u64, u64::from(info.slot_bytes));
        if need > have {
            return Err(LinkError::ImageTooLarge { board: info.board, need, have });
        }
        let (need, have) = (image.arena_bytes() as u64, u64::from(info.arena_bytes));
        if need > have {
            return Err(LinkError::ArenaTooSmall { board: info.board, need, have });
        }
        self.upload(bytes, crc, image.arena_bytes() as u32, &mut progress)
    }

    /// Sends an image without looking at it first. The device checks it; [`Client::load`] is the
    /// friendly way.
    pub fn upload(
        &mut self,
        image: &[u8],
        crc: u32,
        arena_bytes: u32,
        progress: &mut impl FnMut(usize, usize),
    ) -> Result<Upload, LinkError> {
        let begin = Request::ModelBegin { bytes: image.len() as u32, crc, arena_bytes };
        self.order("begin transfer", &begin)?;
        let mut done = 0;
        for data in image.chunks(MAX_CHUNK) {
            progress(done, image.len());
            self.order("send image", &Request::ModelChunk { offset: done as u32, data })?;
            done += data.len();
        }
        let reply = self.ask("commit", &Request::ModelCommit)?;
        let Reply::Committed(slot, generation) = reply else {
            return Err(LinkError::Unexpected { request: "commit" });
        };
        progress(done, image.len());
        Ok(Upload { sent: done, slot, generation })
    }

    /// Writes what the device has learned to its flash, where its next start finds it. Gives the checkpoint's
    /// generation.
    pub fn checkpoint(&mut self) -> Result<u32, LinkError> {
        match self.ask("checkpoint", &Request::Checkpoint)? {
            Reply::Committed(_, generation) => Ok(generation),
            _ => Err(LinkError::Unexpected { request: "checkpoint" }),
        }
    }

    /// Forgets what was learned, on flash too: the image's own parameters are back for good.
    pub fn forget(&mut self) -> Result<(), LinkError> {
        self.order("forget", &Request::Forget)
    }

    /// Runs the device's model, which must be `image`, over any number of samples.
    ///
    /// `inputs` has one entry per input of the model: raw bytes of its type, samples one after
    /// another. With `timed` the device's counter is read for every run, which takes longer.
    pub fn infer(&mut self, image: &Image<'_>, inputs: &[&[u8]], timed: bool) -> Result<Run, LinkError> {
        let samples = samples_of("input", image.inputs(), inputs)?;
        let outputs = image.outputs();
        let mut run = Run { outputs: vec![Vec::new(); outputs.len()], ticks: timed.then_some(0) };
        let one = |tensors: &[TensorRecord]| tensors.len() == 1 && tensors[0].sample_bytes() <= MAX_CHUNK;
        if one(image.inputs()) && one(outputs) {
            let bytes = image.inputs()[0].sample_bytes();
            for data in inputs[0].chunks(bytes) {
                match self.ask("infer", &Request::InferOne { data })? {
                    Reply::Data(output) => run.outputs[0].extend(output),
                    _ => return Err(LinkError::Unexpected { request: "infer" }),
                }
                if let Some(ticks) = &mut run.ticks {
                    *ticks += u64::from(self.stats()?.last_ticks);
                }
            }
            return Ok(run);
        }
        let batch = (image.header().infer.samples as usize).min(usize::from(u16::MAX));
        for first in (0..samples).step_by(batch) {
            let count = batch.min(samples - first);
            for (index, (tensor, data)) in image.inputs().iter().zip(inputs).enumerate() {
                self.write(Buffer::Input(index as u8), part(tensor, data, first, count))?;
            }
            match self.ask("infer", &Request::Infer { samples: count as u16 })? {
                Reply::Ran(ticks) => run.ticks = run.ticks.map(|sum| sum + ticks),
                _ => return Err(LinkError::Unexpected { request: "infer" }),
            }
            for (index, (tensor, output)) in outputs.iter().zip(&mut run.outputs).enumerate() {
                output.extend(self.read(Buffer::Output(index as u8), count * tensor.sample_bytes())?);
            }
        }
        Ok(run)
    }

    /// Ticks of every step of one inference. `inputs` as for [`Client::infer`], at most as many samples as one run
    /// carries.
    pub fn profile(&mut self, image: &Image<'_>, inputs: &[&[u8]]) -> Result<Vec<u32>, LinkError> {
        let samples = samples_of("input", image.inputs(), inputs)?;
        let samples = u16::try_from(samples).unwrap_or(u16::MAX);
        let steps = image.infer_plan().len();
        let mut ticks = Vec::with_capacity(steps);
        while ticks.len() < steps {
            // Runs overwrite their inputs.
            for (index, data) in inputs.iter().enumerate() {
                self.write(Buffer::Input(index as u8), data)?;
            }
            let first = u16::try_from(ticks.len()).unwrap_or(u16::MAX);
            match self.ask("profile", &Request::Profile { samples, first })? {
                Reply::Data(words) if !words.is_empty() => {
                    ticks.extend(words.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)));
                }
                _ => return Err(LinkError::Unexpected { request: "profile" }),
            }
        }
        Ok(ticks)
    }

    /// Has the device read its whole image again: is it still what was sent?
    pub fn verify(&mut self) -> Result<(), LinkError> {
        self.order("verify", &Request::Verify)
    }

    /// One training step of the device's model, which must be `image`.
    ///
    /// `inputs` has one entry per training input, `target` is the target tensor's: 32-bit class
    /// indices or f32 values. The number of samples follows from their lengths.
    pub fn train_step(&mut self, image: &Image<'_>, inputs: &[&[u8]], target: &[u8]) -> Result<TrainStep, LinkError> {
        let samples = self.write_batch(image, inputs, target)?;
        match self.ask("train", &Request::Train { samples })? {
            Reply::Trained(loss, ticks) => Ok(TrainStep { loss, ticks }),
            _ => Err(LinkError::Unexpected { request: "train" }),
        }
    }

    /// How well the device's model, which must be `image`, does on a batch; nothing that it has learned changes.
    ///
    /// `inputs` and `target` as for [`Client::train_step`].
    pub fn evaluate(&mut self, image: &Image<'_>, inputs: &[&[u8]], target: &[u8]) -> Result<Evaluated, LinkError> {
        let samples = self.write_batch(image, inputs, target)?;
        let Reply::Data(bytes) = self.ask("evaluate", &Request::Evaluate { samples })? else {
            return Err(LinkError::Unexpected { request: "evaluate" });
        };
        match bytes.as_chunks().0 {
            [loss, right, ticks] => Ok(Evaluated {
                loss: f32::from_le_bytes(*loss),
                right: u32::from_le_bytes(*right),
                ticks: u32::from_le_bytes(*ticks).into(),
            }),
            _ => Err(LinkError::Unexpected { request: "evaluate" }),
        }
    }

    /// Brings the inputs of the device's model, which must be `image`, back to what it was trained on: shows it these
    /// samples, raw bytes of its one input, and has its tables made of them. Gives the ticks of the device's counter.
    pub fn normalise(&mut self, image: &Image<'_>, input: &[u8]) -> Result<u64, LinkError> {
        let total = samples_of("input", image.inputs(), &[input])?;
        let batch = (image.header().infer.samples as usize).clamp(1, usize::from(u16::MAX));
        let mut ticks = 0;
        for first in (0..total).step_by(batch) {
            let count = batch.min(total - first);
            self.write(Buffer::Input(0), part(&image.inputs()[0], input, first, count))?;
            ticks += self.measure(count as u16)?;
        }
        Ok(ticks + self.measure(0)?)
    }

    /// Shows so many samples of what lies in the model's input to the normalisation of inputs, or with 0 has it make its
    /// tables. Gives the ticks of the device's counter.
    pub fn measure(&mut self, samples: u16) -> Result<u64, LinkError> {
        match self.ask("normalise", &Request::Normalise { samples })? {
            Reply::Ran(ticks) => Ok(ticks),
            _ => Err(LinkError::Unexpected { request: "normalise" }),
        }
    }

    /// Puts samples where training finds them, and says how many they are.
    fn write_batch(&mut self, image: &Image<'_>, inputs: &[&[u8]], target: &[u8]) -> Result<u16, LinkError> {
        let samples = samples_of("training input", image.train_inputs(), inputs)?;
        let wanted = image.target().map_or(0, TensorRecord::sample_bytes).saturating_mul(samples);
        if target.len() != wanted {
            return Err(LinkError::Length { what: "target", found: target.len(), expected: wanted });
        }
        for (index, data) in inputs.iter().enumerate() {
            self.write(Buffer::TrainInput(index as u8), data)?;
        }
        self.write(Buffer::Target, target)?;
        Ok(u16::try_from(samples).unwrap_or(u16::MAX))
    }

    /// The trainable parameters as they are now, in the image's layout.
    pub fn params(&mut self, image: &Image<'_>) -> Result<Vec<u8>, LinkError> {
        match image.header().param_bytes {
            0 => Ok(Vec::new()),
            bytes => self.read(Buffer::Params, bytes as usize),
        }
    }

    /// The optimiser's state as it is now.
    pub fn state(&mut self, image: &Image<'_>) -> Result<Vec<u8>, LinkError> {
        let header = image.header();
        match header.persistent_bytes.saturating_sub(header.param_bytes) {
            0 => Ok(Vec::new()),
            bytes => self.read(Buffer::State, bytes as usize),
        }
    }

    /// Forgets what was learned.
    pub fn reset(&mut self) -> Result<(), LinkError> {
        self.order("reset", &Request::Reset)
    }

    /// Sets the learning rate from the next step on.
    pub fn set_lr(&mut self, lr: f32) -> Result<(), LinkError> {
        self.order("set learning rate", &Request::SetHyper(Hyper::Lr(lr)))
    }

    /// Says how many updates have been done. Passes of an update that is not done count no more.
    pub fn set_updates(&mut self, updates: u32) -> Result<(), LinkError> {
        self.order("set updates", &Request::SetHyper(Hyper::Updates(updates)))
    }

    /// Writes the front of a buffer, in as many pieces as it takes.
    pub fn write(&mut self, buffer: Buffer, bytes: &[u8]) -> Result<(), LinkError> {
        let mut offset = 0;
        for data in bytes.chunks(MAX_CHUNK) {
            self.order("write", &Request::Write { buffer, offset, data })?;
            offset += data.len() as u32;
        }
        Ok(())
    }

    /// Reads the front of a buffer, in as many pieces as it takes.
    pub fn read(&mut self, buffer: Buffer, bytes: usize) -> Result<Vec<u8>, LinkError> {
        let mut all = Vec::with_capacity(bytes);
        while all.len() < bytes {
            let count = (bytes - all.len()).min(MAX_CHUNK);
            let request = Request::Read { buffer, offset: all.len() as u32, bytes: count as u16 };
            match self.ask("read", &request)? {
                Reply::Data(data) if data.len() == count => all.extend(data),
                _ => return Err(LinkError::Unexpected { request: "read" }),
            }
        }
        Ok(all)
    }
}

/// How many samples the data of all tensors holds; an error unless they agree.
fn samples_of(what: &'static str, tensors: &[TensorRecord], data: &[&[u8]]) -> Result<usize, LinkError> {
    let bytes: usize = data.iter().map(|bytes| bytes.len()).sum();
    let one = tensors.iter().map(TensorRecord::sample_bytes).fold(0, usize::saturating_add);
    let samples = bytes.checked_div(one).unwrap_or(0);
    let agree = |(tensor, bytes): (&TensorRecord, &&[u8])| tensor.sample_bytes() * samples == bytes.len();
    if tensors.len() == data.len() && tensors.iter().zip(data).all(agree) {
        Ok(samples)
    } else {
        Err(LinkError::Length { what, found: bytes, expected: one * samples.max(1) })
    }
}

fn part<'d>(tensor: &TensorRecord, data: &'d [u8], first: usize, count: usize) -> &'d [u8] {
    let bytes = tensor.sample_bytes();
    &data[first * bytes..(first + count) * bytes]
}
