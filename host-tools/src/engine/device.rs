//! A model on a device.

use embernet_core::image::Image;

use super::{Cost, Engine, EngineError, Learned, Place, Profile, Score, Sending, StepCost, samples, single};
use crate::counting;
use crate::link::{Board, Client, FirmwareOptions, Qemu, QemuOptions, Serial, build_firmware};

pub(super) struct Device<'i> {
    client: Client,
    image: Image<'i>,
    /// The emulated board, which can turn ticks into instructions.
    board: Option<&'static Board>,
    cost: Cost,
}

/// Opens the link to a device and says hello; an emulated one is started first, and comes with its facts.
///
/// # Errors
/// [`EngineError::NoDevice`]: the place is this machine; [`EngineError::Link`]: there is no answer.
pub fn connect(place: &Place) -> Result<(Client, Option<&'static Board>), EngineError> {
    open_link(place, &FirmwareOptions::default())
}

/// [`connect`], to an emulated device whose program has what this image needs.
///
/// # Errors
/// As [`connect`]; [`EngineError::Link`] too where such a program does not build.
pub fn connect_for(place: &Place, image: &Image<'_>) -> Result<(Client, Option<&'static Board>), EngineError> {
    open_link(place, &FirmwareOptions::whole_for(image))
}

/// [`connect`], to an emulated device with a program of these options.
fn open_link(place: &Place, options: &FirmwareOptions) -> Result<(Client, Option<&'static Board>), EngineError> {
    match place {
        Place::Qemu(name) => {
            let board = Board::named(name)?;
            // Most programs need not carry what few images want: one that does is built here.
            let options = options.on(board);
            let whole = options == FirmwareOptions::default();
            let firmware = if whole { board.firmware()? } else { build_firmware(board, &options)? };
            Ok((Client::connect(Qemu::start(board, &firmware, &QemuOptions::default())?)?, Some(board)))
        }
        Place::Serial { port, baud } => Ok((Client::connect(Serial::open(port, *baud)?)?, None)),
        Place::Host => Err(EngineError::NoDevice),
    }
}

/// Samples between two reports of progress.
const STRIDE: usize = 16;

impl<'i> Device<'i> {
    pub(super) fn open(
        place: &Place,
        image: &Image<'i>,
        learned: Learned,
        sending: &mut dyn FnMut(Sending),
    ) -> Result<Self, EngineError> {
        let (mut client, board) = connect_for(place, image)?;
        let sending = |done, total| sending(Sending { done, total });
        match learned {
            Learned::Forgotten => client.load(image, sending)?,
            Learned::Kept => client.load_keeping(image, sending)?,
        };
        Ok(Self { client, image: *image, board, cost: Cost::default() })
    }
}

impl Engine for Device<'_> {
    fn infer(&mut self, input: &[u8], progress: &mut dyn FnMut(usize)) -> Result<Vec<u8>, EngineError> {
        let bytes = single("inputs", self.image.inputs())?;
        single("outputs", self.image.outputs())?;
        samples("input", input.len(), bytes)?;
        let batch = (self.image.header().infer.samples as usize).max(1).next_multiple_of(STRIDE);
        let mut output = Vec::new();
        for (number, rows) in input.chunks(batch * bytes).enumerate() {
            let run = self.client.infer(&self.image, &[rows], true)?;
            output.extend(run.outputs.into_iter().flatten());
            let count = rows.len() / bytes;
            *self.cost.infer_ticks.get_or_insert(0) += run.ticks.unwrap_or(0);
            self.cost.inferences += count as u64;
            progress(number * batch + count);
        }
        Ok(output)
    }

    fn profile(&mut self, sample: &[u8]) -> Result<Profile, EngineError> {
        single("inputs", self.image.inputs())?;
        let ticks = self.client.profile(&self.image, &[sample])?;
        let instructions = |ticks| self.board.and_then(|board| board.instructions(ticks));
        let cost = |ticks| StepCost { ticks: Some(ticks), instructions: instructions(ticks), ..StepCost::default() };
        let mut steps: Vec<StepCost> = ticks.into_iter().map(|ticks| cost(ticks.into())).collect();
        let Some(board) = self.board else { return Ok(Profile { steps, note: None }) };
        // A second QEMU, so that the first need not run with a plugin.
        let counted = counting::count(board, &board.firmware()?, &self.image, &[sample]);
        let note = match counted {
            Ok(counted) => {
                for (step, count) in steps.iter_mut().zip(counted.steps) {
                    (step.instructions, step.cycles) = (Some(count.instructions), count.cycles);
                }
                None
            }
            Err(error) => board.cycles.map(|_| format!("no estimate of cycles: {error}")),
        };
        Ok(Profile { steps, note })
    }

    fn train_step(&mut self, input: &[u8], target: &[u8]) -> Result<f32, EngineError> {
        let step = self.client.train_step(&self.image, &[input], target)?;
        *self.cost.train_ticks.get_or_insert(0) += step.ticks;
        self.cost.train_steps += 1;
        Ok(step.loss)
    }

    fn evaluate(&mut self, input: &[u8], target: &[u8]) -> Result<Score, EngineError> {
        let image = self.image;
        Score::of(&image, input, target, |input, target| {
            let found = self.client.evaluate(&image, &[input], target)?;
            Ok((found.loss, found.right))
        })
    }

    fn normalise(&mut self, input: &[u8]) -> Result<(), EngineError> {
        samples("input", input.len(), single("inputs", self.image.inputs())?)?;
        let ticks = self.client.normalise(&self.image, input)?;
        let counted = self.board.and_then(|board| board.instructions(ticks));
        self.cost.normalise_instructions = counted.map(|count| count + self.cost.normalise_instructions.unwrap_or(0));
        Ok(())
    }

    fn params(&mut self) -> Result<Vec<u8>, EngineError> {
        Ok(self.client.params(&self.image)?)
    }

    fn set_lr(&mut self, lr: f32) -> Result<(), EngineError> {
        Ok(self.client.set_lr(lr)?)
    }

    fn updates(&mut self) -> Result<u32, EngineError> {
        let updates = self.client.stats()?.steps;
        if self.image.header().optimizer.passes > 1 {
            self.client.set_updates(updates)?;
        }
        Ok(updates)
    }

    fn checkpoint(&mut self) -> Result<u32, EngineError> {
        Ok(self.client.checkpoint()?)
    }

    fn reset(&mut self) -> Result<(), EngineError> {
        Ok(self.client.reset()?)
    }

    fn cost(&mut self) -> Result<Cost, EngineError> {
        let stats = self.client.stats()?;
        let instructions =
            |ticks: Option<u64>| self.board.zip(ticks).and_then(|(board, ticks)| board.instructions(ticks));
        Ok(Cost {
            infer_instructions: instructions(self.cost.infer_ticks),
            train_instructions: instructions(self.cost.train_ticks),
            stack_bytes: Some(stats.stack_used),
            ..self.cost.clone()
        })
    }
}
