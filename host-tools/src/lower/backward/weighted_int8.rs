//! Int8 layers with weights: the gradient of the input first, then the update of the integers, because both read the
//! weights.

use super::super::forward::Site;
use super::super::{BufferId, Emit, LowerError, unsupported, word};
use super::{Gradients, State};
use crate::graph::{Data, Node, Op, TensorId};
use embernet_core::checksum::crc32;
use embernet_core::kernels::trained_int8::TrainedI8;
use embernet_core::kernels::{conv2d, depthwise_conv2d};
use embernet_core::optim::state::least_tile;

/// Elements of a gradient tile, and of what is unpacked at once: several filters of a small network, so that an input is
/// not unpacked for each of them.
const TILE: usize = 512;

/// A layer's shape as the backward steps have it.
enum Shape {
    Convolution(conv2d::Conv2d),
    Depthwise(depthwise_conv2d::DepthwiseConv2d),
}

impl State {
    /// Elements of scratch for a layer with so many weights (or biases): a tile, as much to unpack into, and room for a
    /// block of narrow state.
    fn tile_pair(&self, elements: usize) -> usize {
        2 * self.tile.unwrap_or(TILE).min(elements).max(1) + (least_tile(self.layout) - 1)
    }
}

impl Emit<'_, '_> {
    pub(super) fn weighted_backward_i8(
        &mut self,
        site: Site<'_>,
        dy: BufferId,
        gradients: &mut Gradients,
        state: &State,
    ) -> Result<(), LowerError> {
        let input = site.node.inputs[0];
        let shape = self.shape_i8(site.node)?;
        let scale = self.scale_table(site.node)?;
        if let Some(dx) = self.gradient(input, gradients) {
            self.input_step_i8(site, &shape, scale, dy, dx, state);
            self.contribute(site, input, dx, gradients);
        }
        self.update_i8(site, &shape, dy, scale, state)
    }

    /// The gradient of the input of a layer whose integers stay, between float activations.
    pub(super) fn hybrid_input_step(
        &mut self,
        site: Site<'_>,
        dy: BufferId,
        dx: BufferId,
        state: &State,
    ) -> Result<(), LowerError> {
        let (shape, scale) = (self.shape_i8(site.node)?, self.scale_table(site.node)?);
        self.input_step_i8(site, &shape, scale, dy, dx, state);
        Ok(())
    }

    fn shape_i8(&self, node: &Node) -> Result<Shape, LowerError> {
        Ok(match &node.op {
            Op::Dense(_) => Shape::Convolution(self.pointwise_shape(node)),
            Op::Conv2d(op) => Shape::Convolution(self.conv2d_shape(node, op)?),
            Op::DepthwiseConv2d(op) => Shape::Depthwise(self.depthwise_shape(node, op)?),
            _ => return Err(unsupported(node, "training this operation in int8")),
        })
    }

    /// The scales of a layer's weights, and how many.
    fn scale_table(&mut self, node: &Node) -> Result<(BufferId, u32), LowerError> {
        let scales = self.scales_of(node)?;
        let count = word(scales.len());
        Ok((self.table(node, "scale", &Data::F32(scales)), count))
    }

    fn input_step_i8(
        &mut self,
        site: Site<'_>,
        shape: &Shape,
        (scale, scales): (BufferId, u32),
        dy: BufferId,
        dx: BufferId,
        state: &State,
    ) {
        let (id, name) = (Some(site.id), &site.node.name);
        let w = self.value(site.node.inputs[1]);
        match *shape {
            Shape::Convolution(shape) => {
                let tile_elements = word(state.tile.unwrap_or(TILE).min(shape.weights()).max(1));
                let tile = self.lowering.program.transient(format!("{name}/unpacked"));
                self.sequence.push(name, id, move |p| conv2d::BackwardInputI8 {
                    shape,
                    dy: p.at(dy),
                    w: p.at(w),
                    scale: p.at(scale),
                    scales,
                    tile: p.at(tile),
                    tile_elements,
                    dx: p.at(dx),
                });
            }
            Shape::Depthwise(shape) => {
                self.sequence.push(name, id, move |p| depthwise_conv2d::BackwardInputI8 {
                    shape,
                    dy: p.at(dy),
                    w: p.at(w),
                    scale: p.at(scale),
                    scales,
                    dx: p.at(dx),
                });
            }
        }
    }

    /// The step that makes the gradients of a layer's integers and updates them, if any learns.
    fn update_i8(
        &mut self,
        site: Site<'_>,
        shape: &Shape,
        dy: BufferId,
        (scale, scales): (BufferId, u32),
        state: &State,
    ) -> Result<(), LowerError> {
        let Site { id, node, .. } = site;
        let (w, b) = self.trainable(node);
        let Some(most) = w.or(b) else { return Ok(()) };
        let from = self.affine(node, node.inputs[0])?;
        let elements = state.tile_pair(self.tensor(most).elements());
        let tile = self.lowering.program.transient(format!("{}/tile", node.name));
        let of = |t: Option<TensorId>| t.and_then(|t| state.of[t.index()]);
        let (w_state, b_state, slots) = (of(w), of(b), state.layout);
        // A bias does not need it, and so nobody keeps it for one.
        let x = w.map(|_| self.value(node.inputs[0]));
        let [w, b] = [w, b].map(|t| t.map(|t| self.value(t)));
        let seed = crc32(node.name.as_bytes());
        let trained = move |p: super::super::program::Places<'_>| TrainedI8 {
            w: p.opt(w),
            b: p.opt(b),
            w_state: p.opt(w_state),
            b_state: p.opt(b_state),
            tile: p.at(tile),
            tile_elements: word(elements),
            slots,
            scale: p.at(scale),
            scales,
            x_scale: from.scale(),
            x_zero_point: from.zero_point(),
            seed,
            scaled: 1,
        };
        match *shape {
            Shape::Convolution(shape) => {
                self.sequence.push(&node.name, Some(id), move |p| conv2d::BackwardWeightsI8 {
                    shape,
                    x: p.opt(x),
                    dy: p.at(dy),
                    trained: trained(p),
                });
            }
            Shape::Depthwise(shape) => {
                self.sequence.push(&node.name, Some(id), move |p| depthwise_conv2d::BackwardWeightsI8 {
                    shape,
                    x: p.opt(x),
                    dy: p.at(dy),
                    trained: trained(p),
                });
            }
        }
        Ok(())
    }

    /// Scales of a layer's weights: one for all, or one for each output.
    fn scales_of(&self, node: &Node) -> Result<Vec<f32>, LowerError> {
        let id = node.inputs[1];
        let (axis, outputs) = super::super::forward::channels(node, &self.tensor(id).shape);
        self.weight_scales(node, id, axis, outputs)
    }
}
