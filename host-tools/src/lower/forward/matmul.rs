//! Products of two activations.

use super::super::{Emit, LowerError, unsupported, word};
use super::{Site, bounds};
use crate::graph::ops;
use crate::graph::{DType, Data};
use crate::quant::fixed_point::{activation_range, dense_multiplier};
use embernet_core::kernels::integer::Width;
use embernet_core::kernels::matmul::{ForwardF32, ForwardInt, MatMul};
use embernet_core::kernels::requantize::RequantizeRecord;
use embernet_core::quant::narrow_multiplier;

impl Emit<'_, '_> {
    pub(super) fn matmul(&mut self, site: Site<'_>, op: &ops::MatMul) -> Result<(), LowerError> {
        let Site { id, node, dtype } = site;
        let shapes = [0, 1].map(|i| self.tensor(node.inputs[i]).shape.as_slice());
        let Some(sizes) = op.sizes(shapes[0], shapes[1]) else { return Err(unsupported(node, "these shapes")) };
        let shape = MatMul {
            batch: sizes.batch.map(word),
            a_batch: sizes.a_batch.map(word),
            b_batch: sizes.b_batch.map(word),
            rows: word(sizes.rows),
            inner: word(sizes.inner),
            columns: word(sizes.columns),
            transpose_a: op.transpose_a.into(),
            transpose_b: op.transpose_b.into(),
        };
        let [a, b] = [0, 1].map(|i| self.per_sample(node, i));
        let name = &node.name;
        let width = match dtype {
            DType::F32 => {
                let (lo, hi) = bounds(op.activation);
                let y = self.output(node);
                self.sequence.push(name, Some(id), move |p| ForwardF32 {
                    shape,
                    a: p.at(a),
                    b: p.at(b),
                    y: p.at(y),
                    lo,
                    hi,
                });
                return Ok(());
            }
            DType::I8 => Width::I8,
            DType::I16 => Width::I16,
            _ => return Err(self.no_kernel(site)),
        };
        let (left, to) = self.affines(node)?;
        let right = self.affine(node, node.inputs[1])?;
        let factor = self.fixed(node, dense_multiplier(left.scale(), right.scale(), to.scale()))?;
        let mantissa = if width == Width::I16 { narrow_multiplier(factor.mantissa) } else { factor.mantissa };
        let (lo, hi) = self.fixed(node, activation_range(op.activation, to))?;
        let multiplier = self.table(node, "multiplier", &Data::I32(vec![mantissa]));
        let shift = self.table(node, "shift", &Data::I32(vec![factor.shift]));
        let y = self.output(node);
        self.sequence.push(name, Some(id), move |p| ForwardInt {
            shape,
            width,
            a: p.at(a),
            b: p.at(b),
            y: p.at(y),
            a_zero: left.zero_point(),
            b_zero: right.zero_point(),
            requantize: RequantizeRecord {
                multiplier: p.at(multiplier),
                shift: p.at(shift),
                channels: 1,
                zero_point: to.zero_point(),
                lo,
                hi,
                sum_bits: if width == Width::I16 { 64 } else { 32 },
            },
        });
        Ok(())
    }
}
