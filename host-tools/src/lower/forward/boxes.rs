//! Boxes of values between tensors: what movements are made of, forward and backward.

use super::super::word;
use crate::graph::ops::{Concat, Pad, Slice, Transpose};
use crate::graph::{Graph, Node, Op};
use embernet_core::kernels::strided::AXES;

/// How a box lies in one sample of a tensor, in elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Lay {
    pub elements: usize,
    pub start: usize,
    pub strides: Vec<isize>,
}

/// Values that move, with where they lie in an input and in the output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Block {
    pub extents: Vec<usize>,
    pub x: Lay,
    pub y: Lay,
}

/// Extents of a box, and its first element and strides on both sides.
pub(super) type Words = ([u32; AXES], [(u32, [i32; AXES]); 2]);

/// Elements from one index to the next, for each axis of a row-major tensor.
pub(super) fn natural_strides(shape: &[usize]) -> Vec<isize> {
    let mut stride = 1;
    let mut strides: Vec<isize> = shape
        .iter()
        .rev()
        .map(|dim| {
            let here = stride;
            stride *= *dim as isize;
            here
        })
        .collect();
    strides.reverse();
    strides
}

impl Lay {
    pub fn natural(shape: &[usize]) -> Self {
        Self { elements: shape.iter().product(), start: 0, strides: natural_strides(shape) }
    }

    /// The same from another first index on.
    fn from(mut self, begin: &[usize]) -> Self {
        self.start = begin.iter().zip(&self.strides).map(|(b, s)| b * *s as usize).sum();
        self
    }
}

/// The boxes of a movement, one for each data input; none for other operations.
pub(in super::super) fn blocks(graph: &Graph, node: &Node) -> Vec<Block> {
    let shape = |i: usize| graph.tensor(node.inputs[i]).shape.as_slice();
    let out = graph.tensor(node.outputs[0]).shape.as_slice();
    let (x, y) = (Lay::natural(shape(0)), Lay::natural(out));
    match &node.op {
        Op::Transpose(Transpose { perm }) => {
            let strides = perm.iter().map(|axis| x.strides[*axis]).collect();
            vec![Block { extents: out.to_vec(), x: Lay { strides, ..x }, y }]
        }
        Op::Slice(Slice { begin, stride, .. }) => {
            let mut x = x.from(begin);
            x.strides.iter_mut().zip(stride).for_each(|(s, stride)| *s *= stride);
            vec![Block { extents: out.to_vec(), x, y }]
        }
        Op::Pad(Pad { before, .. }) => vec![Block::within(shape(0), out, before)],
        Op::Concat(Concat { axis }) => {
            let mut begin = vec![0; out.len()];
            let mut part = |i: usize| {
                let block =
                    Block { extents: shape(i).to_vec(), x: Lay::natural(shape(i)), y: Lay::natural(out).from(&begin) };
                begin[*axis] += shape(i)[*axis];
                block
            };
            (0..node.data_inputs().len()).map(&mut part).collect()
        }
        _ => Vec::new(),
    }
}

impl Block {
    /// All of a tensor, from this index on in another one.
    pub fn within(x: &[usize], y: &[usize], begin: &[usize]) -> Self {
        Self { extents: x.to_vec(), x: Lay::natural(x), y: Lay::natural(y).from(begin) }
    }

    /// The way back: from the output to the input.
    pub fn reversed(self) -> Self {
        Self { extents: self.extents, x: self.y, y: self.x }
    }

    /// The same box with as few axes as possible: none of one value, and neighbours that both sides walk alike as one.
    fn merged(&self) -> Self {
        let mut merged = Self {
            extents: Vec::new(),
            x: Lay { strides: Vec::new(), ..self.x },
            y: Lay { strides: Vec::new(), ..self.y },
        };
        for (i, &extent) in self.extents.iter().enumerate().filter(|(_, extent)| **extent > 1) {
            let (x, y) = (self.x.strides[i], self.y.strides[i]);
            let inner = extent as isize;
            if let (Some(e), Some(last_x), Some(last_y)) =
                (merged.extents.last_mut(), merged.x.strides.last_mut(), merged.y.strides.last_mut())
                && *last_x == x * inner
                && *last_y == y * inner
            {
                (*e, *last_x, *last_y) = (*e * extent, x, y);
                continue;
            }
            merged.extents.push(extent);
            merged.x.strides.push(x);
            merged.y.strides.push(y);
        }
        merged
    }

    /// Where the box begins on both sides, if it is one piece of either, in the same order.
    pub fn piece(&self) -> Option<[usize; 2]> {
        let merged = self.merged();
        let sides = [&merged.x, &merged.y];
        let dense = sides.iter().all(|lay| lay.strides.first().is_none_or(|stride| *stride == 1));
        (merged.extents.len() <= 1 && dense).then(|| sides.map(|lay| lay.start))
    }

    /// Values that move.
    pub fn count(&self) -> usize {
        self.extents.iter().product()
    }

    /// Whether nothing moves: both tensors are the box.
    pub fn is_identity(&self) -> bool {
        self.piece() == Some([0, 0]) && [&self.x, &self.y].iter().all(|lay| lay.elements == self.count())
    }

    /// Whether the box is all of the output.
    pub fn fills_output(&self) -> bool {
        self.count() == self.y.elements
    }

    /// In the words of a record: extents, and start and strides of both sides. `None` if it has too many axes.
    pub fn words(&self) -> Option<Words> {
        let merged = self.merged();
        let free = AXES.checked_sub(merged.extents.len())?;
        let (mut extents, mut sides) = ([1; AXES], [(0, [0; AXES]); 2]);
        for (to, extent) in extents[free..].iter_mut().zip(&merged.extents) {
            *to = word(*extent);
        }
        for ((start, strides), lay) in sides.iter_mut().zip([&merged.x, &merged.y]) {
            *start = word(lay.start);
            for (to, stride) in strides[free..].iter_mut().zip(&lay.strides) {
                *to = i32::try_from(*stride).ok()?;
            }
        }
        Some((extents, sides))
    }
}
