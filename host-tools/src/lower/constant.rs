//! f32 layers of hosts with wide registers whose weights nobody changes: they lie in the image as the kernels read them,
//! so that no inference turns them over first.

use super::forward::{Site, bounds};
use super::{BufferId, Emit, LowerError, word};
use crate::graph::{Data, Node};
use embernet_core::kernels::conv2d::block::Block;
use embernet_core::kernels::conv2d::{BlockF32, Conv2d, pack_panels};
use embernet_core::kernels::dense::{AcrossF32, Dense};

impl<'g> Emit<'_, 'g> {
    /// The weights of a layer, if they are constants that the target may have in any order.
    fn constants(&self, node: &Node) -> Option<&'g [f32]> {
        let options = &self.lowering.options;
        let free = options.isa.packs() && options.train.is_none();
        self.tensor(*node.inputs.get(1).filter(|_| free)?).data.as_ref()?.as_f32()
    }

    /// Filters of a block as panels, if they are constants.
    pub(super) fn panels(&mut self, node: &Node, shape: &Conv2d) -> Option<BufferId> {
        let mut panels = vec![0.0; shape.weights()];
        pack_panels(shape, self.constants(node)?, &mut panels);
        Some(self.table(node, "kernel", &Data::F32(panels)))
    }

    /// Lowers a convolution with constant filters; false if it is not for that.
    pub(super) fn constant_convolution(&mut self, site: Site<'_>, shape: &Conv2d) -> Result<bool, LowerError> {
        let node = site.node;
        if shape.window.is_pointwise() && shape.groups == 1 {
            let dense = Dense { inputs: shape.in_c, outputs: shape.out_c };
            return self.constant_dense(site, dense, shape.window.out_pixels());
        }
        let Some(block) = Block::new(shape, None) else { return Ok(false) };
        let Some(w) = self.panels(node, shape) else { return Ok(false) };
        let (lo, hi) = bounds(node.op.fused());
        let b = self.float_bias(node)?;
        let x = self.value(node.inputs[0]);
        let y = self.output(node);
        self.sequence.push(&node.name, Some(site.id), move |p| BlockF32 {
            shape: block,
            x: p.at(x),
            w: p.at(w),
            panels: 1,
            b: p.opt(b),
            y: p.at(y),
            places: p.opt(None),
            scratch: p.opt(None),
            lo,
            hi,
        });
        Ok(true)
    }

    /// Lowers a dense layer with constant weights, over so many rows of a sample; false if they are none.
    pub(super) fn constant_dense(&mut self, site: Site<'_>, shape: Dense, rows: usize) -> Result<bool, LowerError> {
        let node = site.node;
        let Some(weights) = self.constants(node) else { return Ok(false) };
        let inputs = shape.inputs as usize;
        let across = (0..inputs).flat_map(|input| weights.iter().skip(input).step_by(inputs).copied()).collect();
        let w = self.table(node, "kernel", &Data::F32(across));
        let (lo, hi) = bounds(node.op.fused());
        let b = self.float_bias(node)?;
        let x = self.value(node.inputs[0]);
        let y = self.output(node);
        self.sequence.push(&node.name, Some(site.id), move |p| AcrossF32 {
            shape,
            positions: word(rows),
            x: p.at(x),
            w: p.at(w),
            b: p.opt(b),
            y: p.at(y),
            lo,
            hi,
        });
        Ok(true)
    }
}
