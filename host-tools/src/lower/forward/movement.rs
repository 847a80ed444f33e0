//! Operations that move values: a copy of a box for each input, or nothing at all where no value changes its place.

use super::super::program::{Part, Places};
use super::super::{BufferId, Emit, LowerError, unsupported, word};
use super::Site;
use super::boxes::{Block, blocks};
use crate::graph::ops::{Pad, ResizeNearest};
use crate::graph::{DType, Data, Node};
use embernet_core::kernels::fixed::movement::Move as Move16;
use embernet_core::kernels::resize;
use embernet_core::kernels::strided::{Outside, Side, StridedCopy};

/// One copy of a box.
pub(in super::super) struct Move {
    pub block: Block,
    pub x: BufferId,
    /// Whether the source is the same for all samples.
    pub repeats: bool,
    pub y: BufferId,
    pub outside: Outside,
    /// The filling value in its low bytes.
    pub fill: u32,
}

impl Emit<'_, '_> {
    /// Transpose, slice, pad and concatenation.
    pub(in super::super) fn movement(&mut self, site: Site<'_>, pad: Option<&Pad>) -> Result<(), LowerError> {
        let Site { node, dtype, .. } = site;
        if !matches!(dtype, DType::F32 | DType::I8 | DType::I16) {
            return Err(self.no_kernel(site));
        }
        if dtype != DType::F32 {
            for input in node.data_inputs() {
                let (from, to) = (self.affine(node, *input)?, self.affine(node, node.outputs[0])?);
                self.expect_scale(node, to, from)?;
            }
        }
        let blocks = blocks(self.graph(), node);
        if let [block] = blocks.as_slice()
            && block.is_identity()
        {
            self.alias(node);
            return Ok(());
        }
        let fill = match pad {
            Some(pad) => self.fill(node, dtype, pad.value)?,
            None => 0,
        };
        let sources: Vec<BufferId> = node.data_inputs().iter().map(|t| self.value(*t)).collect();
        let y = self.output(node);
        for (i, (block, x)) in blocks.into_iter().zip(sources).enumerate() {
            // Of several parts the first one brings the output into being, and the others add to it.
            let outside = match i {
                _ if pad.is_some() => Outside::Fill,
                0 => Outside::Later,
                _ => Outside::Keep,
            };
            let repeats = self.tensor(node.inputs[i]).data.is_some();
            if repeats && self.lowering.is_fixed() {
                return Err(unsupported(node, "a constant input in 16-bit fixed point"));
            }
            self.strided_copy(site, dtype, Move { block, x, repeats, y, outside, fill })?;
        }
        Ok(())
    }

    /// The output is the input under another name.
    pub(in super::super) fn alias(&mut self, node: &Node) {
        let value = self.value(node.inputs[0]);
        self.values[node.outputs[0].index()] = Some(value);
    }

    /// A real as the element type has it.
    fn fill(&self, node: &Node, dtype: DType, value: f32) -> Result<u32, LowerError> {
        if dtype == DType::F32 {
            if self.lowering.is_fixed() && value != 0.0 {
                return Err(unsupported(node, "a border of other than zeros in 16-bit fixed point"));
            }
            return Ok(value.to_bits());
        }
        Ok(self.affine(node, node.outputs[0])?.nearest(value) as u32)
    }

    /// The step of one copy.
    pub(in super::super) fn strided_copy(
        &mut self,
        site: Site<'_>,
        dtype: DType,
        copy: Move,
    ) -> Result<(), LowerError> {
        let Move { block, x, repeats, y, outside, fill } = copy;
        let Some((extents, [from, to])) = block.words() else {
            return Err(unsupported(site.node, "more axes than one copy has"));
        };
        let side = move |at, elements, (start, strides)| Side { at, elements: word(elements), start, strides };
        let (name, id, repeats, outside_word) = (&site.node.name, Some(site.id), u32::from(repeats), outside as u32);
        let elements = [block.x.elements, block.y.elements];
        let copy = move |p: Places<'_>, size, fill| {
            let (x, y) = (side(p.at(x), elements[0], from), side(p.at(y), elements[1], to));
            StridedCopy { size, extents, x, repeats, y, outside: outside_word, fill }
        };
        if self.lowering.is_fixed() {
            // Mantissas; zero is zero.
            self.sequence.push(name, id, move |p| Move16 { copy: copy(p, 2, 0) });
            return Ok(());
        }
        let size = word(dtype.bytes());
        self.sequence.push(name, id, move |p| copy(p, size, fill));
        if outside != Outside::Fill && self.sequence.samples == 1 {
            self.say_part(&block, dtype, x, y);
        }
        Ok(())
    }

    /// Tells the plan where one side of the last step's copy is one piece of the other, so that it may lie there.
    fn say_part(&mut self, block: &Block, dtype: DType, x: BufferId, y: BufferId) {
        let (Some([from, to]), count) = (block.piece(), block.count()) else { return };
        let (whole, start, part) = match count {
            _ if count == block.x.elements => (y, to, x),
            _ if count == block.y.elements => (x, from, y),
            _ => return,
        };
        let [offset, bytes] = [start, count].map(|elements| elements * dtype.bytes());
        self.sequence.copies_part(Part { whole, offset, part, bytes });
    }

    pub(super) fn resize_nearest(&mut self, site: Site<'_>, op: &ResizeNearest) -> Result<(), LowerError> {
        let Site { node, dtype, .. } = site;
        if !matches!(dtype, DType::F32 | DType::I8 | DType::I16) {
            return Err(self.no_kernel(site));
        }
        if dtype != DType::F32 {
            self.same_scale(node)?;
        }
        let x = self.value(node.inputs[0]);
        let y = self.output(node);
        self.resize_step(site, self.image(node.inputs[0]), [&op.rows, &op.cols], (x, y));
        Ok(())
    }

    /// The step that takes these rows and columns of an image.
    pub(in super::super) fn resize_step(
        &mut self,
        Site { id, node, dtype }: Site<'_>,
        [in_h, in_w, channels]: [u32; 3],
        tables: [&[u32]; 2],
        (x, y): (BufferId, BufferId),
    ) {
        let [out_h, out_w] = tables.map(|table| word(table.len()));
        let table = |indices: &[u32]| Data::I32(indices.iter().map(|i| *i as i32).collect());
        let rows = self.table(node, "rows", &table(tables[0]));
        let cols = self.table(node, "cols", &table(tables[1]));
        let size = word(dtype.bytes());
        self.sequence.push(&node.name, Some(id), move |p| resize::ResizeNearest {
            in_h,
            in_w,
            out_h,
            out_w,
            size,
            channels,
            rows: p.at(rows),
            cols: p.at(cols),
            x: p.at(x),
            y: p.at(y),
        });
    }
}
