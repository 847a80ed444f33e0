//! The product of two activations.

use super::super::error::OpError;
use super::{Activation, Operation, Port, check_fused};
use serde::{Deserialize, Serialize};

/// `y = activation(a * b)`, over the last two axes; the axes before them are a batch of matrices.
///
/// Batches broadcast as in numpy, as long as the axes along which `a` or `b` repeats make two groups at most. A product
/// with constants is a [`super::Dense`].
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatMul {
    /// Whether the matrices of `a` are transposed first.
    #[serde(default)]
    pub transpose_a: bool,
    /// Whether the matrices of `b` are transposed first.
    #[serde(default)]
    pub transpose_b: bool,
    /// Applied to the result; in a graph only clamps.
    #[serde(default)]
    pub activation: Activation,
}

/// The sizes of a [`MatMul`]; batches are seen as two axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MatMulSizes {
    /// Matrices of the product.
    pub batch: [usize; 2],
    /// Matrices of `a`.
    pub a_batch: [usize; 2],
    /// Matrices of `b`.
    pub b_batch: [usize; 2],
    /// Rows of the product.
    pub rows: usize,
    /// Products in a sum.
    pub inner: usize,
    /// Columns of the product.
    pub columns: usize,
}

impl MatMul {
    /// The sizes for these shapes; `None` if they do not fit together.
    pub fn sizes(&self, a: &[usize], b: &[usize]) -> Option<MatMulSizes> {
        let ([a_outer @ .., a0, a1], [b_outer @ .., b0, b1]) = (a, b) else { return None };
        let [rows, inner] = if self.transpose_a { [*a1, *a0] } else { [*a0, *a1] };
        let [b_inner, columns] = if self.transpose_b { [*b1, *b0] } else { [*b0, *b1] };
        let [a_batch, b_batch, batch] = batches(a_outer, b_outer)?;
        (inner == b_inner).then_some(MatMulSizes { batch, a_batch, b_batch, rows, inner, columns })
    }
}

/// `[a, b, both]` for every axis of two batches, aligned at their ends; `None` if they do not broadcast.
fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<[usize; 3]>> {
    let rank = a.len().max(b.len());
    let size = |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |at| shape[at]);
    let axis = |axis| {
        let (a, b) = (size(a, axis), size(b, axis));
        (a == b || a == 1 || b == 1).then(|| [a, b, a.max(b)])
    };
    (0..rank).map(axis).collect()
}

/// The axes of two batches gathered into two: neighbours along which the same operand repeats.
fn batches(a: &[usize], b: &[usize]) -> Option<[[usize; 2]; 3]> {
    let mut groups: Vec<[usize; 3]> = Vec::new();
    for axis in broadcast(a, b)?.into_iter().filter(|[.., both]| *both > 1) {
        let repeats = |[a, b, both]: [usize; 3]| [a < both, b < both];
        match groups.last_mut() {
            Some(group) if repeats(*group) == repeats(axis) => {
                for (group, size) in group.iter_mut().zip(axis) {
                    *group = group.checked_mul(size)?;
                }
            }
            _ => groups.push(axis),
        }
    }
    groups.resize(groups.len().max(2), [1; 3]);
    let [outer, inner] = groups[..] else { return None };
    Some([0, 1, 2].map(|of| [outer[of], inner[of]]))
}

impl Operation for MatMul {
    fn kind(&self) -> &'static str {
        "matmul"
    }

    fn arity(&self) -> (usize, usize) {
        (2, 2)
    }

    fn check(&self) -> Result<(), OpError> {
        check_fused(self.activation)
    }

    fn output(&self, inputs: &[Port<'_>]) -> Result<Vec<usize>, OpError> {
        let (a, b) = (inputs[0].shape, inputs[1].shape);
        let Some(sizes) = self.sizes(a, b) else {
            let expected = format!("matrices that can be multiplied with {}", inputs[0].name);
            return Err(inputs[1].expected(expected));
        };
        let outer = |shape: &[usize]| shape[..shape.len() - 2].to_vec();
        let outer: Vec<usize> =
            broadcast(&outer(a), &outer(b)).unwrap_or_default().iter().map(|[.., both]| *both).collect();
        Ok([outer.as_slice(), &[sizes.rows, sizes.columns]].concat())
    }

    fn fused(&self) -> Activation {
        self.activation
    }

    fn set_fused(&mut self, activation: Activation) -> bool {
        self.activation = activation;
        true
    }
}
