//! Layers with weights: the gradient of the input first, then the update, because both read the weights.

use super::super::forward::Site;
use super::super::program::Places;
use super::super::{BufferId, Emit, LowerError, unsupported, word};
use super::{Gradients, State};
use crate::graph::{DType, Node, Op, TensorId};
use embernet_core::kernels::trained::Trained;
use embernet_core::kernels::window::Window2d;
use embernet_core::kernels::{conv2d, dense, depthwise_conv2d};
use embernet_core::plan::Ref;

impl Emit<'_, '_> {
    pub(super) fn weighted_backward(
        &mut self,
        site: Site<'_>,
        dy: BufferId,
        gradients: &mut Gradients,
        state: &State,
    ) -> Result<(), LowerError> {
        let node = site.node;
        let input = node.inputs[0];
        let dx = self.gradient(input, gradients);
        let row = match &node.op {
            Op::DepthwiseConv2d(_) => self.tensor(node.outputs[0]).shape[2],
            _ => self.tensor(node.inputs[1]).shape[1..].iter().product(),
        };
        let in_one = matches!(node.op, Op::Dense(_)) && self.trainable(node).0.is_some() && !state.packs;
        if let Some(dx) = dx.filter(|_| !in_one) {
            self.weighted_input_step(site, dy, dx, state)?;
            self.contribute(site, input, dx, gradients);
        }
        let update = self.update(node, state, row);
        match (update, dx) {
            (None, _) => Ok(()),
            (Some(update), Some(dx)) if in_one => {
                let relu = self.relu_before(input, gradients);
                self.dense_step(site, dy, update, Some((dx, relu)));
                self.contribute(site, input, dx, gradients);
                Ok(())
            }
            (Some(update), _) => self.update_step(site, dy, update),
        }
    }

    /// The greatest output of the relu that makes a dense layer's input, if nothing else reads that; the input's gradient
    /// is that in front of the relu then.
    fn relu_before(&self, input: TensorId, gradients: &mut Gradients) -> Option<f32> {
        let graph = self.graph();
        let maker = graph.producers()[input.index()]?;
        let (lo, hi) = graph.node(maker).op.fused().clamp()?;
        let alone = self.consumers[input.index()].len() == 1 && !graph.outputs.contains(&input);
        let folds = alone && lo == 0.0 && hi > 0.0 && self.has_clamp_step(maker);
        gradients.limited[input.index()] = folds;
        folds.then_some(hi)
    }

    /// The step that makes the gradient of a layer's input.
    fn weighted_input_step(
        &mut self,
        site: Site<'_>,
        dy: BufferId,
        dx: BufferId,
        state: &State,
    ) -> Result<(), LowerError> {
        let node = site.node;
        if node.parameters().first().is_some_and(|t| self.tensor(*t).dtype == DType::I8) {
            return self.hybrid_input_step(site, dy, dx, state);
        }
        let w = node.parameters().first().map(|t| self.value(*t));
        let name = &node.name;
        if let Some(shape) = self.convolution(node)? {
            let scratch = self.conv2d_scratch(node, &shape);
            self.sequence.push(name, Some(site.id), move |p| conv2d::BackwardInputF32 {
                shape,
                dy: p.at(dy),
                w: p.opt(w),
                dx: p.at(dx),
                scratch: scratch.at(p),
            });
            return Ok(());
        }
        match &node.op {
            Op::Dense(_) => {
                let shape = self.dense_shape(node);
                self.sequence.push(name, Some(site.id), move |p| dense::BackwardInputF32 {
                    shape,
                    dy: p.at(dy),
                    w: p.opt(w),
                    dx: p.at(dx),
                });
            }
            Op::DepthwiseConv2d(op) => {
                let shape = self.depthwise_shape(node, op)?;
                self.sequence.push(name, Some(site.id), move |p| depthwise_conv2d::BackwardInputF32 {
                    shape,
                    dy: p.at(dy),
                    w: p.opt(w),
                    dx: p.at(dx),
                });
            }
            // The gradient of a map that a convolution makes backwards is that convolution.
            Op::TransposeConv2d(op) => {
                let shape = self.transposed_shape(node, op)?;
                let scratch = self.conv2d_scratch(node, &shape);
                self.sequence.push(name, Some(site.id), move |p| conv2d::ForwardF32 {
                    shape,
                    x: p.at(dy),
                    w: p.opt(w),
                    b: Ref::NONE,
                    y: p.at(dx),
                    scratch: scratch.at(p),
                    lo: f32::NEG_INFINITY,
                    hi: f32::INFINITY,
                });
            }
            _ => return Err(unsupported(node, "training this operation")),
        }
        Ok(())
    }

    /// The step that makes the gradients of a layer's parameters and updates them.
    fn update_step(&mut self, site: Site<'_>, dy: BufferId, update: UpdateBuffers) -> Result<(), LowerError> {
        let node = site.node;
        // A bias does not need it, and so nobody keeps it for one.
        let x = update.w.map(|_| self.value(node.inputs[0]));
        let name = &node.name;
        if let Some(shape) = self.convolution(node)? {
            self.sequence.push(name, Some(site.id), move |p| conv2d::BackwardWeightsF32 {
                shape,
                x: p.opt(x),
                dy: p.at(dy),
                trained: update.record(p),
            });
            return Ok(());
        }
        match &node.op {
            Op::Dense(_) => self.dense_step(site, dy, update, None),
            Op::DepthwiseConv2d(op) => {
                let shape = self.depthwise_shape(node, op)?;
                self.sequence.push(name, Some(site.id), move |p| depthwise_conv2d::BackwardWeightsF32 {
                    shape,
                    x: p.opt(x),
                    dy: p.at(dy),
                    trained: update.record(p),
                });
            }
            Op::TransposeConv2d(op) => {
                // The weights are those of the convolution from `y` to `x`; the bias is that of a layer whose output
                // is `y`, here one with a weight for each channel.
                let shape = self.transposed_shape(node, op)?;
                let kernel = UpdateBuffers { b: None, b_state: None, ..update };
                let bias = UpdateBuffers { w: None, w_state: None, ..update };
                if update.w.is_some() {
                    self.sequence.push(name, Some(site.id), move |p| conv2d::BackwardWeightsF32 {
                        shape,
                        x: p.at(dy),
                        dy: p.opt(x),
                        trained: kernel.record(p),
                    });
                }
                if update.b.is_some() {
                    let (pixels, out_c) = (word(shape.window.in_pixels()), shape.in_c);
                    let shape =
                        conv2d::Conv2d { window: Window2d::pointwise(pixels), in_c: out_c, out_c, groups: out_c };
                    self.sequence.push(name, Some(site.id), move |p| conv2d::BackwardWeightsF32 {
                        shape,
                        x: p.at(dy),
                        dy: p.at(dy),
                        trained: bias.record(p),
                    });
                }
            }
            _ => return Err(unsupported(node, "training this operation")),
        }
        Ok(())
    }

    /// The same of a dense layer, which may make the gradient of its input, in front of such a relu, as well.
    fn dense_step(&mut self, site: Site<'_>, dy: BufferId, update: UpdateBuffers, dx: Option<(BufferId, Option<f32>)>) {
        let node = site.node;
        let x = update.w.map(|_| self.value(node.inputs[0]));
        let shape = self.dense_shape(node);
        let relu = dx.and_then(|(_, relu)| relu).unwrap_or(0.0);
        self.sequence.push(&node.name, Some(site.id), move |p| dense::BackwardWeightsF32 {
            shape,
            x: p.opt(x),
            dy: p.at(dy),
            trained: update.record(p),
            dx: p.opt(dx.map(|(dx, _)| dx)),
            relu,
        });
    }

    /// Places of the parameters that a layer trains; `None` if all are frozen.
    fn update(&mut self, node: &Node, state: &State, row: usize) -> Option<UpdateBuffers> {
        let graph = self.graph();
        let small = matches!(node.op, Op::Dense(_)) && self.sequence.samples == 1 && state.needs_no_tile;
        let row_of = |t: TensorId, row| if small { 0 } else { state.tile_elements(graph.tensor(t).elements(), row) };
        let elements = match self.trainable(node) {
            (None, None) => return None,
            (Some(w), _) => row_of(w, row),
            (None, Some(b)) => row_of(b, graph.tensor(b).elements()),
        };
        Some(self.update_buffers(node, state, elements))
    }

    /// The step that updates such parameters of a layer over rows, one after another: weights whose rows multiply those
    /// of `x`, and the bias added to them. Nothing if both are frozen.
    pub(super) fn update_rows(
        &mut self,
        site: Site<'_>,
        shape: conv2d::Conv2d,
        (x, dy): (BufferId, BufferId),
        parameters: (Option<TensorId>, Option<TensorId>),
        state: &State,
    ) {
        let (w, b) = (self.learning(parameters.0), self.learning(parameters.1));
        let Some(first) = w.or(b) else { return };
        let row = if w.is_some() { shape.group_in() } else { shape.out_c as usize };
        let elements = state.tile_elements(self.tensor(first).elements(), row);
        let update = self.buffers_of(site.node, (w, b), state, elements);
        let x = w.map(|_| x);
        self.sequence.push(&site.node.name, Some(site.id), move |p| conv2d::BackwardWeightsF32 {
            shape,
            x: p.opt(x),
            dy: p.at(dy),
            trained: update.record(p),
        });
    }

    /// The same with so much scratch, for a layer that trains its weights.
    pub(in super::super) fn update_whole(
        &mut self,
        node: &Node,
        state: &State,
        elements: usize,
    ) -> Option<UpdateBuffers> {
        self.trainable(node).0.is_some().then(|| self.update_buffers(node, state, elements))
    }

    /// The weights and biases that a layer trains.
    pub(super) fn trainable(&self, node: &Node) -> (Option<TensorId>, Option<TensorId>) {
        let parameter = |index: usize| self.learning(node.parameters().get(index).copied());
        (parameter(0), parameter(1))
    }

    /// A parameter, if it learns.
    pub(in super::super) fn learning(&self, parameter: Option<TensorId>) -> Option<TensorId> {
        parameter.filter(|t| self.tensor(*t).trainable)
    }

    fn update_buffers(&mut self, node: &Node, state: &State, elements: usize) -> UpdateBuffers {
        let parameters = self.trainable(node);
        self.buffers_of(node, parameters, state, elements)
    }

    fn buffers_of(
        &mut self,
        node: &Node,
        (w, b): (Option<TensorId>, Option<TensorId>),
        state: &State,
        elements: usize,
    ) -> UpdateBuffers {
        UpdateBuffers {
            w: w.map(|t| self.value(t)),
            b: b.map(|t| self.value(t)),
            w_state: w.and_then(|t| state.of[t.index()]),
            b_state: b.and_then(|t| state.of[t.index()]),
            tile: (elements > 0).then(|| self.lowering.program.transient(format!("{}/tile", node.name))),
            tile_elements: word(elements),
            slots: state.layout,
        }
    }
}

/// [`Trained`] before its places are known.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct UpdateBuffers {
    w: Option<BufferId>,
    b: Option<BufferId>,
    w_state: Option<BufferId>,
    b_state: Option<BufferId>,
    tile: Option<BufferId>,
    tile_elements: u32,
    slots: u32,
}

impl UpdateBuffers {
    pub(in super::super) fn record(&self, p: Places<'_>) -> Trained {
        Trained {
            w: p.opt(self.w),
            b: p.opt(self.b),
            w_state: p.opt(self.w_state),
            b_state: p.opt(self.b_state),
            tile: p.opt(self.tile),
            tile_elements: self.tile_elements,
            slots: self.slots,
        }
    }
}
