//! Layers with weights, and the optimiser's state.

use super::super::program::Places;
use super::super::{BufferId, Emit, Home, LowerError, Lowering, TrainOptions, unsupported};
use crate::graph::{Node, Op, TensorId};
use embernet_core::kernels::conv2d::Conv2d;
use embernet_core::kernels::dense::Dense;
use embernet_core::kernels::depthwise_conv2d::DepthwiseConv2d;
use embernet_core::kernels::fixed::block::block_bytes;
use embernet_core::kernels::fixed::trained::Trained;
use embernet_core::optim::state::{self, StateFormat};

/// The shape of a layer with weights.
#[derive(Debug, Clone, Copy)]
pub(super) enum Weighted {
    Dense(Dense),
    Conv2d(Conv2d),
    DepthwiseConv2d(DepthwiseConv2d),
}

/// The same for every kind of layer with weights: their records have the same fields, but for the shape.
macro_rules! for_each_kind {
    ($weighted:expr, $shape:ident, $layer:ident => $push:expr) => {
        match $weighted {
            Weighted::Dense($shape) => {
                use embernet_core::kernels::fixed::dense as $layer;
                $push
            }
            Weighted::Conv2d($shape) => {
                use embernet_core::kernels::fixed::conv2d as $layer;
                $push
            }
            Weighted::DepthwiseConv2d($shape) => {
                use embernet_core::kernels::fixed::depthwise_conv2d as $layer;
                $push
            }
        }
    };
}
pub(super) use for_each_kind;

/// Where each parameter's state lies, by tensor number.
#[derive(Debug, Default)]
pub(in super::super) struct FixedState {
    first: Vec<Option<BufferId>>,
    second: Vec<Option<BufferId>>,
    /// Sums of gradients over several passes.
    sum: Vec<Option<BufferId>>,
    /// See [`state::layout`].
    layout: u32,
}

impl Lowering<'_> {
    /// Buffers of state for all parameters that learn, in their order.
    pub(in super::super) fn fixed_state(&mut self, options: &TrainOptions) -> Result<FixedState, LowerError> {
        let refused = |what| Err(LowerError::Optimizer { what });
        let Some(rule) = options.optimizer.rule() else { return refused("an unknown rule") };
        if options.optimizer.state != StateFormat::F32 as u32 {
            return refused("another format of state than 16-bit fixed point has");
        }
        let Some(layout) = state::layout(&options.optimizer) else { return refused("no pass at all") };
        let none = vec![None; self.graph.tensors.len()];
        let mut state = FixedState { first: none.clone(), second: none.clone(), sum: none, layout };
        for id in self.graph.parameter_tensors() {
            let tensor = self.graph.tensor(id);
            if !tensor.trainable {
                continue;
            }
            let elements = tensor.elements();
            let mut slot = |is_there: bool, what: &str, bytes| {
                is_there.then(|| self.program.add(format!("{}/{what}", tensor.name), Home::State { bytes }))
            };
            state.first[id.index()] = slot(rule.slots() > 0, "state", block_bytes(elements));
            state.second[id.index()] = slot(rule.slots() > 1, "second moments", block_bytes(elements));
            let bytes = elements.saturating_mul(size_of::<i32>());
            state.sum[id.index()] = slot(options.optimizer.passes > 1, "sum of gradients", bytes);
        }
        Ok(state)
    }
}

impl Emit<'_, '_> {
    pub(super) fn fixed_weighted(&self, node: &Node) -> Result<Weighted, LowerError> {
        match &node.op {
            Op::Dense(_) if self.tensor(node.inputs[0]).shape.len() == 1 => Ok(Weighted::Dense(self.dense_shape(node))),
            Op::Dense(_) => Ok(Weighted::Conv2d(self.pointwise_shape(node))),
            Op::Conv2d(op) => Ok(Weighted::Conv2d(self.conv2d_shape(node, op)?)),
            Op::DepthwiseConv2d(op) if op.depth_multiplier == 1 => {
                Ok(Weighted::DepthwiseConv2d(self.depthwise_shape(node, op)?))
            }
            Op::DepthwiseConv2d(_) => Err(unsupported(node, "several filters for a channel in 16-bit fixed point")),
            _ => Err(unsupported(node, "16-bit fixed point")),
        }
    }

    /// The parameters that a layer trains; `None` if all are frozen.
    pub(super) fn fixed_trained(&mut self, node: &Node, state: &FixedState) -> Option<TrainedBuffers> {
        let mut parameter = |index: usize| {
            let id = self.learning(node.parameters().get(index).copied())?;
            let of = |slot: &[Option<BufferId>], id: TensorId| slot.get(id.index()).copied().flatten();
            Some([Some(self.value(id)), of(&state.first, id), of(&state.second, id), of(&state.sum, id)])
        };
        let (w, b) = (parameter(0), parameter(1));
        (w.is_some() || b.is_some()).then(|| TrainedBuffers {
            w: w.unwrap_or_default(),
            b: b.unwrap_or_default(),
            slots: state.layout,
        })
    }
}

/// [`Trained`] before its places are known.
#[derive(Debug, Clone, Copy)]
pub(super) struct TrainedBuffers {
    pub w: [Option<BufferId>; 4],
    b: [Option<BufferId>; 4],
    slots: u32,
}

impl TrainedBuffers {
    pub fn record(&self, p: Places<'_>) -> Trained {
        let [w, w_first, w_second, w_sum] = self.w.map(|t| p.opt(t));
        let [b, b_first, b_second, b_sum] = self.b.map(|t| p.opt(t));
        Trained { w, w_first, w_second, w_sum, b, b_first, b_second, b_sum, slots: self.slots }
    }
}
