//! How far each layer of the int8 graph is from the float one.

use super::{QuantError, activations};
use crate::graph::Graph;
use crate::image::host_isa;
use std::collections::HashMap;

/// The difference that one layer shows, over all calibration samples.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerError {
    /// Node's name.
    pub layer: String,
    /// Operation.
    pub kind: &'static str,
    /// Scale of the int8 output.
    pub scale: f32,
    /// Zero point of the int8 output.
    pub zero_point: i32,
    /// `10 log10(signal power / error power)` in dB; infinite if there is no error.
    pub snr_db: f64,
    /// Largest absolute difference, in real units.
    pub max_error: f32,
}

#[derive(Default, Clone, Copy)]
struct Sums {
    signal: f64,
    error: f64,
    max_error: f32,
}

/// Most samples that are compared: the float values are held in memory meanwhile.
const MOST_SAMPLES: usize = 64;

/// Runs both graphs, which have the same nodes and tensors, on the first samples.
pub fn compare(float: &Graph, int8: &Graph, samples: &[f32]) -> Result<Vec<LayerError>, QuantError> {
    let len = float.inputs.first().map_or(0, |&input| float.tensor(input).elements());
    let samples = &samples[..samples.len().min(MOST_SAMPLES * len)];
    let mut expected: HashMap<_, Vec<f32>> = HashMap::new();
    activations::for_each(float, samples, host_isa(false), |id, values| {
        expected.entry(id).or_default().extend_from_slice(values);
    })?;
    let mut sums = HashMap::new();
    let mut done: HashMap<_, usize> = HashMap::new();
    activations::for_each(int8, samples, host_isa(false), |id, values| {
        let at = done.entry(id).or_default();
        let sums: &mut Sums = sums.entry(id).or_default();
        for (found, wanted) in values.iter().zip(&expected[&id][*at..]) {
            let error = found - wanted;
            sums.signal += f64::from(*wanted).powi(2);
            sums.error += f64::from(error).powi(2);
            sums.max_error = sums.max_error.max(error.abs());
        }
        *at += values.len();
    })?;
    let mut errors = Vec::new();
    for id in int8.order()? {
        let node = int8.node(id);
        let Some(sums) = sums.get(&node.outputs[0]) else { continue };
        let (scale, zero_point) =
            int8.tensor(node.outputs[0]).quant.as_ref().and_then(|q| q.single()).unwrap_or((1.0, 0));
        errors.push(LayerError {
            layer: node.name.clone(),
            kind: node.op.kind(),
            scale,
            zero_point,
            snr_db: 10.0 * (sums.signal / sums.error).log10(),
            max_error: sums.max_error,
        });
    }
    Ok(errors)
}
