//! Gradients that other layers' steps make together: rare ones, for which no device carries a kernel.

use super::super::forward::{Block, Move, Operand, Site, function};
use super::super::{BufferId, Emit, LowerError, word};
use super::Gradients;
use super::elementwise::UNLIMITED;
use crate::graph::ops::ResizeNearest;
use crate::graph::{Activation, DType};
use embernet_core::kernels::binary::Kind;
use embernet_core::kernels::strided::Outside;
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

    /// Of an image whose pixels were repeated or left out: every pixel's is the sum of those of its copies. Where all have
    /// as many and these are neighbours, they lie in order; else they are collected first, with zeros for pixels that have
    /// fewer.
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
        let (rows, columns) = (Copies::new(&op.rows, height), Copies::new(&op.cols, width));
        let pixels = [height, rows.most, width, columns.most, channels];
        let mut copies = dy;
        if !(rows.in_order && columns.in_order) {
            let image = [op.rows.len(), op.cols.len(), channels];
            let with_zeros = [image[0] + 1, image[1] + 1, channels];
            let padded = self.beside(site, "gradient and zeros");
            let block = Block::within(&image, &with_zeros, &[0; 3]);
            let copy = Move { block, x: dy, repeats: false, y: padded, outside: Outside::Fill, fill: 0 };
            self.strided_copy(site, DType::F32, copy)?;
            copies = self.beside(site, "gradients of copies");
            let [in_h, in_w, ..] = with_zeros.map(word);
            self.resize_step(site, [in_h, in_w, word(channels)], [&rows.places, &columns.places], (padded, copies));
        }
        self.reduce_step(site, reduce::Kind::Sum, (copies, &pixels), &[1, 3], dx)?;
        self.contribute(site, input, dx, gradients);
        Ok(())
    }

    /// A new buffer beside the layer's tensors.
    pub(super) fn beside(&mut self, site: Site<'_>, what: &str) -> BufferId {
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

/// Where the copies of every pixel of an axis went.
struct Copies {
    /// Most of one pixel.
    most: usize,
    /// So many places for each pixel; those that it lacks are one behind the last.
    places: Vec<u32>,
    /// Whether these are all places in order.
    in_order: bool,
}

impl Copies {
    /// From the source of every place.
    fn new(sources: &[u32], pixels: usize) -> Self {
        let mut places = vec![Vec::new(); pixels];
        for (place, source) in sources.iter().enumerate() {
            if let Some(of) = places.get_mut(*source as usize) {
                of.push(word(place));
            }
        }
        let most = places.iter().map(Vec::len).max().unwrap_or(0).max(1);
        places.iter_mut().for_each(|of| of.resize(most, word(sources.len())));
        let places = places.concat();
        let in_order =
            places.iter().enumerate().all(|(i, place)| i == *place as usize) && places.len() == sources.len();
        Self { most, places, in_order }
    }
}
