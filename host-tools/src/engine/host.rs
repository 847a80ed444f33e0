//! A model on this machine, with the bits of a device.

use std::time::Instant;

use embernet_core::arch::Scalar;
use embernet_core::exec::{PlanKind, Session};
use embernet_core::image::Image;

use super::score::sample_bytes;
use super::{Cost, Engine, EngineError, Profile, Score, StepCost, samples, single};
use crate::image::arena_for;

/// How often a profile runs: other programs disturb, the least disturbed run counts.
const PROFILE_RUNS: usize = 20;

struct Host<'a> {
    session: Session<'a, Scalar>,
    inferences: u64,
}

pub(super) fn with<T, E: From<EngineError>>(
    image: &Image<'_>,
    work: impl FnOnce(&mut dyn Engine) -> Result<T, E>,
) -> Result<T, E> {
    let mut arena = arena_for(image);
    let session = Session::new(image, &mut arena, Scalar).map_err(EngineError::from)?;
    work(&mut Host { session, inferences: 0 })
}

impl Host<'_> {
    /// Puts samples where training finds them, and says how many they are.
    fn fill_batch(&mut self, input: &[u8], target: &[u8]) -> Result<usize, EngineError> {
        let image = *self.session.image();
        let (input_bytes, target_bytes) = sample_bytes(&image)?;
        let count = samples("input", input.len(), input_bytes)?;
        if samples("target", target.len(), target_bytes)? != count {
            return Err(EngineError::Length { what: "target", found: target.len(), expected: target_bytes });
        }
        // The session refuses a wrong count; nothing may be written before.
        let most = image.header().train.samples;
        if image.is_trainable() && count <= most as usize {
            fill(self.session.input_mut(PlanKind::Train, 0), input);
            fill(self.session.target_mut(), target);
        }
        Ok(count)
    }
}

impl Engine for Host<'_> {
    fn infer(&mut self, input: &[u8], progress: &mut dyn FnMut(usize)) -> Result<Vec<u8>, EngineError> {
        let image = *self.session.image();
        let input_bytes = single("inputs", image.inputs())?;
        let output_bytes = single("outputs", image.outputs())?;
        let total = samples("input", input.len(), input_bytes)?;
        let batch = (image.header().infer.samples as usize).max(1);
        let mut output = Vec::with_capacity(total * output_bytes);
        for (number, rows) in input.chunks(batch * input_bytes).enumerate() {
            let count = rows.len() / input_bytes;
            fill(self.session.input_mut(PlanKind::Infer, 0), rows);
            self.session.infer(count)?;
            output.extend_from_slice(self.session.output(0).get(..count * output_bytes).unwrap_or_default());
            self.inferences += count as u64;
            progress(number * batch + count);
        }
        Ok(output)
    }

    fn profile(&mut self, sample: &[u8]) -> Result<Profile, EngineError> {
        samples("input", sample.len(), single("inputs", self.session.image().inputs())?)?;
        let mut best: Vec<u64> = Vec::new();
        for _ in 0..PROFILE_RUNS {
            fill(self.session.input_mut(PlanKind::Infer, 0), sample);
            let mut times = Vec::new();
            let mut last = Instant::now();
            self.session.infer_observed(1, |_, _, _| {
                times.push(last.elapsed().as_nanos() as u64);
                last = Instant::now();
            })?;
            if best.is_empty() {
                best = times;
            } else {
                best.iter_mut().zip(times).for_each(|(best, time)| *best = time.min(*best));
            }
        }
        let cost = |time| StepCost { nanoseconds: Some(time), ..StepCost::default() };
        Ok(Profile { steps: best.into_iter().map(cost).collect(), note: None })
    }

    fn train_step(&mut self, input: &[u8], target: &[u8]) -> Result<f32, EngineError> {
        let count = self.fill_batch(input, target)?;
        Ok(self.session.train_step(count)?)
    }

    fn evaluate(&mut self, input: &[u8], target: &[u8]) -> Result<Score, EngineError> {
        let image = *self.session.image();
        Score::of(&image, input, target, |input, target| {
            let count = self.fill_batch(input, target)?;
            let found = self.session.evaluate(count)?;
            Ok((found.loss, found.right))
        })
    }

    fn normalise(&mut self, input: &[u8]) -> Result<(), EngineError> {
        let image = *self.session.image();
        let bytes = single("inputs", image.inputs())?;
        samples("input", input.len(), bytes)?;
        let batch = (image.header().infer.samples as usize).max(1);
        for rows in input.chunks(batch * bytes) {
            fill(self.session.input_mut(PlanKind::Infer, 0), rows);
            self.session.measure(rows.len() / bytes)?;
        }
        Ok(self.session.normalise()?)
    }

    fn params(&mut self) -> Result<Vec<u8>, EngineError> {
        Ok(self.session.params().to_vec())
    }

    fn set_lr(&mut self, lr: f32) -> Result<(), EngineError> {
        self.session.set_lr(lr);
        Ok(())
    }

    fn updates(&mut self) -> Result<u32, EngineError> {
        let updates = self.session.updates();
        self.session.set_updates(updates);
        Ok(updates)
    }

    fn checkpoint(&mut self) -> Result<u32, EngineError> {
        Err(EngineError::NoDevice)
    }

    fn reset(&mut self) -> Result<(), EngineError> {
        self.session.reset();
        Ok(())
    }

    fn cost(&mut self) -> Result<Cost, EngineError> {
        let train_steps = u64::from(self.session.updates());
        Ok(Cost { inferences: self.inferences, train_steps, ..Cost::default() })
    }
}

fn fill(to: &mut [u8], from: &[u8]) {
    if let Some(to) = to.get_mut(..from.len()) {
        to.copy_from_slice(from);
    }
}
