//! Differentiation: loss, backward steps in reverse order, gradients that meet are added.
//!
//! Only what leads from a trainable parameter to the loss is differentiated: no gradient is made for
//! the graph's inputs or for a frozen beginning. A layer's gradient of the input comes before its
//! update, because it reads the weights as they were.

use super::error::LowerError;
use super::forward::{activation_kind, bounds};
use super::{BufferId, Emit, Home, Loss, Lowering, Port, PortType, Sequence, TrainOptions, unsupported};
use crate::graph::{Activation, DType, Graph, Node, NodeId, Op, TensorId};
use embernet_core::kernels::conv2d::Scratch;
use embernet_core::kernels::trained::Trained;
use embernet_core::kernels::{activation, add, average_pool, conv2d, dense, depthwise_conv2d, max_pool, softmax};
use embernet_core::loss;
use embernet_core::optim::Rule;

/// Gradients while the backward part is written.
struct Gradients {
    /// The buffer with each tensor's gradient so far, by tensor number.
    of: Vec<Option<BufferId>>,
    /// Whether a tensor depends on a trainable parameter.
    wanted: Vec<bool>,
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
        let state = self.optimizer_state(options);
        let mut emit = Emit::new(self, options.batch);
        for id in &order {
            emit.forward(*id)?;
        }
        let mut gradients = Gradients { of: vec![None; graph.tensors.len()], wanted };
        emit.loss(options.loss, head, skipped, &mut gradients)?;
        for id in order.iter().rev() {
            emit.backward(*id, &mut gradients, &state)?;
        }
        Ok(emit.finish())
    }

    /// One buffer of optimiser state per trainable parameter, in the order of the parameters.
    fn optimizer_state(&mut self, options: &TrainOptions) -> State {
        let slots = options.optimizer.rule().unwrap_or(Rule::Sgd).slots();
        let mut of = vec![None; self.graph.tensors.len()];
        for id in self.graph.parameter_tensors() {
            let tensor = self.graph.tensor(id);
            if tensor.trainable && slots > 0 {
                let home = Home::State { bytes: tensor.bytes().saturating_mul(slots) };
                of[id.index()] = Some(self.program.add(format!("{}/state", tensor.name), home));
            }
        }
        State { of, slots: slots as u32, tile: self.options.tile, gathers: self.options.isa.gathers() }
    }
}

/// What updates need to know.
struct State {
    of: Vec<Option<BufferId>>,
    slots: u32,
    tile: Option<usize>,
    gathers: bool,
}

impl State {
    /// Elements of a gradient tile for a tensor of `elements`, made of rows of `row`.
    ///
    /// A device takes whole rows up to a kilobyte, so that a tile costs little RAM beside the
    /// activations; a host takes much, so that each product is large.
    fn tile_elements(&self, elements: usize, row: usize) -> usize {
        let most = self.tile.unwrap_or(if self.gathers { 1 << 16 } else { 256 });
        let rows = (most / row.max(1)).max(1) * row;
        rows.min(elements).min(most.max(1)).max(1)
    }
}

/// Trainable parameters are f32 and belong to one layer each.
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
            if tensor.dtype != DType::F32 {
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

/// The tensor that the loss reads, and the softmax that it contains.
fn loss_input(graph: &Graph, output: TensorId, loss: Loss) -> Result<(TensorId, Option<NodeId>), LowerError> {
    let Some(last) = graph.producers()[output.index()] else {
        return Err(LowerError::NothingToTrain);
    };
    let node = graph.node(last);
    let refuse = |hint| {
        let (node, op) = (node.name.clone(), node.op.kind());
        Err(LowerError::Loss { loss: loss.name(), node, op, hint })
    };
    if loss == Loss::MeanSquaredError {
        return Ok((output, None));
    }
    if graph.tensor(output).shape.len() != 1 {
        return refuse("it needs one axis of classes");
    }
    match &node.op {
        // The loss works on what goes into the softmax: exact where the softmax is 0.
        Op::Softmax(_) => Ok((node.inputs[0], Some(last))),
        Op::Activation(_) => refuse("it contains a softmax; end the network with softmax or without activation"),
        op if op.fused() != Activation::Linear => {
            refuse("it contains a softmax; end the network with softmax or without activation")
        }
        _ => Ok((output, None)),
    }
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
    /// The loss: reads predictions and target, leaves the gradient of the predictions.
    fn loss(
        &mut self,
        loss: Loss,
        head: TensorId,
        softmax: Option<NodeId>,
        gradients: &mut Gradients,
    ) -> Result<(), LowerError> {
        let tensor = self.tensor(head);
        let producer = self.graph().producers()[head.index()];
        let layer = softmax.or(producer).map_or("loss", |n| &self.graph().node(n).name).to_owned();
        let len = super::word(tensor.elements());
        let target = self.lowering.program.transient("target");
        let y = self.value(head);
        // The loss works in place on a copy; where nobody reads the predictions any more, the copy
        // and its step vanish.
        let dy = self.lowering.program.transient(format!("{}/gradient", tensor.name));
        self.sequence.push_copy(&layer, softmax, super::word(tensor.bytes()), y, dy);
        match loss {
            Loss::SparseCrossEntropy | Loss::CrossEntropy => {
                let sparse = u32::from(loss == Loss::SparseCrossEntropy);
                self.sequence.push(layer, softmax, move |p| loss::SoftmaxCrossEntropy {
                    classes: len,
                    sparse,
                    z: p.at(dy),
                    target: p.at(target),
                });
            }
            Loss::MeanSquaredError => {
                self.sequence.push(layer, softmax, move |p| loss::MeanSquaredError {
                    len,
                    y: p.at(dy),
                    target: p.at(target),
                });
            }
        }
        gradients.of[head.index()] = Some(dy);
        let class = loss == Loss::SparseCrossEntropy;
        self.sequence.target = Some(Port {
            name: "target".into(),
            buffer: target,
            dtype: if class { PortType::Class } else { PortType::Tensor(DType::F32) },
            shape: if class { Vec::new() } else { tensor.shape.clone() },
            scale: 1.0,
            zero_point: if class { len as i32 } else { 0 },
        });
        Ok(())
    }

    /// The backward steps of one node.
    fn backward(&mut self, id: NodeId, gradients: &mut Gradients, state: &State) -> Result<(), LowerError> {
        let node = self.graph().node(id);
        let output = node.outputs[0];
        let (true, Some(dy)) = (gradients.wanted[output.index()], gradients.of[output.index()].take()) else {
            return Ok(());
        };
        let dy = self.clamp_backward(id, node, dy);
        let input = node.inputs[0];
        match &node.op {
            Op::Flatten(_) | Op::Reshape(_) => self.contribute(id, node, input, dy, gradients),
            Op::Add(_) => {
                // Each input has a gradient of its own, which others may add to.
                for input in node.data_inputs() {
                    if gradients.wanted[input.index()] {
                        let dx = self.gradient(*input);
                        let bytes = super::word(self.tensor(*input).bytes());
                        self.sequence.push_copy(&node.name, Some(id), bytes, dy, dx);
                        self.contribute(id, node, *input, dx, gradients);
                    }
                }
            }
            Op::Dense(_) | Op::Conv2d(_) | Op::DepthwiseConv2d(_) => {
                if gradients.wanted[input.index()] {
                    let dx = self.gradient(input);
                    self.input_step(id, node, dy, dx)?;
                    self.contribute(id, node, input, dx, gradients);
                }
                let row = match &node.op {
                    Op::DepthwiseConv2d(_) => self.tensor(output).shape[2],
                    _ => self.tensor(node.inputs[1]).shape[1..].iter().product(),
                };
                if let Some(update) = self.update(node, state, row) {
                    self.update_step(id, node, dy, update)?;
                }
            }
            _ => {
                if gradients.wanted[input.index()] {
                    let dx = self.gradient(input);
                    self.input_step(id, node, dy, dx)?;
                    self.contribute(id, node, input, dx, gradients);
                }
            }
        }
        Ok(())
    }

    /// The step that makes the gradient of a node's input.
    fn input_step(&mut self, id: NodeId, node: &Node, dy: BufferId, dx: BufferId) -> Result<(), LowerError> {
        let x = self.value(node.inputs[0]);
        let y = self.value(node.outputs[0]);
        let w = node.parameters().first().map(|t| self.value(*t));
        let (name, node_id) = (&node.name, Some(id));
        match &node.op {
            Op::Dense(_) => {
                let shape = self.dense_shape(node);
                self.sequence.push(name, node_id, move |p| dense::BackwardInputF32 {
                    shape,
                    dy: p.at(dy),
                    w: p.opt(w),
                    dx: p.at(dx),
                });
            }
            Op::Conv2d(op) => {
                let shape = self.conv2d_shape(node, op)?;
                let scratch = self.conv2d_scratch(node, &shape);
                self.sequence.push(name, node_id, move |p| conv2d::BackwardInputF32 {
                    shape,
                    dy: p.at(dy),
                    w: p.opt(w),
                    dx: p.at(dx),
                    scratch: Scratch { at: p.opt(scratch.0), elements: scratch.1 },
                });
            }
            Op::DepthwiseConv2d(op) => {
                let shape = self.depthwise_shape(node, op)?;
                self.sequence.push(name, node_id, move |p| depthwise_conv2d::BackwardInputF32 {
                    shape,
                    dy: p.at(dy),
                    w: p.opt(w),
                    dx: p.at(dx),
                });
            }
            Op::MaxPool2d(_) | Op::GlobalMaxPool2d(_) => {
                let shape = self.pool_shape(node)?;
                self.sequence.push(name, node_id, move |p| max_pool::BackwardF32 {
                    shape,
                    x: p.at(x),
                    dy: p.at(dy),
                    dx: p.at(dx),
                });
            }
            Op::AveragePool2d(_) | Op::GlobalAveragePool2d(_) => {
                let shape = self.pool_shape(node)?;
                self.sequence.push(name, node_id, move |p| average_pool::BackwardF32 {
                    shape,
                    dy: p.at(dy),
                    dx: p.at(dx),
                });
            }
            Op::Activation(layer) => self.activation_backward(id, node, layer.function, y, (dy, dx))?,
            Op::Softmax(_) => {
                let (rows, len) = self.softmax_rows(node);
                self.sequence.push_in_place(name, node_id, &[(dy, dx)], move |p| softmax::BackwardF32 {
                    rows,
                    len,
                    y: p.at(y),
                    dy: p.at(dy),
                    dx: p.at(dx),
                });
            }
            _ => return Err(unsupported(node, "training through this operation")),
        }
        Ok(())
    }

    /// The step that makes the gradients of a layer's parameters and updates them.
    fn update_step(&mut self, id: NodeId, node: &Node, dy: BufferId, update: UpdateBuffers) -> Result<(), LowerError> {
        let x = self.value(node.inputs[0]);
        let (name, node_id) = (&node.name, Some(id));
        match &node.op {
            Op::Dense(_) => {
                let shape = self.dense_shape(node);
                self.sequence.push(name, node_id, move |p| dense::BackwardWeightsF32 {
                    shape,
                    x: p.at(x),
                    dy: p.at(dy),
                    trained: update.record(p),
                });
            }
            Op::Conv2d(op) => {
                let shape = self.conv2d_shape(node, op)?;
                let scratch = self.conv2d_scratch(node, &shape);
                self.sequence.push(name, node_id, move |p| conv2d::BackwardWeightsF32 {
                    shape,
                    x: p.at(x),
                    dy: p.at(dy),
                    scratch: Scratch { at: p.opt(scratch.0), elements: scratch.1 },
                    trained: update.record(p),
                });
            }
            Op::DepthwiseConv2d(op) => {
                let shape = self.depthwise_shape(node, op)?;
                self.sequence.push(name, node_id, move |p| depthwise_conv2d::BackwardWeightsF32 {
                    shape,
                    x: p.at(x),
                    dy: p.at(dy),
                    trained: update.record(p),
                });
            }
            _ => return Err(unsupported(node, "training this operation")),
        }
        Ok(())
    }

    /// The gradient in front of a fused clamp.
    fn clamp_backward(&mut self, id: NodeId, node: &Node, dy: BufferId) -> BufferId {
        let fused = node.op.fused();
        if fused == Activation::Linear {
            return dy;
        }
        let y = self.value(node.outputs[0]);
        let name = format!("{}/gradient before {}", node.name, fused.name());
        let dx = self.lowering.program.transient(name);
        // A clamp is always known to the kernel.
        let _ = self.activation_backward(id, node, fused, y, (dy, dx));
        dx
    }

    fn activation_backward(
        &mut self,
        id: NodeId,
        node: &Node,
        function: Activation,
        y: BufferId,
        (dy, dx): (BufferId, BufferId),
    ) -> Result<(), LowerError> {
        let len = super::word(self.tensor(node.outputs[0]).elements());
        let (lo, hi) = bounds(function);
        let kind = activation_kind(node, function)?;
        self.sequence.push_in_place(&node.name, Some(id), &[(dy, dx)], move |p| activation::BackwardF32 {
            kind,
            len,
            lo,
            hi,
            y: p.at(y),
            dy: p.at(dy),
            dx: p.at(dx),
        });
        Ok(())
    }

    /// A new buffer for a tensor's gradient.
    fn gradient(&mut self, of: TensorId) -> BufferId {
        let name = format!("{}/gradient", self.tensor(of).name);
        self.lowering.program.transient(name)
    }

    /// Adds `dx` to what other readers of the tensor have contributed; the buffer is given away.
    fn contribute(&mut self, id: NodeId, node: &Node, tensor: TensorId, dx: BufferId, gradients: &mut Gradients) {
        if !gradients.wanted[tensor.index()] {
            return;
        }
        match gradients.of[tensor.index()] {
            None => gradients.of[tensor.index()] = Some(dx),
            Some(sum) => {
                let len = super::word(self.tensor(tensor).elements());
                self.sequence.push(&node.name, Some(id), move |p| add::AccumulateF32 {
                    len,
                    x: p.at(dx),
                    y: p.at(sum),
                });
            }
        }
    }

    /// Places of the parameters that a layer trains; `None` if all are frozen.
    fn update(&mut self, node: &Node, state: &State, row: usize) -> Option<UpdateBuffers> {
        let graph = self.graph();
        let trainable = |t: &&TensorId| graph.tensor(**t).trainable;
        let w = node.parameters().first().filter(trainable).copied();
        let b = node.parameters().get(1).filter(trainable).copied();
        let row_of = |t: TensorId, row| state.tile_elements(graph.tensor(t).elements(), row);
        let elements = match (w, b) {
            (None, None) => return None,
            (Some(w), _) => row_of(w, row),
            (None, Some(b)) => row_of(b, graph.tensor(b).elements()),
        };
        Some(UpdateBuffers {
            w: w.map(|t| self.value(t)),
            b: b.map(|t| self.value(t)),
            w_state: w.and_then(|t| state.of[t.index()]),
            b_state: b.and_then(|t| state.of[t.index()]),
            tile: self.lowering.program.transient(format!("{}/tile", node.name)),
            tile_elements: super::word(elements),
            slots: state.slots,
        })
    }
}

/// [`Trained`] before its places are known.
#[derive(Debug, Clone, Copy)]
struct UpdateBuffers {
    w: Option<BufferId>,
    b: Option<BufferId>,
    w_state: Option<BufferId>,
    b_state: Option<BufferId>,
    tile: BufferId,
    tile_elements: u32,
    slots: u32,
}

impl UpdateBuffers {
    fn record(&self, p: super::program::Places<'_>) -> Trained {
        Trained {
            w: p.opt(self.w),
            b: p.opt(self.b),
            w_state: p.opt(self.w_state),
            b_state: p.opt(self.b_state),
            tile: p.at(self.tile),
            tile_elements: self.tile_elements,
            slots: self.slots,
        }
    }
}
