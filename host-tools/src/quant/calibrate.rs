//! The range of every activation over the calibration data.

use super::{QuantError, activations};
use crate::graph::{Graph, TensorId};
use crate::image::host_isa;

/// Least and greatest value seen, zero included.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Range {
    pub min: f32,
    pub max: f32,
}

impl Range {
    fn include(&mut self, values: &[f32]) {
        for &value in values {
            self.min = self.min.min(value);
            self.max = self.max.max(value);
        }
    }
}

/// Ranges by tensor number; tensors that are not activations keep the empty range.
pub fn ranges(graph: &Graph, samples: &[f32]) -> Result<Vec<Range>, QuantError> {
    if samples.is_empty() {
        return Err(QuantError::NoData);
    }
    let mut ranges = vec![Range::default(); graph.tensors.len()];
    let mut not_finite = None;
    let mut see = |id: TensorId, values: &[f32]| {
        if not_finite.is_none() && !values.iter().all(|v| v.is_finite()) {
            not_finite = Some(id);
        }
        ranges[id.index()].include(values);
    };
    if let [input] = graph.inputs[..] {
        see(input, samples);
    }
    activations::for_each(graph, samples, host_isa(false), &mut see)?;
    match not_finite {
        Some(id) => Err(QuantError::NotFinite { tensor: graph.tensor(id).name.clone() }),
        None => Ok(ranges),
    }
}
