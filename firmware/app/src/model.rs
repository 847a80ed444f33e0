//! What the requests do to a running model.

use embernet_core::adapt::watch::Watch;
use embernet_core::arch::Isa;
use embernet_core::exec::{Evaluation, PlanKind, Session};
use embernet_core::image::{Image, TensorRecord};
use embernet_core::memory::Memory;
use embernet_core::plan::{Stored, TRAINS, WATCHES};
use embernet_core::wire::{Buffer, Fault, Hyper, MAX_CHUNK, ModelInfo};

use crate::store::{Active, verify};

/// The active image at work.
#[derive(Debug)]
pub(crate) struct Model<'a, I> {
    active: Active,
    bytes: &'a [u8],
    session: Session<'a, I>,
    /// Samples inferred since the model was started.
    pub inferences: u32,
    pub watch: Watch,
}

impl<'a, I: Isa> Model<'a, I> {
    /// Starts the image in `bytes`, which the store has found to be whole, now or once.
    #[inline(never)]
    pub fn start(active: Active, bytes: &'a [u8], arena: &'a mut [u8], isa: I) -> Result<Self, Fault> {
        let image = Image::parse_without_data_crc(bytes).map_err(Fault::Image)?;
        let session = Session::new(&image, arena, isa).map_err(Fault::Session)?;
        Ok(Self { active, bytes, session, inferences: 0, watch: Watch::default() })
    }

    /// Reads the whole image: is it still what was written?
    pub fn verify(&self) -> Result<(), Fault> {
        verify(self.bytes, self.active.record.crc)
    }

    pub fn info(&self) -> ModelInfo {
        let Active { slot, record } = self.active;
        ModelInfo {
            slot,
            generation: record.generation,
            bytes: record.bytes,
            crc: record.crc,
            arena_bytes: self.arena_bytes(),
            params_bytes: len_u32(self.session.params()),
        }
    }

    pub fn arena_bytes(&self) -> u32 {
        self.session.image().arena_bytes() as u32
    }

    pub fn updates(&self) -> u32 {
        self.session.updates()
    }

    /// Checksum of the image.
    pub fn crc(&self) -> u32 {
        self.active.record.crc
    }

    /// The session, for what is kept of it.
    pub fn session(&mut self) -> &mut Session<'a, I> {
        &mut self.session
    }

    pub fn reset(&mut self) {
        self.session.reset();
        self.inferences = 0;
    }

    pub fn set(&mut self, hyper: Hyper) {
        match hyper {
            Hyper::Lr(lr) => self.session.set_lr(lr),
            Hyper::Updates(updates) => self.session.set_updates(updates),
        }
    }

    pub fn infer(&mut self, samples: u16) -> Result<(), Fault> {
        self.session.infer(usize::from(samples)).map_err(Fault::Session)?;
        self.inferences = self.inferences.saturating_add(u32::from(samples));
        Ok(())
    }

    /// Shows the watch the samples that inference is going to take.
    #[inline(never)]
    pub fn watch_inputs(&mut self, samples: u16) {
        if let Some(tensor) = self.session.image().inputs().first().copied() {
            let bytes = tensor.sample_bytes().saturating_mul(samples.into());
            let inputs = self.session.input_mut(PlanKind::Infer, 0);
            self.watch.observe_inputs(&tensor, inputs.get(..bytes).unwrap_or_default());
        }
    }

    /// And what they gave.
    #[inline(never)]
    pub fn watch_outputs(&mut self, samples: u16) {
        if let Some(tensor) = self.session.image().outputs().first() {
            let bytes = tensor.sample_bytes().saturating_mul(samples.into());
            self.watch.observe_outputs(tensor, self.session.output(0).get(..bytes).unwrap_or_default());
        }
    }

    /// Runs inference and writes what steps `first` and following took into `ticks`, as little-endian words, as many as
    /// it takes and there are. Gives the bytes written.
    pub fn profile(
        &mut self,
        samples: u16,
        first: u16,
        mut now: impl FnMut() -> u32,
        overhead: u32,
        ticks: &mut [u8],
    ) -> Result<usize, Fault> {
        let mut places = ticks.as_chunks_mut::<4>().0.iter_mut();
        let mut written = 0;
        let mut last = now();
        let observe = |step, _: Stored<'_>, _: &Memory<'_>| {
            let step_ticks = now().wrapping_sub(last).saturating_sub(overhead);
            if step >= usize::from(first)
                && let Some(place) = places.next()
            {
                *place = step_ticks.to_le_bytes();
                written += 4;
            }
            last = now();
        };
        self.session.infer_observed(usize::from(samples), observe).map_err(Fault::Session)?;
        self.inferences = self.inferences.saturating_add(u32::from(samples));
        Ok(written)
    }

    /// Shows the normalisation of inputs so many samples, or with none of them has it done.
    pub fn normalise(&mut self, samples: u16) -> Result<(), Fault> {
        let done = if samples == 0 { self.session.normalise() } else { self.session.measure(samples.into()) };
        done.map_err(Fault::Session)
    }

    /// One training step, or with `learns` off an evaluation.
    pub fn train(&mut self, samples: u16, learns: bool) -> Result<Evaluation, Fault> {
        let found = self.session.train_or_evaluate(usize::from(samples), learns).map_err(Fault::Session)?;
        if WATCHES && learns {
            self.watch.observe_loss(found.loss);
        }
        Ok(found)
    }

    /// Puts one sample into input 0; checks first that its output can be returned in one chunk.
    pub fn prepare_one(&mut self, data: &[u8]) -> Result<(), Fault> {
        let image = self.session.image();
        let bytes = |tensors: &[TensorRecord]| tensors.first().map_or(0, TensorRecord::sample_bytes);
        let (input, output) = (bytes(image.inputs()), bytes(image.outputs()));
        if output > MAX_CHUNK {
            return Err(Fault::TooLong { need: output as u32, have: MAX_CHUNK as u32 });
        }
        if data.len() != input {
            return Err(Fault::OutOfRange { need: len_u32(data), have: input as u32 });
        }
        self.write(Buffer::Input(0), 0, data)
    }

    /// Output 0 of the first sample.
    pub fn one_output(&mut self) -> &[u8] {
        let bytes = self.session.image().outputs().first().map_or(0, TensorRecord::sample_bytes);
        self.session.output_mut(0).get(..bytes).unwrap_or_default()
    }

    pub fn write(&mut self, buffer: Buffer, offset: u32, data: &[u8]) -> Result<(), Fault> {
        if matches!(buffer, Buffer::Output(_)) {
            return Err(Fault::ReadOnly);
        }
        copy(self.part(buffer, offset, data.len())?, data);
        Ok(())
    }

    pub fn read(&mut self, buffer: Buffer, offset: u32, bytes: u16) -> Result<&[u8], Fault> {
        let bytes = usize::from(bytes);
        if bytes > MAX_CHUNK {
            return Err(Fault::TooLong { need: bytes as u32, have: MAX_CHUNK as u32 });
        }
        self.part(buffer, offset, bytes).map(|part| &*part)
    }

    /// A piece of a buffer, if the buffer exists and reaches that far.
    #[inline(never)]
    fn part(&mut self, buffer: Buffer, offset: u32, bytes: usize) -> Result<&mut [u8], Fault> {
        let place = match buffer {
            Buffer::Input(index) => self.session.input_mut(PlanKind::Infer, usize::from(index)),
            Buffer::Output(index) => self.session.output_mut(usize::from(index)),
            Buffer::TrainInput(index) if TRAINS => self.session.input_mut(PlanKind::Train, usize::from(index)),
            Buffer::Target if TRAINS => self.session.target_mut(),
            Buffer::Params if TRAINS => self.session.params_mut(),
            Buffer::State if TRAINS => self.session.optimizer_state_mut(),
            Buffer::TrainInput(_) | Buffer::Target | Buffer::Params | Buffer::State => return Err(Fault::NoBuffer),
        };
        if place.is_empty() {
            return Err(Fault::NoBuffer);
        }
        let end = (offset as usize).saturating_add(bytes);
        let have = len_u32(place);
        place.get_mut(offset as usize..end).ok_or(Fault::OutOfRange { need: end as u32, have })
    }
}

/// As many bytes as both have.
pub(crate) fn copy<'b>(to: &mut [u8], from: impl IntoIterator<Item = &'b u8>) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

fn len_u32(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}
