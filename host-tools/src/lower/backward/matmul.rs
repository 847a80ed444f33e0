//! Through products of two activations: each one's gradient is a product with the other.

use super::Gradients;
use crate::graph::ops;
use crate::lower::forward::Site;
use crate::lower::{BufferId, Emit, LowerError, unsupported, word};
use embernet_core::kernels::matmul::{ForwardF32, MatMul};
use embernet_core::kernels::reduce;

/// A factor of a product: where it lies, its matrices, and whether they lie transposed.
type Factor = (BufferId, [usize; 2], bool);

impl Emit<'_, '_> {
    pub(super) fn matmul_backward(
        &mut self,
        site: Site<'_>,
        op: &ops::MatMul,
        dy: BufferId,
        gradients: &mut Gradients,
    ) -> Result<(), LowerError> {
        let node = site.node;
        let shapes = [0, 1].map(|i| self.tensor(node.inputs[i]).shape.as_slice());
        let sizes = op.sizes(shapes[0], shapes[1]).ok_or_else(|| unsupported(node, "these shapes"))?;
        let (m, k, n) = (sizes.rows, sizes.inner, sizes.columns);
        let (of_a, of_b) = (sizes.a_batch, sizes.b_batch);
        let [a, b] = [0, 1].map(|i| self.per_sample(node, i));
        let dy: Factor = (dy, sizes.batch, false);
        let turned = |(at, batch, transposed): Factor| (at, batch, !transposed);
        let (a, b): (Factor, Factor) = ((a, of_a, op.transpose_a), (b, of_b, op.transpose_b));
        // With `y = A B`: `dA = dy B'` and `dB = A' dy`; of a transposed operand the transposed gradient.
        let first = if op.transpose_a { (b, turned(dy), [k, n, m]) } else { (dy, turned(b), [m, n, k]) };
        let second = if op.transpose_b { (turned(dy), a, [n, m, k]) } else { (turned(a), dy, [k, m, n]) };
        for (i, own, (left, right, [rows, inner, columns])) in [(0, of_a, first), (1, of_b, second)] {
            let input = node.inputs[i];
            let Some(dx) = self.gradient(input, gradients) else { continue };
            // Where the operand repeats, its gradient is the sum of those of its copies.
            let folded: Vec<usize> = (0..2).filter(|axis| own[*axis] != sizes.batch[*axis]).collect();
            let name = format!("{}/gradient of copies", self.tensor(input).name);
            let full = if folded.is_empty() { dx } else { self.lowering.program.transient(name) };
            let shape = MatMul {
                batch: sizes.batch.map(word),
                a_batch: left.1.map(word),
                b_batch: right.1.map(word),
                rows: word(rows),
                inner: word(inner),
                columns: word(columns),
                transpose_a: left.2.into(),
                transpose_b: right.2.into(),
            };
            let (a, b) = (left.0, right.0);
            self.sequence.push(&node.name, Some(site.id), move |p| ForwardF32 {
                shape,
                a: p.at(a),
                b: p.at(b),
                y: p.at(full),
                lo: f32::NEG_INFINITY,
                hi: f32::INFINITY,
            });
            if !folded.is_empty() {
                let copies = [sizes.batch[0], sizes.batch[1], rows, columns];
                self.reduce_step(site, reduce::Kind::Sum, (full, &copies), &folded, dx)?;
            }
            self.contribute(site, input, dx, gradients);
        }
        Ok(())
    }
}
