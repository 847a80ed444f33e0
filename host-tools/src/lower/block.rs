//! A convolution and the max pool that reads it as one step, and all gradients of a convolution as another: on hosts
//! with wide registers (core's `conv2d::block`), where nobody has to see what lies between.

use super::backward::Gradients;
use super::forward::{Site, bounds};
use super::{BufferId, Emit, LowerError};
use crate::graph::{Activation, DType, Node, NodeId, Op};
use embernet_core::kernels::conv2d::block::Block;
use embernet_core::kernels::conv2d::{BlockBackwardF32, BlockF32, Conv2d};

/// A convolution that was lowered together with its pool.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pooled {
    /// The node of the pool.
    pub pool: NodeId,
    block: Block,
    /// Which pixels were the greatest; in a training plan.
    places: Option<BufferId>,
}

impl Emit<'_, '_> {
    /// Lowers a convolution together with the pool behind it; false if they do not make a block.
    pub(super) fn pooled_block(&mut self, site: Site<'_>, shape: &Conv2d) -> Result<bool, LowerError> {
        let Some((pool, block)) = self.pool_behind(site.node, shape)? else { return Ok(false) };
        let node = site.node;
        let (from, to) = (node.op.fused(), self.graph().node(pool).op.fused());
        let (lo, hi) = bounds(if from == Activation::Linear { to } else { from });
        let x = self.value(node.inputs[0]);
        let b = self.float_bias(node)?;
        let panels = self.panels(node, &block.conv);
        let w = panels.or_else(|| node.parameters().first().map(|t| self.value(*t)));
        let y = self.output(self.graph().node(pool));
        let scratch = self.lowering.program.transient(format!("{}/scratch", node.name));
        let places = self.training.then(|| self.lowering.program.transient(format!("{}/places", node.name)));
        self.sequence.push(&node.name, Some(site.id), move |p| BlockF32 {
            shape: block,
            x: p.at(x),
            w: p.opt(w),
            panels: u32::from(panels.is_some()),
            b: p.opt(b),
            y: p.at(y),
            places: p.opt(places),
            scratch: p.at(scratch),
            lo,
            hi,
        });
        self.blocks.insert(site.id, Pooled { pool, block, places });
        Ok(true)
    }

    /// The pool that alone reads a convolution, if both make a block.
    fn pool_behind(&self, node: &Node, shape: &Conv2d) -> Result<Option<(NodeId, Block)>, LowerError> {
        let (graph, output) = (self.graph(), node.outputs[0]);
        let frozen = !node.parameters().first().is_some_and(|kernel| self.tensor(*kernel).trainable);
        let [pool] = self.consumers[output.index()][..] else { return Ok(None) };
        let reader = graph.node(pool);
        let seen = graph.outputs.contains(&output) || !self.lowering.options.reuse;
        let is_pool = matches!(reader.op, Op::MaxPool2d(_)) && self.tensor(reader.outputs[0]).dtype == DType::F32;
        let both_limit = [node, reader].iter().all(|node| node.op.fused() != Activation::Linear);
        if !self.makes_blocks() || seen || !is_pool || both_limit || (self.training && frozen) {
            return Ok(None);
        }
        Ok(Block::new(shape, Some(&self.pool_shape(reader)?)).map(|block| (pool, block)))
    }

    fn makes_blocks(&self) -> bool {
        // Blocks update whole parameters at once.
        let train = self.lowering.options.train.as_ref();
        let is_plain = train.is_none_or(|train| train.optimizer.state == 0 && train.optimizer.passes == 1);
        self.lowering.options.isa.packs() && is_plain
    }

    /// Whether a pool was lowered together with the convolution before it.
    pub(super) fn is_in_block(&self, pool: NodeId) -> bool {
        self.blocks.values().any(|pooled| pooled.pool == pool)
    }

    /// All backward steps of a convolution as one; false if it is not for that.
    pub(super) fn block_backward(
        &mut self,
        site: Site<'_>,
        dy: BufferId,
        gradients: &mut Gradients,
        state: &super::backward::State,
    ) -> Result<bool, LowerError> {
        let node = site.node;
        let pooled = self.blocks.get(&site.id).copied();
        let block = match (pooled, self.convolution(node)?) {
            (Some(pooled), _) => pooled.block,
            (None, Some(shape)) if self.makes_blocks() => match Block::new(&shape, None) {
                Some(block) => block,
                None => return Ok(false),
            },
            _ => return Ok(false),
        };
        let elements = block.backward_scratch(self.sequence.samples);
        let Some(update) = self.update_whole(node, state, elements) else { return Ok(false) };
        let x = self.value(node.inputs[0]);
        // What other readers of the input have contributed is where the sums begin.
        let others = gradients.so_far(node.inputs[0]);
        let dx = others.or_else(|| self.gradient(node.inputs[0], gradients));
        let places = pooled.and_then(|pooled| pooled.places);
        self.sequence.push(&node.name, Some(site.id), move |p| BlockBackwardF32 {
            shape: block,
            x: p.at(x),
            dy: p.at(dy),
            places: p.opt(places),
            dx: p.opt(dx),
            adds: u32::from(others.is_some()),
            trained: update.record(p),
        });
        if let (Some(dx), None) = (dx, others) {
            self.contribute(site, node.inputs[0], dx, gradients);
        }
        Ok(true)
    }
}
