//! Softmax over the last axis.

use super::super::{Emit, LowerError, unsupported, word};
use super::Site;
use crate::graph::{DType, Data, Node};
use crate::quant::fixed_point::int16::{exp_table, reciprocal_table, softmax_multiplier};
use crate::quant::fixed_point::{Multiplier, log_softmax_scaling, softmax_scaling, tables};
use embernet_core::kernels::softmax;

impl Emit<'_, '_> {
    pub(super) fn softmax(&mut self, site: Site<'_>, beta: f32) -> Result<(), LowerError> {
        let Site { id, node, dtype } = site;
        let (rows, len) = self.softmax_rows(node);
        let x = self.value(node.inputs[0]);
        let y = self.output(node);
        let name = &node.name;
        match dtype {
            DType::F32 => {
                self.sequence.push_in_place(name, Some(id), &[(x, y)], move |p| softmax::ForwardF32 {
                    rows,
                    len,
                    beta,
                    logarithm: 0,
                    x: p.at(x),
                    y: p.at(y),
                });
            }
            DType::I8 => {
                let (from, to) = self.affines(node)?;
                self.expect_scale(node, to, tables::LOGISTIC_OUTPUT)?;
                let scaling = self.fixed(node, softmax_scaling(from.scale(), beta))?;
                self.sequence.push_in_place(name, Some(id), &[(x, y)], move |p| softmax::ForwardI8 {
                    rows,
                    len,
                    x: p.at(x),
                    y: p.at(y),
                    scaling,
                });
            }
            DType::I16 => {
                let (from, to) = self.affines(node)?;
                let found = to.scale();
                if found != 1.0 / 32768.0 {
                    return Err(unsupported(node, format!("an output with scale {found}; expected 1/32768")));
                }
                let Multiplier { mantissa, shift } = self.fixed(node, softmax_multiplier(from.scale(), beta))?;
                let exp = self.table(node, "exp", &Data::I16(exp_table()));
                let reciprocal = self.table(node, "reciprocal", &Data::I16(reciprocal_table()));
                self.sequence.push_in_place(name, Some(id), &[(x, y)], move |p| softmax::ForwardI16 {
                    rows,
                    len,
                    x: p.at(x),
                    y: p.at(y),
                    multiplier: mantissa,
                    shift,
                    exp: p.at(exp),
                    reciprocal: p.at(reciprocal),
                });
            }
            _ => return Err(self.no_kernel(site)),
        }
        Ok(())
    }

    pub(super) fn log_softmax(&mut self, site: Site<'_>) -> Result<(), LowerError> {
        let Site { id, node, dtype } = site;
        let (rows, len) = self.softmax_rows(node);
        let x = self.value(node.inputs[0]);
        let y = self.output(node);
        match dtype {
            DType::F32 => {
                self.sequence.push_in_place(&node.name, Some(id), &[(x, y)], move |p| softmax::ForwardF32 {
                    rows,
                    len,
                    beta: 1.0,
                    logarithm: 1,
                    x: p.at(x),
                    y: p.at(y),
                });
            }
            DType::I8 => {
                let (from, to) = self.affines(node)?;
                self.expect_scale(node, to, tables::LOG_SOFTMAX_OUTPUT)?;
                let scaling = self.fixed(node, log_softmax_scaling(from.scale()))?;
                self.sequence.push_in_place(&node.name, Some(id), &[(x, y)], move |p| softmax::ForwardLogI8 {
                    rows,
                    len,
                    x: p.at(x),
                    y: p.at(y),
                    scaling,
                });
            }
            _ => return Err(self.no_kernel(site)),
        }
        Ok(())
    }

    /// Rows and their length: softmax runs over the last axis.
    pub(in super::super) fn softmax_rows(&self, node: &Node) -> (u32, u32) {
        let shape = &self.tensor(node.outputs[0]).shape;
        let len = shape.last().copied().unwrap_or(1);
        (word(shape.iter().product::<usize>() / len.max(1)), word(len))
    }
}
