//! Lowering to 16-bit fixed point: the steps of `embernet_core::kernels::fixed` in place of those in f32.
//!
//! The graph stays a float graph. Inputs, outputs and targets are floats, too: steps at the edges convert them.
//! Parameters become blocks here; what learns has a bit to spare.

mod backward;
mod forward;
mod weighted;

use super::{BufferId, Emit, Lowering, word};
use crate::graph::{Data, Tensor, TensorId};
use crate::quant::block;
use embernet_core::kernels::fixed::block::MIN_EXPONENT;
use embernet_core::kernels::fixed::convert;
use embernet_core::kernels::fixed::update::WEIGHT_BITS;

pub(super) use weighted::FixedState;

/// Bits of mantissas that nobody changes, beside the sign.
const BITS: u32 = 15;

/// The least exponent of what learns: parameters that begin at 0, such as biases, can take steps of 2^-18 and grow to
/// 2^-4 before their exponent does.
const LEAST: i32 = -4 - WEIGHT_BITS as i32;

impl Lowering<'_> {
    /// A constant's bytes in the arena or the data section.
    pub(super) fn encoded(&self, tensor: &Tensor) -> Vec<u8> {
        match &tensor.data {
            Some(Data::F32(values)) if self.is_fixed() => {
                let (bits, least) = if tensor.trainable { (WEIGHT_BITS, LEAST) } else { (BITS, MIN_EXPONENT) };
                block::encode(values, bits, least)
            }
            data => data.as_ref().map(Data::to_le_bytes).unwrap_or_default(),
        }
    }
}

impl Emit<'_, '_> {
    /// Blocks of the graph's inputs, which the caller writes as floats.
    pub(super) fn fixed_inputs(&mut self) {
        for (id, input) in self.graph().inputs.iter().zip(self.sequence.inputs.clone()) {
            let tensor = self.tensor(*id);
            let (len, x) = (word(tensor.elements()), input.buffer);
            let y = self.lowering.program.transient(tensor.name.clone());
            self.values[id.index()] = Some(y);
            self.sequence.push(&tensor.name, None, move |p| convert::FromF32 { len, x: p.at(x), y: p.at(y) });
        }
    }

    /// Floats of a graph's output.
    pub(super) fn fixed_output(&mut self, id: TensorId, x: BufferId) -> BufferId {
        let tensor = self.tensor(id);
        let len = word(tensor.elements());
        let y = self.lowering.program.transient(tensor.name.clone());
        self.sequence.push(&tensor.name, None, move |p| convert::ToF32 { len, x: p.at(x), y: p.at(y) });
        y
    }

    /// Scratch for the 32-bit sums of a node.
    fn fixed_sums(&mut self, name: &str) -> BufferId {
        self.lowering.program.transient(format!("{name}/sums"))
    }
}
