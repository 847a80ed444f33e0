//! Differentiation: loss, backward steps in reverse order, gradients that meet are added.
//!
//! Only what leads from a trainable parameter to the loss is differentiated: no gradient is made for
//! the graph's inputs or for a frozen beginning. A layer's gradient of the input comes before its
//! update, because it reads the weights as they were.

mod again;
mod batch_norm;
mod composed;
mod compressed;
mod elementwise;
mod int8;
mod loss;
mod matmul;
mod movement;
mod pool;
mod recurrent;
mod rows;
mod svdf;
mod weighted;
mod weighted_int8;

use super::error::LowerError;
use super::fixed::FixedState;
use super::forward::{Site, binary_kind};
use super::{BufferId, Emit, Home, Lowering, Sequence, TrainOptions, unsupported, word};
use crate::graph::{DType, Graph, Node, NodeId, Op, TensorId};
use embernet_core::kernels::add;
use embernet_core::optim::{Rule, state};
use loss::loss_input;

pub(super) use again::Again;
pub(super) use compressed::Compressed;

/// Gradients while the backward part is written.
pub(super) struct Gradients {
    /// The buffer with each tensor's gradient so far, by tensor number.
    of: Vec<Option<BufferId>>,
    /// Whether a tensor depends on a trainable parameter.
    wanted: Vec<bool>,
    /// Whether a tensor's gradient is that in front of its maker's limits already.
    limited: Vec<bool>,
}

impl Lowering<'_> {
    /// The training plan.
    pub(super) fn training(&mut self, options: &TrainOptions) -> Result<Sequence, LowerError> {
        let graph = self.graph;
        if options.batch == 0 {
            return Err(LowerError::Batch { found: 0 });
        }
        let ([_], [output]) = (graph.inputs.as_slice(), graph.outputs.as_slice()) else {
            return Err(LowerError::TrainPorts { inputs: graph.inputs.len(), outputs: graph.outputs.len() });
        };
        check_parameters(graph)?;
        let (head, skipped) = loss_input(graph, *output, options.loss)?;
        let wanted = depends_on_parameters(graph, &self.order);
        if !wanted[head.index()] {
            return Err(LowerError::NothingToTrain);
        }
        let order = needed(graph, &self.order, head);
        let state = self.optimizer_state(options)?;
        let mut emit = Emit::new(self, options.batch);
        emit.training = true;
        emit.compress(options, &order)?;
        for (at, id) in order.iter().enumerate() {
            emit.forward(*id)?;
            emit.compress_unread(&order[at + 1..], head);
        }
        let count = graph.tensors.len();
        let mut gradients = Gradients { of: vec![None; count], wanted, limited: vec![false; count] };
        emit.loss(options.loss, head, skipped, &mut gradients)?;
        if !state.packs {
            emit.drop_outputs(&options.recompute, &order)?;
        }
        for id in order.iter().rev() {
            emit.backward(*id, &mut gradients, &state)?;
        }
        emit.check_again()?;
        emit.check_compressed()?;
        Ok(emit.finish())
    }

    /// One buffer of optimiser state per parameter that has a gradient, in the order of the parameters.
    fn optimizer_state(&mut self, options: &TrainOptions) -> Result<State, LowerError> {
        let fixed = if self.is_fixed() { self.fixed_state(options)? } else { FixedState::default() };
        let refused = |what| Err(LowerError::Optimizer { what });
        let Some(layout) = state::layout(&options.optimizer) else {
            return refused("an unknown rule or format of state, or no pass at all");
        };
        let is_plain = state::least_tile(layout) == 1;
        if !is_plain && options.optimizer.state_init != 0.0 {
            return refused("state that does not start from 0 and is not f32");
        }
        let packs = self.options.isa.packs();
        if options.optimizer.passes > 1 {
            if packs {
                return refused("gradients of several passes on a host: take the whole batch");
            }
            let learns = |node: &&Node| {
                let trainable = node.parameters().iter().any(|t| self.graph.tensor(*t).trainable);
                matches!(node.op, Op::BatchNorm(_)) && trainable
            };
            if let Some(node) = self.graph.nodes.iter().find(learns) {
                return Err(unsupported(node, "training in several passes: it needs the batch at once"));
            }
        }
        let mut of = vec![None; self.graph.tensors.len()];
        let statistics = self.graph.statistics();
        for id in self.graph.parameter_tensors() {
            let tensor = self.graph.tensor(id);
            let bytes = state::state_bytes(layout, tensor.elements());
            if !self.is_fixed() && tensor.trainable && bytes > 0 && !statistics.contains(&id) {
                of[id.index()] = Some(self.program.add(format!("{}/state", tensor.name), Home::State { bytes }));
            }
        }
        let outer = matches!(options.optimizer.rule(), Some(Rule::Sgd | Rule::Adam));
        let needs_no_tile = outer && is_plain && options.optimizer.passes == 1 && !packs;
        Ok(State { of, layout, tile: self.options.tile, packs, needs_no_tile, fixed })
    }
}

impl Gradients {
    /// What readers of a tensor have contributed so far.
    pub(super) fn so_far(&self, tensor: TensorId) -> Option<BufferId> {
        self.of[tensor.index()]
    }

    /// The same, to be used up.
    fn take(&mut self, tensor: TensorId) -> Option<BufferId> {
        self.of[tensor.index()].take().filter(|_| self.wanted[tensor.index()])
    }
}

/// What updates need to know.
pub(super) struct State {
    of: Vec<Option<BufferId>>,
    /// See [`state::layout`].
    layout: u32,
    tile: Option<usize>,
    packs: bool,
    /// Whether a dense layer's gradient of one sample needs no tile: cores with an FPU update by it without one
    /// ([`embernet_core::arch::Isa::update_outer_f32`]), on others a tile on the stack is as good.
    needs_no_tile: bool,
    /// In 16-bit fixed point, in place of all this.
    fixed: FixedState,
}

impl State {
    /// Elements of a gradient tile for a tensor of `elements`, made of rows of `row`.
    ///
    /// A device takes whole rows up to a kilobyte, so that a tile costs little RAM beside the
    /// activations; a host takes much, so that each product is large. Narrow state wants its parameters in order, as
    /// a device has them, and room for a block.
    fn tile_elements(&self, elements: usize, row: usize) -> usize {
        let block = state::least_tile(self.layout) - 1;
        let most = self.tile.unwrap_or(if self.packs && block == 0 { 1 << 16 } else { 256 });
        let rows = (most / row.max(1)).max(1) * row;
        rows.min(elements).min(most.max(1)).max(1) + block
    }
}

/// Trainable parameters are f32, or those of int8 layers, and belong to one layer each.
fn check_parameters(graph: &Graph) -> Result<(), LowerError> {
    let mut owner: Vec<bool> = vec![false; graph.tensors.len()];
    for node in &graph.nodes {
        for id in node.data_inputs() {
            if graph.tensor(*id).trainable {
                return Err(unsupported(node, format!("training the constant input `{}`", graph.tensor(*id).name)));
            }
        }
        for id in node.parameters() {
            let tensor = graph.tensor(*id);
            if !tensor.trainable {
                continue;
            }
            if tensor.dtype != DType::F32 && !int8::may_learn(graph, node) {
                let (node, tensor_name) = (node.name.clone(), tensor.name.clone());
                let (found, expected) = (tensor.dtype, DType::F32);
                return Err(LowerError::Type { node, tensor: tensor_name, found, expected });
            }
            if std::mem::replace(&mut owner[id.index()], true) {
                return Err(LowerError::SharedParameter { tensor: tensor.name.clone() });
            }
        }
    }
    Ok(())
}

/// Which tensors depend on a trainable parameter.
fn depends_on_parameters(graph: &Graph, order: &[NodeId]) -> Vec<bool> {
    let mut depends: Vec<bool> = graph.tensors.iter().map(|t| t.trainable).collect();
    for id in order {
        let node = graph.node(*id);
        if node.inputs.iter().any(|t| depends[t.index()]) {
            node.outputs.iter().for_each(|t| depends[t.index()] = true);
        }
    }
    depends
}

/// The nodes that `head` is computed from, in order.
fn needed(graph: &Graph, order: &[NodeId], head: TensorId) -> Vec<NodeId> {
    let mut wanted = vec![false; graph.tensors.len()];
    wanted[head.index()] = true;
    let mut nodes: Vec<NodeId> = Vec::new();
    for id in order.iter().rev() {
        let node = graph.node(*id);
        if node.outputs.iter().any(|t| wanted[t.index()]) {
            node.inputs.iter().for_each(|t| wanted[t.index()] = true);
            nodes.push(*id);
        }
    }
    nodes.reverse();
    nodes
}

impl Emit<'_, '_> {
    /// The backward steps of one node.
    fn backward(&mut self, id: NodeId, gradients: &mut Gradients, state: &State) -> Result<(), LowerError> {
        let node = self.graph().node(id);
        let site = Site { id, node, dtype: self.tensor(node.inputs[0]).dtype };
        if matches!(node.op, Op::Lstm(_) | Op::Gru(_)) {
            return self.recurrent_backward(site, gradients, state);
        }
        let output = node.outputs[0];
        let (true, Some(dy)) = (gradients.wanted[output.index()], gradients.of[output.index()].take()) else {
            return Ok(());
        };
        if self.lowering.is_fixed() {
            return self.fixed_backward(site, dy, gradients, &state.fixed);
        }
        if site.dtype == DType::I8 || self.tensor(output).dtype == DType::I8 {
            return self.backward_i8(site, dy, gradients, state);
        }
        // The pool's gradient is that of the block, whose limits are in its places.
        if self.is_in_block(id) {
            self.contribute(site, node.inputs[0], dy, gradients);
            return Ok(());
        }
        let inside = !self.has_clamp_step(id) || gradients.limited[output.index()];
        let dy = if inside { dy } else { self.clamp_backward(site, node.op.fused(), dy)? };
        match &node.op {
            Op::Conv2d(_) if self.block_backward(site, dy, gradients, state)? => Ok(()),
            Op::Flatten(_) | Op::Reshape(_) => {
                self.contribute(site, node.inputs[0], dy, gradients);
                Ok(())
            }
            Op::Dense(_) | Op::Conv2d(_) | Op::DepthwiseConv2d(_) | Op::TransposeConv2d(_) => {
                self.weighted_backward(site, dy, gradients, state)
            }
            Op::MaxPool2d(_) | Op::GlobalMaxPool2d(_) => self.max_pool_backward(site, dy, gradients),
            Op::AveragePool2d(_) | Op::GlobalAveragePool2d(_) => self.average_pool_backward(site, dy, gradients),
            Op::Activation(layer) => self.activation_backward(site, layer.function, dy, gradients),
            Op::Softmax(op) => self.softmax_backward(site, op.beta, dy, gradients),
            Op::LogSoftmax(_) => self.log_softmax_backward(site, dy, gradients),
            Op::ResizeNearest(op) => self.resize_backward(site, op, dy, gradients),
            Op::Reduce(op) => self.reduce_backward(site, op, dy, gradients),
            Op::Pad(_) | Op::Concat(_) | Op::Slice(_) | Op::Transpose(_) => self.movement_backward(site, dy, gradients),
            Op::PRelu(_) => self.prelu_backward(site, dy, gradients, state),
            Op::LayerNorm(op) => self.layer_norm_backward(site, op, dy, gradients, state),
            Op::MatMul(op) => self.matmul_backward(site, op, dy, gradients),
            Op::BatchNorm(op) => self.batch_norm_backward(site, op, dy, gradients, state),
            Op::Svdf(op) => self.svdf_backward(site, op, dy, gradients, state),
            op => match binary_kind(op) {
                Some(kind) => self.binary_backward(site, kind, dy, gradients),
                None => Err(unsupported(node, "training through this operation")),
            },
        }
    }

    /// Whether a node's limits are a step of their own on the way back: normalisation that learns has them in its own
    /// steps, and so has a block.
    fn has_clamp_step(&self, id: NodeId) -> bool {
        let node = self.graph().node(id);
        let normalised = matches!(node.op, Op::BatchNorm(_)) && self.batch_norm_learns(node);
        !normalised && !self.blocks.contains_key(&id) && !self.is_limited_behind_pool(id)
    }

    /// A new buffer for a tensor's gradient, if anybody wants it.
    pub(super) fn gradient(&mut self, of: TensorId, gradients: &Gradients) -> Option<BufferId> {
        let name = format!("{}/gradient", self.tensor(of).name);
        gradients.wanted[of.index()].then(|| self.lowering.program.transient(name))
    }

    /// Adds `dx` to what other readers of the tensor have contributed; the buffer is given away.
    pub(super) fn contribute(&mut self, site: Site<'_>, tensor: TensorId, dx: BufferId, gradients: &mut Gradients) {
        if !gradients.wanted[tensor.index()] {
            return;
        }
        match gradients.of[tensor.index()] {
            None => gradients.of[tensor.index()] = Some(dx),
            Some(sum) if self.lowering.is_fixed() => self.fixed_accumulate(site, tensor, dx, sum),
            Some(sum) => {
                let len = word(self.tensor(tensor).elements());
                self.sequence.push(&site.node.name, Some(site.id), move |p| add::AccumulateF32 {
                    len,
                    x: p.at(dx),
                    y: p.at(sum),
                });
            }
        }
    }
}
