//! How far each step of an image is from the float model that it came from.

use std::collections::HashMap;

use embernet_core::arch::Scalar;
use embernet_core::exec::{PlanKind, Session};
use embernet_core::image::{Image, TensorRecord};
use embernet_core::memory::view;
use embernet_core::plan::Access;

use super::{EngineError, encode_f32, single};
use crate::graph::Graph;
use crate::image::{LayerInfo, Metadata, arena_for, host_isa};
use crate::quant::{self, QuantError};

/// Most samples that are compared: the float values are held in memory meanwhile.
const MOST_SAMPLES: usize = 64;

/// Signal over error of what each step of the inference plan writes, in dB: `10 log10(signal power / error power)`.
///
/// `samples` are real values, one sample after another. A step is compared if it is the last one of its layer and the
/// float model has a layer of the same name and size; the others have `None`. No error at all is infinite.
pub fn signal_to_error(image: &Image<'_>, float: &Graph, samples: &[f32]) -> Result<Vec<Option<f64>>, QuantError> {
    let metadata = Metadata::from_bytes(image.metadata()).unwrap_or_default();
    let len = image.inputs().first().map_or(1, |input| input.elements as usize).max(1);
    let samples = &samples[..samples.len().min(MOST_SAMPLES * len)];
    let names: HashMap<_, &str> = float.nodes.iter().map(|node| (node.outputs[0], node.name.as_str())).collect();
    let mut expected: HashMap<&str, Vec<f32>> = HashMap::new();
    quant::for_each_activation(float, samples, host_isa(true), |id, values| {
        if let Some(name) = names.get(&id) {
            expected.entry(name).or_default().extend_from_slice(values);
        }
    })?;

    let mut sums: Vec<Option<(f64, f64)>> = vec![None; image.infer_plan().len()];
    observe(image, samples, |step, sample, found: &dyn Fn(&LayerInfo) -> Option<Vec<f32>>| {
        let is_last = metadata.infer_steps.get(step) != metadata.infer_steps.get(step + 1);
        let Some(layer) = metadata.infer_layer(step).filter(|_| is_last) else { return };
        let Some(found) = found(layer) else { return };
        let all = expected.get(layer.name.as_str()).map_or(&[][..], Vec::as_slice);
        let Some(wanted) = all.get(sample * found.len()..(sample + 1) * found.len()) else { return };
        if all.len() * len != samples.len() * found.len() {
            return;
        }
        let (signal, error) = sums[step].get_or_insert((0.0, 0.0));
        for (found, wanted) in found.iter().zip(wanted) {
            *signal += f64::from(*wanted).powi(2);
            *error += f64::from(found - wanted).powi(2);
        }
    })
    .map_err(|error| match error {
        EngineError::Session(error) => QuantError::Session(error),
        _ => QuantError::Inputs { found: image.inputs().len() },
    })?;
    Ok(sums.into_iter().map(|sums| sums.map(|(signal, error)| 10.0 * (signal / error).log10())).collect())
}

/// What an observer can ask for: what the step wrote, as real values, if it is the output of such a layer.
type Found<'f> = &'f dyn Fn(&LayerInfo) -> Option<Vec<f32>>;

/// Runs `image` sample by sample and shows every step's output.
fn observe(
    image: &Image<'_>,
    samples: &[f32],
    mut see: impl FnMut(usize, usize, Found<'_>),
) -> Result<(), EngineError> {
    single("inputs", image.inputs())?;
    let input: &TensorRecord = &image.inputs()[0];
    let mut arena = arena_for(image);
    let mut session = Session::new(image, &mut arena, Scalar)?;
    for (sample, values) in samples.chunks_exact((input.elements as usize).max(1)).enumerate() {
        let bytes = encode_f32(values, input);
        if let Some(to) = session.input_mut(PlanKind::Infer, 0).get_mut(..bytes.len()) {
            to.copy_from_slice(&bytes);
        }
        session.infer_observed(1, |index, step, memory| {
            let operands = step.decode().map(|step| step.operands(1)).unwrap_or_default();
            let writes = |access| matches!(access, Access::Write | Access::ReadWrite);
            let output = operands.as_slice().iter().find(|operand| writes(operand.access));
            let bytes = output.map_or(&[][..], |output| memory.read(*output));
            see(index, sample, &|layer| real_values(bytes, layer));
        })?;
    }
    Ok(())
}

/// The output of a layer as real values; `None` unless the bytes are as many elements as it has.
fn real_values(bytes: &[u8], layer: &LayerInfo) -> Option<Vec<f32>> {
    let elements: usize = layer.shape.iter().map(|&axis| axis as usize).product();
    let real = |q: i32| (q - layer.zero_point) as f32 * layer.scale;
    match bytes.len().checked_div(elements)? {
        4 if bytes.len() == 4 * elements => Some(view::<f32>(bytes).to_vec()),
        2 if bytes.len() == 2 * elements => Some(view::<i16>(bytes).iter().map(|&q| real(q.into())).collect()),
        1 if bytes.len() == elements => Some(view::<i8>(bytes).iter().map(|&q| real(q.into())).collect()),
        _ => None,
    }
}
