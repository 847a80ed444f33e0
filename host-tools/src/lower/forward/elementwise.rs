//! Functions of one element, and of two.

use super::super::{BufferId, Emit, LowerError, unsupported};
use super::Site;
use crate::graph::{Activation, DType, Data, Node};
use crate::quant::fixed_point::{Multiplier, add_sum, int16, lines, tables};
use embernet_core::arch::Scalar;
use embernet_core::kernels::requantize::Rescale;
use embernet_core::kernels::{activation, add, lookup};
use embernet_core::math::Maths;

impl Emit<'_, '_> {
    pub(super) fn activation(&mut self, site: Site<'_>, function: Activation) -> Result<(), LowerError> {
        let Site { id, node, dtype } = site;
        let x = self.value(node.inputs[0]);
        let y = self.output(node);
        match dtype {
            DType::F32 => {
                let len = self.output_len(node);
                let Function { kind, a, b } = self::function(node, function)?;
                let kind = kind as u32;
                self.sequence.push_in_place(&node.name, Some(id), &[(x, y)], move |p| activation::ForwardF32 {
                    kind,
                    len,
                    a,
                    b,
                    x: p.at(x),
                    y: p.at(y),
                });
            }
            DType::I8 => {
                let table = self.table_i8(node, function)?;
                self.lookup(site, &table, x, y);
            }
            DType::I16 => return self.activation_i16(site, function, x, y),
            _ => return Err(self.no_kernel(site)),
        }
        Ok(())
    }

    fn activation_i16(
        &mut self,
        site: Site<'_>,
        function: Activation,
        x: BufferId,
        y: BufferId,
    ) -> Result<(), LowerError> {
        let Site { id, node, .. } = site;
        let (from, to) = self.affines(node)?;
        let (kind, argument) = match function {
            Activation::Sigmoid => (activation::Kind::Sigmoid, int16::logistic_argument(from.scale())),
            Activation::Tanh => (activation::Kind::Tanh, int16::tanh_argument(from.scale())),
            clamp if clamp.is_clamp() => {
                let (lo, hi) = bounds(clamp);
                let lines = self.fixed(node, lines::clamp(from, to, lo, hi))?;
                self.lines_i16(site, &lines, x, y);
                return Ok(());
            }
            Activation::LeakyRelu { alpha } => {
                let lines = self.fixed(node, lines::leaky_relu(from, to, alpha))?;
                self.lines_i16(site, &lines, x, y);
                return Ok(());
            }
            _ => return Err(self.no_kernel(site)),
        };
        self.expect_scale(node, to, int16::FUNCTION_OUTPUT)?;
        let (argument, len) = (self.fixed(node, argument)?, self.output_len(node));
        let table = self.sigmoid_table(node);
        self.sequence.push_in_place(&node.name, Some(id), &[(x, y)], move |p| activation::ForwardI16 {
            kind: kind as u32,
            len,
            x: p.at(x),
            y: p.at(y),
            table: p.at(table),
            argument,
        });
        Ok(())
    }

    /// Two lines through zero, int16.
    pub(super) fn lines_i16(&mut self, site: Site<'_>, lines: &lines::Lines, x: BufferId, y: BufferId) {
        let Site { id, node, .. } = site;
        let len = self.output_len(node);
        let rescale = |Multiplier { mantissa, shift }| Rescale { multiplier: mantissa, shift };
        let (positive, negative) = (rescale(lines.positive), rescale(lines.negative));
        let (lo, hi) = (lines.lo, lines.hi);
        self.sequence.push_in_place(&node.name, Some(id), &[(x, y)], move |p| activation::LinesI16 {
            len,
            x: p.at(x),
            y: p.at(y),
            positive,
            negative,
            lo,
            hi,
        });
    }

    /// The table of logistic and tanh, int16.
    pub(super) fn sigmoid_table(&mut self, node: &Node) -> BufferId {
        let bytes = int16::sigmoid_table().into_iter().flat_map(u16::to_le_bytes).collect();
        self.table(node, "sigmoid", &Data::U8(bytes))
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
            Activation::LeakyRelu { alpha } => tables::leaky_relu_table(from, to, alpha),
            Activation::HardSwish => tables::hard_swish_table(from, to),
            other => {
                let Function { kind, a, b } = self::function(node, other)?;
                tables::real_table(from, to, |x| {
                    let mut y = [x];
                    activation::forward_f32(Scalar, Maths::Exact, kind, a, b, &mut y);
                    y[0]
                })
            }
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

    /// The sum of two activations of equal shapes.
    pub(super) fn add(&mut self, site: Site<'_>, activation: Activation) -> Result<(), LowerError> {
        let Site { id, node, dtype } = site;
        let len = self.output_len(node);
        let [x, other] = [0, 1].map(|i| self.value(node.inputs[i]));
        let y = self.output(node);
        let (name, places) = (&node.name, [(x, y), (other, y)]);
        let sum = match dtype {
            DType::F32 => None,
            _ => {
                let (from, to) = self.affines(node)?;
                let second = self.affine(node, node.inputs[1])?;
                Some(self.fixed(node, add_sum(from, second, to, activation))?)
            }
        };
        match (dtype, sum) {
            (DType::F32, _) => {
                let (lo, hi) = bounds(activation);
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

/// A function of one value as the kernel has it: its kind and its numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in super::super) struct Function {
    pub kind: activation::Kind,
    pub a: f32,
    pub b: f32,
}

/// The kernel's function for an activation.
pub(in super::super) fn function(node: &Node, function: Activation) -> Result<Function, LowerError> {
    use activation::Kind;
    let (kind, a, b) = match function {
        Activation::Sigmoid => (Kind::Sigmoid, 0.0, 0.0),
        Activation::Tanh => (Kind::Tanh, 0.0, 0.0),
        Activation::LeakyRelu { alpha } => (Kind::LeakyRelu, alpha, 0.0),
        Activation::Elu { alpha } => (Kind::Elu, alpha, 0.0),
        Activation::HardSigmoid { alpha, beta } => (Kind::HardSigmoid, alpha, beta),
        Activation::HardSwish => (Kind::HardSwish, 0.0, 0.0),
        Activation::Gelu { approximate: false } => (Kind::Gelu, 0.0, 0.0),
        Activation::Gelu { approximate: true } => (Kind::GeluTanh, 0.0, 0.0),
        Activation::Exp => (Kind::Exp, 0.0, 0.0),
        Activation::Log => (Kind::Log, 0.0, 0.0),
        Activation::Sqrt => (Kind::Sqrt, 0.0, 0.0),
        Activation::Abs => (Kind::Abs, 0.0, 0.0),
        Activation::Neg => (Kind::Neg, 0.0, 0.0),
        Activation::Reciprocal => (Kind::Reciprocal, 0.0, 0.0),
        Activation::Softmax => return Err(unsupported(node, "softmax as an activation")),
        Activation::Linear | Activation::Relu | Activation::Relu6 | Activation::ReluN1To1 => {
            let (lo, hi) = bounds(function);
            (Kind::Clamp, lo, hi)
        }
    };
    Ok(Function { kind, a, b })
}
