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
        let node = site.node;
        let from_output = self::function(node, function)?.kind.slope_from_output();
        let y = self.value(if from_output { node.outputs[0] } else { node.inputs[0] });
        self.slope_step(site, function, y, dy, dx)
    }

    /// `dx = dy * slope of a function`, where its output (or input, whichever tells the slope) is `y`, as many as the
    /// node's output has.
    pub(super) fn slope_step(
        &mut self,
        Site { id, node, .. }: Site<'_>,
        function: Activation,
        y: BufferId,
        dy: BufferId,
        dx: BufferId,
    ) -> Result<(), LowerError> {
        let (function, len) = (self::function(node, function)?, self.output_len(node));
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
        for (i, &input) in node.data_inputs().iter().enumerate() {
            let Some(dx) = self.gradient(input, gradients) else { continue };
            let own = self.tensor(input).shape.clone();
            // Axes along which the input repeats, aligned at the last one.
            let offset = shape.len() - own.len();
            let folded: Vec<usize> =
                (0..shape.len()).filter(|&axis| axis < offset || own[axis - offset] != shape[axis]).collect();
            let name = format!("{}/gradient of copies", self.tensor(input).name);
            let full = if folded.is_empty() { dx } else { self.lowering.program.transient(name) };
            let from = self.of_copies(site, kind, i, (dy, &shape), full)?;
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

    /// The gradient of an input as if it were as large as the output: that of the output, or made in `full`.
    fn of_copies(
        &mut self,
        site: Site<'_>,
        kind: Kind,
        input: usize,
        (dy, shape): (BufferId, &[usize]),
        full: BufferId,
    ) -> Result<BufferId, LowerError> {
        let node = site.node;
        let dy = Operand { at: dy, shape: shape.to_vec(), repeats: false };
        let to = (full, shape);
        match (kind, input) {
            (Kind::Add, _) | (Kind::Sub, 0) => return Ok(dy.at),
            (Kind::Sub, _) => {
                let minus = self.constant(site, "-1", -1.0);
                self.binary_step(site, Kind::Mul, [dy, minus], to, UNLIMITED)?;
            }
            (Kind::Mul, i) => {
                let other = self.operand(node.inputs[1 - i]);
                self.binary_step(site, Kind::Mul, [dy, other], to, UNLIMITED)?;
            }
            (Kind::Div, 0) => {
                let divisor = self.operand(node.inputs[1]);
                self.binary_step(site, Kind::Div, [dy, divisor], to, UNLIMITED)?;
            }
            (Kind::Div, _) => self.divisor_backward(site, dy, to)?,
            (Kind::Min | Kind::Max, i) => self.choice_backward(site, kind, i, dy, to)?,
            (Kind::PRelu, _) => return Err(unsupported(node, "training through this input")),
        }
        Ok(full)
    }

    /// Every value of a sum or mean gets the gradient of what it went into; those of a maximum: see
    /// [`Emit::greatest_backward`].
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
        let mut kept = shape.clone();
        op.axes.iter().for_each(|axis| kept[*axis] = 1);
        let dy = Operand { at: dy, shape: kept, repeats: false };
        let count: usize = op.axes.iter().map(|axis| shape[*axis]).product();
        let share = match op.reduction {
            Reduction::Sum => Some(1.0),
            Reduction::Mean => Some(1.0 / count as f32),
            Reduction::Max => None,
        };
        match share {
            Some(share) => {
                let share = self.constant(site, "share", share);
                self.binary_step(site, Kind::Mul, [dy, share], (dx, &shape), UNLIMITED)?;
            }
            None => self.greatest_backward(site, &op.axes, dy, (dx, &shape))?,
        }
        self.contribute(site, input, dx, gradients);
        Ok(())
    }

    /// One number as an operand.
    pub(super) fn constant(&mut self, site: Site<'_>, what: &str, value: f32) -> Operand {
        let at = self.table(site.node, what, &Data::F32(vec![value]));
        Operand { at, shape: Vec::new(), repeats: true }
    }
}

pub(super) const UNLIMITED: (f32, f32) = (f32::NEG_INFINITY, f32::INFINITY);
