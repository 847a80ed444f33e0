//! How well a model that learns does by now.

use anyhow::Result;
use embernet::data::{Dataset, Labels};
use embernet::engine::{self, Engine};
use embernet::train::metrics;
use embernet_core::image::Image;

/// Samples with classes that are inferred now and then.
pub struct Check<'i> {
    image: &'i Image<'i>,
    /// As the model's input wants them.
    input: Vec<u8>,
    classes: Vec<u32>,
}

impl<'i> Check<'i> {
    /// At most `most` of the data, spread evenly; none where the data has no classes or the model is not one of one input
    /// and one output.
    pub fn new(data: &Dataset, image: &'i Image<'i>, most: usize) -> Self {
        let none = Self { image, input: Vec::new(), classes: Vec::new() };
        let (Labels::Class { ids, .. }, [input], [_]) = (data.labels(), image.inputs(), image.outputs()) else {
            return none;
        };
        if most == 0 {
            return none;
        }
        let stride = data.len().div_ceil(most).max(1);
        let rows: Vec<u32> = (0..data.len() as u32).step_by(stride).collect();
        let classes = rows.iter().filter_map(|&row| ids.get(row as usize).copied()).collect();
        Self { image, input: engine::encode_f32(&data.gather(&rows), input), classes }
    }

    /// How many samples there are.
    pub fn samples(&self) -> usize {
        self.classes.len()
    }

    /// The share of right answers.
    pub fn accuracy(&self, engine: &mut dyn Engine) -> Result<Option<f64>> {
        if self.classes.is_empty() {
            return Ok(None);
        }
        let output = &self.image.outputs()[0];
        let outputs = engine::decode_f32(&engine.infer(&self.input, &mut |_| {})?, output);
        Ok(Some(metrics::accuracy(&self.classes, &outputs, output.elements as usize)))
    }
}
