//! Gradients that other layers' steps make together: rare ones, for which no device carries a kernel.

use super::super::forward::{Operand, Site, function};
use super::super::{BufferId, Emit, LowerError, unsupported, word};
use super::Gradients;
use super::elementwise::UNLIMITED;
use crate::graph::Activation;
use crate::graph::ops::ResizeNearest;
use embernet_core::kernels::binary::Kind;
use embernet_core::kernels::{activation, reduce};

impl Emit<'_, '_> {
    /// Of `y = a / b` for `b`: `-dy * y / b`.
    pub(super) fn divisor_backward(
        &mut self,
        site: Site<'_>,
        dy: Operand,
        to: (BufferId, &[usize]),
    ) -> Result<(), LowerError> {
        let (y, divisor) = (self.operand(site.node.outputs[0]), self.operand(site.node.inputs[1]));
        let minus = self.constant(site, "-1", -1.0);
        let product = self.combined(site, Kind::Mul, [dy, y], to.1)?;
        let quotient = self.combined(site, Kind::Div, [product, divisor], to.1)?;
        self.binary_step(site, Kind::Mul, [quotient, minus], to, UNLIMITED)
    }

    /// Of the smaller or greater of two: all of `dy` where the input was chosen. Of equal ones that is the first.
    pub(super) fn choice_backward(
        &mut self,
        site: Site<'_>,
        kind: Kind,
        input: usize,
        dy: Operand,
        to: (BufferId, &[usize]),
    ) -> Result<(), LowerError> {
        let [a, b] = [0, 1].map(|i| self.operand(site.node.inputs[i]));
        // Above zero where the second one was chosen, as if a relu had let pass what came from there.
        let order = if kind == Kind::Max { [b, a] } else { [a, b] };
        let lead = self.combined(site, Kind::Sub, order, to.1)?;
        if input == 1 {
            return self.slope_step(site, Activation::Relu, lead.at, dy.at, to.0);
        }
        let second = self.beside(site, "the other's gradient");
        self.slope_step(site, Activation::Relu, lead.at, dy.at, second)?;
        let second = Operand { at: second, ..dy.clone() };
        self.binary_step(site, Kind::Sub, [dy, second], to, UNLIMITED)
    }

    /// Of maxima over axes: equal shares for all that are as great as the maximum (as TensorFlow and `torch.amax` have
    /// it).
    pub(super) fn greatest_backward(
        &mut self,
        site: Site<'_>,
        axes: &[usize],
        dy: Operand,
        to: (BufferId, &[usize]),
    ) -> Result<(), LowerError> {
        let (x, y) = (self.operand(site.node.inputs[0]), self.value(site.node.outputs[0]));
        let y = Operand { at: y, ..dy.clone() };
        // 1 where an element is the maximum: `e^(-f32::MAX * 0)`; 0 elsewhere.
        let lag = self.combined(site, Kind::Sub, [y, x], to.1)?;
        let steep = self.constant(site, "steepness", -f32::MAX);
        let lag = self.combined(site, Kind::Mul, [lag, steep], to.1)?;
        let is_greatest = self.exponential(site, lag)?;
        let count = self.beside(site, "how many are greatest");
        self.reduce_step(site, reduce::Kind::Sum, (is_greatest.at, to.1), axes, count)?;
        let kept = dy.shape.clone();
        let count = Operand { at: count, ..dy.clone() };
        let share = self.combined(site, Kind::Div, [dy, count], &kept)?;
        self.binary_step(site, Kind::Mul, [is_greatest, share], to, UNLIMITED)
    }

    /// `dx = dy - e^y * sum of dy`.
    pub(super) fn log_softmax_backward(
        &mut self,
        site: Site<'_>,
        dy: BufferId,
        gradients: &mut Gradients,
    ) -> Result<(), LowerError> {
        let input = site.node.inputs[0];
        let Some(dx) = self.gradient(input, gradients) else { return Ok(()) };
        let y = self.operand(site.node.outputs[0]);
        let (shape, last) = (y.shape.clone(), y.shape.len().saturating_sub(1));
        let mut kept = shape.clone();
        kept[last] = 1;
        let sum = self.beside(site, "sum of gradients");
        self.reduce_step(site, reduce::Kind::Sum, (dy, &shape), &[last], sum)?;
        let sum = Operand { at: sum, shape: kept, repeats: false };
        let probability = self.exponential(site, y)?;
        let share = self.combined(site, Kind::Mul, [probability, sum], &shape)?;
        let dy = Operand { at: dy, ..share.clone() };
        self.binary_step(site, Kind::Sub, [dy, share], (dx, &shape), UNLIMITED)?;
        self.contribute(site, input, dx, gradients);
        Ok(())
    }

    /// Of an image whose pixels were all repeated as often: every pixel's is the sum of those of its copies.
    pub(super) fn resize_backward(
        &mut self,
        site: Site<'_>,
        op: &ResizeNearest,
        dy: BufferId,
        gradients: &mut Gradients,
    ) -> Result<(), LowerError> {
        let input = site.node.inputs[0];
        let Some(dx) = self.gradient(input, gradients) else { return Ok(()) };
        let [height, width, channels] = self.image(input).map(|extent| extent as usize);
        let copies = |from: &[u32], input: usize| {
            let times = from.len().checked_div(input)?;
            let is_whole =
                times * input == from.len() && from.iter().enumerate().all(|(i, &at)| i / times == at as usize);
            is_whole.then_some(times)
        };
        let (Some(rows), Some(columns)) = (copies(&op.rows, height), copies(&op.cols, width)) else {
            return Err(unsupported(site.node, "training through a resize by other than whole factors upwards"));
        };
        let pixels = [height, rows, width, columns, channels];
        self.reduce_step(site, reduce::Kind::Sum, (dy, &pixels), &[1, 3], dx)?;
        self.contribute(site, input, dx, gradients);
        Ok(())
    }

    /// A new buffer beside the layer's tensors.
    fn beside(&mut self, site: Site<'_>, what: &str) -> BufferId {
        self.lowering.program.transient(format!("{}/{what}", site.node.name))
    }

    /// A function of two in a buffer of its own.
    fn combined(
        &mut self,
        site: Site<'_>,
        kind: Kind,
        operands: [Operand; 2],
        shape: &[usize],
    ) -> Result<Operand, LowerError> {
        let at = self.beside(site, "gradient's part");
        self.binary_step(site, kind, operands, (at, shape), UNLIMITED)?;
        Ok(Operand { at, shape: shape.to_vec(), repeats: false })
    }

    /// `e^x` in a buffer of its own.
    fn exponential(&mut self, site: Site<'_>, x: Operand) -> Result<Operand, LowerError> {
        let function = function(site.node, Activation::Exp)?;
        let (kind, len, from) = (function.kind as u32, word(x.shape.iter().product()), x.at);
        let to = self.beside(site, "gradient's part");
        self.sequence.push_in_place(&site.node.name, Some(site.id), &[(from, to)], move |p| activation::ForwardF32 {
            kind,
            len,
            a: function.a,
            b: function.b,
            x: p.at(from),
            y: p.at(to),
        });
        Ok(Operand { at: to, ..x })
    }
}
