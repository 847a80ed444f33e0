//! The singular value decomposition filter: in steps of other layers.
//!
//! A filter's output is its time weights times its memory, whose newest value is the product of kernel and input. The
//! gradient ends at the present run: what older runs have left in the memory counts as given.

use super::super::forward::{Block, Lay, Move, Operand, Site};
use super::super::{BufferId, Emit, LowerError, word};
use super::elementwise::UNLIMITED;
use super::{Gradients, State};
use crate::graph::DType;
use crate::graph::ops::Svdf;
use embernet_core::kernels::binary::Kind;
use embernet_core::kernels::conv2d::Conv2d;
use embernet_core::kernels::dense;
use embernet_core::kernels::strided::Outside;
use embernet_core::kernels::window::Window2d;

impl Emit<'_, '_> {
    pub(super) fn svdf_backward(
        &mut self,
        site: Site<'_>,
        op: &Svdf,
        dy: BufferId,
        gradients: &mut Gradients,
        state: &State,
    ) -> Result<(), LowerError> {
        let (node, input) = (site.node, site.node.inputs[0]);
        let (inputs, filters) = (self.tensor(input).elements(), op.units * op.rank);
        let parameters = node.parameters();
        let (kernel, time, bias) = (parameters[0], parameters[1], op.use_bias.then(|| parameters[2]));
        // All filters of a unit have its gradient.
        let of_filters = match op.rank {
            1 => dy,
            rank => {
                let x = Lay { elements: op.units, start: 0, strides: vec![1, 0] };
                self.taken(site, (dy, x, false), &[op.units, rank], "filters' gradient")?
            }
        };
        let dx = self.gradient(input, gradients);
        let x = self.value(input);
        let rows = |in_c: usize, out_c: usize, groups: usize| Conv2d {
            window: Window2d::pointwise(1),
            in_c: word(in_c),
            out_c: word(out_c),
            groups: word(groups),
        };
        if dx.is_some() || self.tensor(kernel).trainable {
            // The newest value of a filter meets the last of its time weights.
            let (weights, memory) = (self.value(time), op.memory as isize);
            let last = Lay { elements: filters * op.memory, start: op.memory - 1, strides: vec![memory] };
            let newest = self.taken(site, (weights, last, true), &[filters], "newest weights")?;
            let product = self.beside(site, "newest values' gradient");
            let [dy, newest] = [of_filters, newest].map(|at| Operand { at, shape: vec![filters], repeats: false });
            self.binary_step(site, Kind::Mul, [dy, newest], (product, &[filters]), UNLIMITED)?;
            if let Some(dx) = dx {
                let shape = dense::Dense { inputs: word(inputs), outputs: word(filters) };
                let w = self.value(kernel);
                self.sequence.push(&node.name, Some(site.id), move |p| dense::BackwardInputF32 {
                    shape,
                    dy: p.at(product),
                    w: p.at(w),
                    dx: p.at(dx),
                });
                self.contribute(site, input, dx, gradients);
            }
            self.update_rows(site, rows(inputs, filters, 1), (x, product), (Some(kernel), None), state);
        }
        let memory = self.svdf_memory(node)?;
        let of_time = rows(filters * op.memory, filters, filters);
        self.update_rows(site, of_time, (memory, of_filters), (Some(time), None), state);
        self.update_rows(site, rows(op.units, op.units, 1), (dy, dy), (None, bias), state);
        Ok(())
    }

    /// A copy of these elements of a buffer, which may be the same for all samples.
    fn taken(
        &mut self,
        site: Site<'_>,
        (from, x, repeats): (BufferId, Lay, bool),
        extents: &[usize],
        what: &str,
    ) -> Result<BufferId, LowerError> {
        let to = self.beside(site, what);
        let block = Block { extents: extents.to_vec(), x, y: Lay::natural(extents) };
        let copy = Move { block, x: from, repeats, y: to, outside: Outside::Later, fill: 0 };
        self.strided_copy(site, DType::F32, copy)?;
        Ok(to)
    }
}
