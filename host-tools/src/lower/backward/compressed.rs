//! Activations that are kept for the backward pass as int8, in blocks with a scale each.
//!
//! The forward pass reads them as they are; behind the last step of it that does, they become a quarter of their bytes.
//! The first backward step that reads them brings them back, rounded.

use super::again::named;
use crate::graph::{DType, Node, NodeId, TensorId};
use crate::lower::{BufferId, Emit, LowerError, TrainOptions, unsupported, word};
use embernet_core::kernels::quantize::{BLOCK, DequantizeBlocks, QuantizeBlocks};

/// What is kept so.
#[derive(Debug, Default)]
pub(in super::super) struct Compressed {
    /// Layers whose output is still as it was.
    waiting: Vec<NodeId>,
    kept: Vec<Kept>,
}

/// One activation.
#[derive(Debug)]
struct Kept {
    maker: NodeId,
    /// Where it was in the forward pass.
    buffer: BufferId,
    codes: BufferId,
    scales: BufferId,
}

impl Emit<'_, '_> {
    /// The outputs of the layers that the options name are to be kept as int8.
    pub(super) fn compress(&mut self, options: &TrainOptions, order: &[NodeId]) -> Result<(), LowerError> {
        for name in &options.compress {
            let id = named(self.graph(), name, order)?;
            let node = self.graph().node(id);
            if options.recompute.contains(name) {
                return Err(unsupported(node, "keeping an output as int8 that is computed again"));
            }
            if self.lowering.is_fixed() || self.tensor(node.outputs[0]).dtype != DType::F32 {
                return Err(unsupported(node, "keeping an output that is not f32 as int8"));
            }
            self.compressed.waiting.push(id);
        }
        Ok(())
    }

    /// Compresses what is not read any more: neither by the nodes `left` of the forward pass nor as the loss's input.
    pub(super) fn compress_unread(&mut self, left: &[NodeId], head: TensorId) {
        for maker in std::mem::take(&mut self.compressed.waiting) {
            let buffer = self.values[self.graph().node(maker).outputs[0].index()];
            let holds = |tensor: &TensorId| self.values[tensor.index()] == buffer;
            let is_read = |id: &NodeId| *id == maker || self.graph().node(*id).inputs.iter().any(holds);
            match buffer {
                Some(buffer) if !holds(&head) && !left.iter().any(is_read) => self.compress_now(maker, buffer),
                _ => self.compressed.waiting.push(maker),
            }
        }
    }

    fn compress_now(&mut self, maker: NodeId, buffer: BufferId) {
        // The caller fills inputs once.
        if self.sequence.inputs.iter().any(|input| input.buffer == buffer) {
            return;
        }
        let node = self.graph().node(maker);
        let [codes, scales] = ["int8", "scales"].map(|what| format!("{}/{what}", node.name));
        let [codes, scales] = [codes, scales].map(|name| self.lowering.program.transient(name));
        let (len, blocks) = self.blocks_of(node);
        self.sequence.push(&node.name, Some(maker), move |p| QuantizeBlocks {
            len,
            blocks,
            x: p.at(buffer),
            codes: p.at(codes),
            scales: p.at(scales),
        });
        self.compressed.kept.push(Kept { maker, buffer, codes, scales });
    }

    /// Where the value of this buffer is now: it is brought back if it is compressed.
    pub(in super::super) fn decompressed(&mut self, buffer: BufferId) -> BufferId {
        let Some(at) = self.compressed.kept.iter().position(|kept| kept.buffer == buffer) else { return buffer };
        let Kept { maker, codes, scales, .. } = self.compressed.kept.swap_remove(at);
        let node = self.graph().node(maker);
        let y = self.lowering.program.transient(format!("{}/back", node.name));
        let (len, blocks) = self.blocks_of(node);
        self.sequence.push(&node.name, Some(maker), move |p| DequantizeBlocks {
            len,
            blocks,
            codes: p.at(codes),
            scales: p.at(scales),
            y: p.at(y),
        });
        self.values.iter_mut().filter(|value| **value == Some(buffer)).for_each(|value| *value = Some(y));
        y
    }

    /// Elements of a sample of a node's output, and blocks of that.
    fn blocks_of(&self, node: &Node) -> (u32, u32) {
        let len = self.output_len(node);
        (len, len.div_ceil(word(BLOCK)))
    }

    /// Whether all that was compressed was needed; to be asked behind the last step.
    pub(super) fn check_compressed(&self) -> Result<(), LowerError> {
        let refused = |id: NodeId, what: &str| {
            Err(unsupported(self.graph().node(id), format!("keeping an output as int8 that {what}")))
        };
        match (self.compressed.waiting.first(), self.compressed.kept.first()) {
            (Some(id), _) => refused(*id, "the loss reads at once, or that is never in memory,"),
            (_, Some(kept)) => refused(kept.maker, "the backward pass does not read"),
            _ => Ok(()),
        }
    }
}
