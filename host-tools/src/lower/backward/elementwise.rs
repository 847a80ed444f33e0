//! Backward steps of functions of one element and of two, and of softmax.

use super::super::forward::{Operand, Site, function};
use super::super::{BufferId, Emit, LowerError, unsupported, word};
use super::Gradients;
use crate::graph::ops::{Reduce, Reduction};
use crate::graph::{Activation, DType, Data};
use embernet_core::kernels::binary::Kind;
use embernet_core::kernels::{activation, reduce, softmax};

impl Emit<'_, '_> {
    /// The gradient in front of a clamp that gave the node's output.
    pub(super) fn clamp_backward(
        &mut self,
        site: Site<'_>,
        fused: Activation,
        dy: BufferId,
    ) -> Result<BufferId, LowerError> {
        if fused == Activation::Linear {
            return Ok(dy);
        }
        let name = format!("{}/gradient before {}", site.node.name, fused.name());
        let dx = self.lowering.program.transient(name);
        self.activation_step(site, fused, dy, dx)?;
        Ok(dx)
    }

    pub(super) fn activation_backward(
        &mut self,
        site: Site<'_>,
        function: Activation,
        dy: BufferId,
        gradients: &mut Gradients,
    ) -> Result<(), LowerError> {
        let input = site.node.inputs[0];
        let Some(dx) = self.gradient(input, gradients) else { return Ok(()) };
        self.activation_step(site, function, dy, dx)?;
        self.contribute(site, input, dx, gradients);
        Ok(())
    }

    fn activation_step(
        &mut self,
        site: Site<'_>,
        function: Activation,
        dy: BufferId,
        dx: BufferId,
    ) -> Result<(), LowerError> {
        let Site { id, node, .. } = site;
        let function = self::function(node, function)?;
        let y = self.value(if function.kind.slope_from_output() { node.outputs[0] } else { node.inputs[0] });
        let len = self.output_len(node);
        let kind = function.kind as u32;
        self.sequence.push_in_place(&node.name, Some(id), &[(dy, dx)], move |p| activation::BackwardF32 {
            kind,
            len,
            a: function.a,
            b: function.b,
            y: p.at(y),
            dy: p.at(dy),
            dx: p.at(dx),
        });
        Ok(())
    }

    pub(super) fn softmax_backward(
        &mut self,
        site: Site<'_>,
        beta: f32,
        dy: BufferId,
        gradients: &mut Gradients,
    ) -> Result<(), LowerError> {
        let node = site.node;
        let Some(dx) = self.gradient(node.inputs[0], gradients) else { return Ok(()) };
        let name = &node.name;
        let y = self.value(node.outputs[0]);
        let (rows, len) = self.softmax_rows(node);
        self.sequence.push_in_place(name, Some(site.id), &[(dy, dx)], move |p| softmax::BackwardF32 {
            rows,
            len,
            beta,
            y: p.at(y),
            dy: p.at(dy),
            dx: p.at(dx),
        });
        self.contribute(site, node.inputs[0], dx, gradients);
        Ok(())
    }

    /// Sums, differences, products, and the numerator of quotients.
    ///
    /// Each input has a gradient of its own, which others may add to. Where the input repeats, it is the sum of those
    /// of its copies.
    pub(super) fn binary_backward(
        &mut self,
        site: Site<'_>,
        kind: Kind,
        dy: BufferId,
        gradients: &mut Gradients,
    ) -> Result<(), LowerError> {
        let node = site.node;
        let shape = self.tensor(node.outputs[0]).shape.clone();
        let output = || Operand { at: dy, shape: shape.clone(), repeats: false };
        for (i, &input) in node.data_inputs().iter().enumerate() {
            let Some(dx) = self.gradient(input, gradients) else { continue };
            let factor = match (kind, i) {
                (Kind::Add, _) | (Kind::Sub, 0) => None,
                (Kind::Sub, _) => Some((Kind::Mul, self.constant(site, "-1", -1.0))),
                (Kind::Mul, i) => Some((Kind::Mul, self.operand(node.inputs[1 - i]))),
                (Kind::Div, 0) => Some((Kind::Div, self.operand(node.inputs[1]))),
                _ => return Err(unsupported(node, "training through this input")),
            };
            let own = self.tensor(input).shape.clone();
            // Axes along which the input repeats, aligned at the last one.
            let offset = shape.len() - own.len();
            let folded: Vec<usize> =
                (0..shape.len()).filter(|&axis| axis < offset || own[axis - offset] != shape[axis]).collect();
            let from = match factor {
                None => dy,
                Some((kind, factor)) => {
                    let name = format!("{}/gradient of copies", self.tensor(input).name);
                    let full = if folded.is_empty() { dx } else { self.lowering.program.transient(name) };
                    self.binary_step(site, kind, [output(), factor], (full, &shape), UNLIMITED)?;
                    full
                }
            };
            if !folded.is_empty() {
                self.reduce_step(site, reduce::Kind::Sum, (from, &shape), &folded, dx)?;
            } else if from != dx {
                let bytes = word(self.tensor(input).elements().saturating_mul(DType::F32.bytes()));
                self.sequence.push_copy(&node.name, Some(site.id), bytes, dy, dx);
            }
            self.contribute(site, input, dx, gradients);
        }
        Ok(())
    }

    /// Of sums and means: every value gets the gradient of what it went into.
    pub(super) fn reduce_backward(
        &mut self,
        site: Site<'_>,
        op: &Reduce,
        dy: BufferId,
        gradients: &mut Gradients,
    ) -> Result<(), LowerError> {
        let node = site.node;
        let input = node.inputs[0];
        let Some(dx) = self.gradient(input, gradients) else { return Ok(()) };
        let shape = self.tensor(input).shape.clone();
        let count: usize = op.axes.iter().map(|axis| shape[*axis]).product();
        let share = match op.reduction {
            Reduction::Sum => 1.0,
            Reduction::Mean => 1.0 / count as f32,
            Reduction::Max => return Err(unsupported(node, "training through this operation")),
        };
        let mut kept = shape.clone();
        op.axes.iter().for_each(|axis| kept[*axis] = 1);
        let share = self.constant(site, "share", share);
        let dy = Operand { at: dy, shape: kept, repeats: false };
        self.binary_step(site, Kind::Mul, [dy, share], (dx, &shape), UNLIMITED)?;
        self.contribute(site, input, dx, gradients);
        Ok(())
    }

    /// One number as an operand.
    fn constant(&mut self, site: Site<'_>, what: &str, value: f32) -> Operand {
        let at = self.table(site.node, what, &Data::F32(vec![value]));
        Operand { at, shape: Vec::new(), repeats: true }
    }
}

const UNLIMITED: (f32, f32) = (f32::NEG_INFINITY, f32::INFINITY);
