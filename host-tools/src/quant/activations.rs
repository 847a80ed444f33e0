//! Every activation's value, sample block by sample block.

use super::QuantError;
use crate::graph::{DType, Graph, Op, TensorId};
use crate::image::{self, pack};
use crate::lower::Options;
use embernet_core::arch::IsaId;
use embernet_core::exec::PlanKind;
use embernet_core::memory::view;
use zerocopy::IntoBytes;

/// Samples in one run.
const BLOCK: usize = 32;

/// The activations worth looking at: what the nodes compute, without those that only change the shape.
pub fn observed(graph: &Graph) -> Vec<TensorId> {
    let computes = graph.nodes.iter().filter(|n| !matches!(n.op, Op::Flatten(_) | Op::Reshape(_)));
    computes.flat_map(|n| n.outputs.iter().copied()).collect()
}

/// Runs `graph` over all samples and hands each observed activation to `see`, as real values.
///
/// An int8 graph gets its input quantised, and its activations come back dequantised.
pub fn for_each(
    graph: &Graph,
    samples: &[f32],
    isa: IsaId,
    mut see: impl FnMut(TensorId, &[f32]),
) -> Result<(), QuantError> {
    let [input] = graph.inputs[..] else { return Err(QuantError::Inputs { found: graph.inputs.len() }) };
    let len = graph.tensor(input).elements();
    if len == 0 || !samples.len().is_multiple_of(len) {
        return Err(QuantError::Values { found: samples.len(), expected: len });
    }
    let tensors = observed(graph);
    // As outputs they all stay alive until the run ends.
    let mut all = graph.clone();
    all.outputs.clone_from(&tensors);
    let block = BLOCK.min(samples.len() / len).max(1);
    let packed = pack(&all, &Options { samples: block, isa, ..Options::default() }, None)?;
    let parsed = packed.image()?;
    let mut arena = image::arena_for(&parsed);
    let mut session = image::open(&parsed, &mut arena, isa)?;
    for samples in samples.chunks(block * len) {
        let count = samples.len() / len;
        write_input(graph, input, samples, session.input_mut(PlanKind::Infer, 0));
        session.infer(count)?;
        for (index, &id) in tensors.iter().enumerate() {
            let values = real_values(graph, id, session.output(index));
            see(id, &values[..count * graph.tensor(id).elements()]);
        }
    }
    Ok(())
}

fn write_input(graph: &Graph, input: TensorId, samples: &[f32], to: &mut [u8]) {
    let tensor = graph.tensor(input);
    match (tensor.dtype, tensor.quant.as_ref().and_then(|q| q.single())) {
        (DType::I8, Some((scale, zero_point))) => {
            for (to, x) in to.iter_mut().zip(samples) {
                *to = embernet_core::quant::quantize_i8(*x, scale, zero_point) as u8;
            }
        }
        _ => {
            let bytes = samples.as_bytes();
            to[..bytes.len()].copy_from_slice(bytes);
        }
    }
}

fn real_values(graph: &Graph, id: TensorId, bytes: &[u8]) -> Vec<f32> {
    let tensor = graph.tensor(id);
    match (tensor.dtype, tensor.quant.as_ref().and_then(|q| q.single())) {
        (DType::I8, Some((scale, zero_point))) => {
            view::<i8>(bytes).iter().map(|&q| embernet_core::quant::dequantize_i8(q, scale, zero_point)).collect()
        }
        _ => view::<f32>(bytes).to_vec(),
    }
}
