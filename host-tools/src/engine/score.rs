//! How well a model does, summed up over batches.

use embernet_core::image::{Image, TensorRecord};

use super::{EngineError, samples, single};

/// How well a model does on some samples.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Score {
    /// Mean loss; 0 without samples.
    pub loss: f64,
    /// Right answers, where the loss is a cross-entropy; else 0.
    pub right: u64,
    /// How many samples.
    pub samples: u64,
}

impl Score {
    /// The share of right answers; 0 without samples.
    pub fn accuracy(&self) -> f64 {
        self.right as f64 / self.samples.max(1) as f64
    }

    /// Of samples that go to `batch` as many at a time as one training step of `image` takes; it gives their mean loss
    /// and how many answers were right.
    pub(super) fn of(
        image: &Image<'_>,
        input: &[u8],
        target: &[u8],
        mut batch: impl FnMut(&[u8], &[u8]) -> Result<(f32, u32), EngineError>,
    ) -> Result<Self, EngineError> {
        let (x, y) = sample_bytes(image)?;
        let most = (image.header().train.samples as usize).max(1);
        let total = samples("input", input.len(), x)?;
        if target.len() != total * y {
            return Err(EngineError::Length { what: "target", found: target.len(), expected: total * y });
        }
        let (mut loss, mut right) = (0.0, 0);
        for (input, target) in input.chunks(most * x).zip(target.chunks(most * y)) {
            let (mean, found) = batch(input, target)?;
            loss += f64::from(mean) * (input.len() / x) as f64;
            right += u64::from(found);
        }
        Ok(Self { loss: loss / total.max(1) as f64, right, samples: total as u64 })
    }
}

/// Bytes of one sample's training input and target.
pub(super) fn sample_bytes(image: &Image<'_>) -> Result<(usize, usize), EngineError> {
    let target = image.target().map_or(1, TensorRecord::sample_bytes);
    Ok((single("training inputs", image.train_inputs())?, target.max(1)))
}
