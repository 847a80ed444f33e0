//! The product of two activations.

use super::super::error::OpError;
use super::{Activation, Operation, Port, check_fused};
use serde::{Deserialize, Serialize};

/// `y = activation(a * b)`, over the last two axes; the axes before them are a batch of matrices.
///
/// One of the two may have fewer matrices: one for all. A product with constants is a [`super::Dense`].
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

/// The sizes of a [`MatMul`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MatMulSizes {
    /// Matrices of `a`.
    pub a_batch: usize,
    /// Matrices of `b`.
    pub b_batch: usize,
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
        let (a_batch, b_batch) = (a_outer.iter().product(), b_outer.iter().product());
        let batches_fit = a_outer == b_outer || a_batch == 1 || b_batch == 1;
        (batches_fit && inner == b_inner).then_some(MatMulSizes { a_batch, b_batch, rows, inner, columns })
    }
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
        let outer = if sizes.b_batch > 1 || b.len() > a.len() { b } else { a };
        let outer = &outer[..outer.len() - 2];
        Ok([outer, &[sizes.rows, sizes.columns]].concat())
    }

    fn fused(&self) -> Activation {
        self.activation
    }

    fn set_fused(&mut self, activation: Activation) -> bool {
        self.activation = activation;
        true
    }
}
