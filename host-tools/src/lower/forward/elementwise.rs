//! Functions of one element, and of two.

use super::super::{BufferId, Emit, LowerError, unsupported};
use super::Site;
use crate::graph::ops::Add;
use crate::graph::{Activation, DType, Data, Node};
use crate::quant::fixed_point::{add_sum, tables};
use embernet_core::kernels::{activation, add, lookup};

impl Emit<'_, '_> {
    pub(super) fn activation(&mut self, site: Site<'_>, function: Activation) -> Result<(), LowerError> {
        let Site { id, node, dtype } = site;
        let x = self.value(node.inputs[0]);
        let y = self.output(node);
        match dtype {
            DType::F32 => {
                let len = self.output_len(node);
                let (lo, hi) = bounds(function);
                let kind = activation_kind(node, function)?;
                self.sequence.push_in_place(&node.name, Some(id), &[(x, y)], move |p| activation::ForwardF32 {
                    kind,
                    len,
                    lo,
                    hi,
                    x: p.at(x),
                    y: p.at(y),
                });
            }
            DType::I8 => {
                let table = self.table_i8(node, function)?;
                self.lookup(site, &table, x, y);
            }
            _ => return Err(self.no_kernel(site)),
        }
        Ok(())
    }

    /// What a function makes of each int8 value.
    fn table_i8(&self, node: &Node, function: Activation) -> Result<tables::Table, LowerError> {
        let (from, to) = self.affines(node)?;
        let table = match function {
            Activation::Sigmoid => {
                self.expect_scale(node, to, tables::LOGISTIC_OUTPUT)?;
                tables::logistic_table(from)
            }
            Activation::Tanh => {
                self.expect_scale(node, to, tables::TANH_OUTPUT)?;
                tables::tanh_table(from)
            }
            clamp if clamp.is_clamp() => {
                let (lo, hi) = bounds(clamp);
                tables::clamp_table(from, to, lo, hi)
            }
            other => return Err(unsupported(node, format!("{} in int8", other.name()))),
        };
        self.fixed(node, table)
    }

    pub(super) fn lookup(&mut self, site: Site<'_>, table: &tables::Table, x: BufferId, y: BufferId) {
        let Site { id, node, .. } = site;
        let len = self.output_len(node);
        let table = self.table(node, "table", &Data::I8(table.to_vec()));
        self.sequence.push_in_place(&node.name, Some(id), &[(x, y)], move |p| lookup::LookupI8 {
            len,
            table: p.at(table),
            x: p.at(x),
            y: p.at(y),
        });
    }

    pub(super) fn add(&mut self, site: Site<'_>, op: &Add) -> Result<(), LowerError> {
        let Site { id, node, dtype } = site;
        let len = self.output_len(node);
        let [a, b] = [0, 1].map(|i| &self.tensor(node.inputs[i]).shape);
        if a != b {
            return Err(unsupported(node, "broadcasting"));
        }
        let [x, other] = [0, 1].map(|i| self.value(node.inputs[i]));
        let y = self.output(node);
        let (name, places) = (&node.name, [(x, y), (other, y)]);
        let sum = match dtype {
            DType::F32 => None,
            _ => {
                let (from, to) = self.affines(node)?;
                let second = self.affine(node, node.inputs[1])?;
                Some(self.fixed(node, add_sum(from, second, to, op.activation))?)
            }
        };
        match (dtype, sum) {
            (DType::F32, _) => {
                let (lo, hi) = bounds(op.activation);
                self.sequence.push_in_place(name, Some(id), &places, move |p| add::ForwardF32 {
                    len,
                    a: p.at(x),
                    b: p.at(other),
                    y: p.at(y),
                    lo,
                    hi,
                });
            }
            (DType::I8, Some(sum)) => {
                self.sequence.push_in_place(name, Some(id), &places, move |p| add::ForwardI8 {
                    len,
                    a: p.at(x),
                    b: p.at(other),
                    y: p.at(y),
                    sum,
                });
            }
            (DType::I16, Some(sum)) => {
                self.sequence.push_in_place(name, Some(id), &places, move |p| add::ForwardI16 {
                    len,
                    a: p.at(x),
                    b: p.at(other),
                    y: p.at(y),
                    sum,
                });
            }
            _ => return Err(self.no_kernel(site)),
        }
        Ok(())
    }
}

/// The limits of a clamp; none for other functions.
pub(in super::super) fn bounds(activation: Activation) -> (f32, f32) {
    activation.clamp().unwrap_or((f32::NEG_INFINITY, f32::INFINITY))
}

/// The kernel's number for an activation function.
pub(in super::super) fn activation_kind(node: &Node, function: Activation) -> Result<u32, LowerError> {
    let kind = match function {
        Activation::Sigmoid => activation::Kind::Sigmoid,
        Activation::Tanh => activation::Kind::Tanh,
        clamp if clamp.is_clamp() => activation::Kind::Clamp,
        other => return Err(unsupported(node, format!("{} as an activation", other.name()))),
    };
    Ok(kind as u32)
}
