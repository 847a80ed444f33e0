//! PyTorch's order of a parameter's values, and the way to ours.

use crate::graph::ops::{Op, Parameter};
use crate::graph::{Graph, Node, NodeId};

/// A parameter as a state dict has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Shapes that it may have in the file: convolutions along one axis leave the other one out.
    pub shapes: Vec<Vec<usize>>,
    /// The file's shape with all axes.
    full: Vec<usize>,
    /// Which axis of `full` stands at each place here.
    order: Vec<usize>,
}

impl Wanted {
    fn plain(shape: &[usize]) -> Self {
        Self { shapes: vec![shape.to_vec()], full: shape.to_vec(), order: (0..shape.len()).collect() }
    }

    fn moved(full: Vec<usize>, order: Vec<usize>) -> Self {
        Self { shapes: vec![full.clone()], full, order }
    }

    /// The values in our order.
    pub fn arrange(&self, values: &[f32]) -> Vec<f32> {
        let step = |axis: &usize| self.full.iter().skip(axis + 1).product::<usize>();
        let (sizes, steps): (Vec<usize>, Vec<usize>) =
            self.order.iter().map(|axis| (self.full[*axis], step(axis))).unzip();
        let mut position = vec![0; sizes.len()];
        let mut arranged = Vec::with_capacity(values.len());
        for _ in 0..values.len() {
            let from: usize = position.iter().zip(&steps).map(|(p, s)| p * s).sum();
            arranged.push(values[from]);
            for (p, size) in position.iter_mut().zip(&sizes).rev() {
                *p += 1;
                if *p < *size {
                    break;
                }
                *p = 0;
            }
        }
        arranged
    }
}

/// How PyTorch stores a parameter of `node`.
pub fn wanted(graph: &Graph, node: &Node, parameter: &Parameter) -> Wanted {
    let shape = &parameter.shape;
    match (&node.op, parameter.role, shape.as_slice()) {
        (Op::Conv2d(_), "kernel", &[out, kh, kw, depth]) => {
            one_axis(Wanted::moved(vec![out, depth, kh, kw], vec![0, 2, 3, 1]))
        }
        (Op::DepthwiseConv2d(_), "kernel", &[kh, kw, out]) => {
            one_axis(Wanted::moved(vec![out, 1, kh, kw], vec![2, 3, 0, 1]))
        }
        (Op::Dense(_), "kernel", &[out, _]) => match flattened_image(graph, node) {
            // PyTorch flattens channels first, we flatten them last.
            Some([h, w, c]) => {
                Wanted { shapes: vec![shape.clone()], ..Wanted::moved(vec![out, c, h, w], vec![0, 2, 3, 1]) }
            }
            None => Wanted::plain(shape),
        },
        _ => Wanted::plain(shape),
    }
}

/// A kernel along one axis may come from Conv1d, without the other.
fn one_axis(mut wanted: Wanted) -> Wanted {
    if let &[out, depth, kh, kw] = wanted.full.as_slice() {
        if kh == 1 {
            wanted.shapes.push(vec![out, depth, kw]);
        } else if kw == 1 {
            wanted.shapes.push(vec![out, depth, kh]);
        }
    }
    wanted
}

/// The image `[height, width, channels]` that a dense layer sees in one row, if it sees one.
fn flattened_image(graph: &Graph, node: &Node) -> Option<[usize; 3]> {
    let producers: Vec<Option<NodeId>> = graph.producers();
    let mut at = *node.inputs.first()?;
    loop {
        let before = graph.node(producers[at.index()]?);
        let from = *before.inputs.first()?;
        match (&before.op, graph.tensor(from).shape.as_slice()) {
            (Op::Flatten(_) | Op::Reshape(_), &[h, w, c]) => return Some([h, w, c]),
            (Op::Flatten(_) | Op::Reshape(_) | Op::Activation(_), [_]) => at = from,
            _ => return None,
        }
    }
}
