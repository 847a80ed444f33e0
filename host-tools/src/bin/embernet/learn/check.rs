//! How well a model that learns does by now.

use anyhow::Result;
use embernet::data::{Dataset, Labels};
use embernet::engine::{Engine, Score};
use embernet_core::image::Image;
use embernet_core::plan::Step;

/// Samples with classes that are evaluated now and then.
pub struct Check {
    /// As the model's training wants them.
    input: Vec<u8>,
    target: Vec<u8>,
}

impl Check {
    /// At most `most` of the data, spread evenly; none where the data has no classes or the model does not tell them
    /// apart by a cross-entropy. `input` and `target` are all of the data in bytes.
    pub fn new(data: &Dataset, image: &Image<'_>, [input, target]: [&[u8]; 2], most: usize) -> Self {
        let squares = |step| matches!(step, Step::MeanSquaredError(_) | Step::MeanSquaredErrorFixed(_));
        let has_classes = matches!(data.labels(), Labels::Class { .. }) && !image.train_plan().steps().any(squares);
        if most == 0 || !has_classes {
            return Self { input: Vec::new(), target: Vec::new() };
        }
        let stride = data.len().div_ceil(most).max(1);
        let spread = |bytes: &[u8]| {
            let samples = bytes.chunks((bytes.len() / data.len().max(1)).max(1));
            samples.step_by(stride).flatten().copied().collect()
        };
        Self { input: spread(input), target: spread(target) }
    }

    /// Loss and right answers where the model works.
    pub fn score(&self, engine: &mut dyn Engine) -> Result<Option<Score>> {
        if self.input.is_empty() {
            return Ok(None);
        }
        Ok(Some(engine.evaluate(&self.input, &self.target)?))
    }
}
