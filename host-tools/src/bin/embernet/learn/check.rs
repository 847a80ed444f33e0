//! How well a model that learns does by now.

use anyhow::Result;
use embernet::data::{Dataset, Labels};
use embernet::engine::{self, Engine};
use embernet::train::metrics;
use embernet_core::image::Image;
use embernet_core::plan::Step;

/// Samples with classes that are judged now and then.
pub struct Check<'i> {
    image: &'i Image<'i>,
    samples: usize,
    /// As the model wants them: for evaluation, or for inference where there are classes.
    input: Vec<u8>,
    /// What training aims at.
    target: Vec<u8>,
    /// Of a model that learns its classes by squared errors, which count no right answers.
    classes: Option<Vec<u32>>,
}

impl<'i> Check<'i> {
    /// At most `most` of the data, spread evenly; none where the data has no classes. `input` and `target` are all of
    /// the data in bytes.
    pub fn new(data: &Dataset, image: &'i Image<'i>, [input, target]: [&[u8]; 2], most: usize) -> Self {
        let none = Self { image, samples: 0, input: Vec::new(), target: Vec::new(), classes: None };
        let Labels::Class { ids, .. } = data.labels() else { return none };
        if most == 0 {
            return none;
        }
        let stride = data.len().div_ceil(most).max(1);
        let rows: Vec<u32> = (0..data.len() as u32).step_by(stride).collect();
        let samples = rows.len();
        let squares = |step| matches!(step, Step::MeanSquaredError(_) | Step::MeanSquaredErrorFixed(_));
        if image.train_plan().steps().any(squares) {
            let ([port], [_]) = (image.inputs(), image.outputs()) else { return none };
            let classes = rows.iter().filter_map(|&row| ids.get(row as usize).copied()).collect();
            let input = engine::encode_f32(&data.gather(&rows), port);
            return Self { samples, input, classes: Some(classes), ..none };
        }
        let spread = |bytes: &[u8]| {
            let samples = bytes.chunks((bytes.len() / data.len().max(1)).max(1));
            samples.step_by(stride).flatten().copied().collect()
        };
        Self { samples, input: spread(input), target: spread(target), ..none }
    }

    /// How many samples there are.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// The share of right answers where the model works.
    pub fn accuracy(&self, engine: &mut dyn Engine) -> Result<Option<f64>> {
        if self.samples == 0 {
            return Ok(None);
        }
        let Some(classes) = &self.classes else {
            return Ok(Some(engine.evaluate(&self.input, &self.target)?.accuracy()));
        };
        let output = &self.image.outputs()[0];
        let outputs = engine::decode_f32(&engine.infer(&self.input, &mut |_| {})?, output);
        Ok(Some(metrics::accuracy(classes, &outputs, output.elements as usize)))
    }
}
