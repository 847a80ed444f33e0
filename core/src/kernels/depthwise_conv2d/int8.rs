//! Depthwise convolution, int8 forward.

use super::DepthwiseConv2d;
use crate::arch::Isa;
use crate::arch::layout::{self, Depthwise, Layout};
use crate::kernels::compact::{Integers, Walk, Weights};
use crate::kernels::order::OrderRecord;
use crate::kernels::requantize::{Requantize, RequantizeRecord, start_from_bias_i8};
use crate::kernels::util::{from, rows, rows_mut, sub, sub_mut};
use crate::kernels::window::Taps;
use crate::memory::Slices;
use crate::plan::{COMPACT, Context, PLAIN, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Channels whose sums are held at once.
const BLOCK: usize = 64;

/// `y = requantize(x * w + b)`, each channel for itself.
///
/// `b` and `pad_value` as in [`crate::kernels::conv2d::forward_i8`].
pub fn forward_i8<I: Isa>(
    isa: I,
    shape: &DepthwiseConv2d,
    x: &[i8],
    w: &[i8],
    b: &[i32],
    pad_value: i8,
    to: &Requantize<'_>,
    y: &mut [i8],
) {
    if COMPACT {
        let walk = Walk::depthwise_conv2d(shape);
        return walk.over(y.len(), &mut Integers::of_i8(&walk, x, Weights::I8(w), b, pad_value, to, y));
    }
    for (x, y) in rows(x, shape.in_elements()).zip(rows_mut(y, shape.out_elements())) {
        for ((down, across), y) in shape.window.positions().zip(rows_mut(y, shape.out_c as usize)) {
            let window = Window { shape, x, down, across, pad_value };
            for (block, y) in y.chunks_mut(BLOCK).enumerate() {
                let first = block * BLOCK;
                let mut acc = [0; BLOCK];
                let Some(acc) = acc.get_mut(..y.len()) else { return };
                start_from_bias_i8(b, first, acc);
                window.accumulate(isa, first, w, acc);
                isa.requantize_i8(to, first, acc, y);
            }
        }
    }
}

/// The input as one output position sees it.
struct Window<'a> {
    shape: &'a DepthwiseConv2d,
    x: &'a [i8],
    down: Taps,
    across: Taps,
    pad_value: i8,
}

impl Window<'_> {
    /// Adds the products of this window with the filters of the channels from `first` on to their sums.
    #[inline]
    fn accumulate<I: Isa>(&self, isa: I, first: usize, w: &[i8], acc: &mut [i32]) {
        let Self { shape, x, down, across, pad_value } = self;
        let (in_c, out_c, in_w) = (shape.in_c as usize, shape.out_c as usize, shape.window.width.input as usize);
        let (dilation_h, step) = (shape.window.height.dilation as usize, shape.window.width.dilation as usize * in_c);
        let mut filters = from(w, first);
        for ky in 0..shape.window.height.kernel as usize {
            // Wraps above the input, which is no small number either.
            let row = ky.wrapping_sub(down.first);
            let inside = if row < down.count { across.count } else { 0 };
            let in_y = down.input + row.min(down.count) * dilation_h;
            let mut at = (in_y * in_w + across.input) * in_c;
            for kx in 0..shape.window.width.kernel as usize {
                let w = sub(filters, 0, acc.len());
                filters = from(filters, out_c);
                if kx.wrapping_sub(across.first) < inside {
                    self.tap(isa, from(x, at), first, w, acc);
                    at += step;
                } else if *pad_value != 0 {
                    isa.axpy_i8(*pad_value, w, acc);
                }
            }
        }
    }

    /// One tap inside the input: `x` begins with its input channels, `w` and `acc` have the output channels from
    /// `first` on.
    #[inline]
    fn tap<I: Isa>(&self, isa: I, x: &[i8], first: usize, w: &[i8], acc: &mut [i32]) {
        let multiplier = self.shape.multiplier as usize;
        if multiplier == 1 {
            isa.multiply_add_i8(sub(x, first, acc.len()), w, acc);
            return;
        }
        // Several filters share an input channel; a block may begin and end within one.
        let mut channel = first;
        while channel < first + acc.len() {
            let Some(source) = channel.checked_div(multiplier) else { return };
            let end = ((source + 1) * multiplier).min(first + acc.len());
            let (start, len) = (channel - first, end - channel);
            isa.axpy_i8(x.get(source).copied().unwrap_or(0), sub(w, start, len), sub_mut(acc, start, len));
            channel = end;
        }
    }
}

/// Forward step, int8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ForwardI8 {
    /// Shape.
    pub shape: DepthwiseConv2d,
    /// Input.
    pub x: Ref,
    /// Weights, symmetric.
    pub w: Ref,
    /// Bias with the input's zero point folded in, or none.
    pub b: Ref,
    /// Output.
    pub y: Ref,
    /// Scratch of a token's loops, or none.
    pub scratch: Ref,
    /// Bytes of that.
    pub scratch_bytes: u32,
    /// The input's zero point: what lies beside the input.
    pub pad_value: i32,
    /// How sums become outputs.
    pub requantize: RequantizeRecord,
    /// The order of the weights. Unless it is the plain one, they come with biases and multipliers.
    pub order: OrderRecord,
}

impl StepRecord for ForwardI8 {
    operands! {
        x: read i8 [samples, shape => DepthwiseConv2d::INPUT],
        w: read order(order) [shape => DepthwiseConv2d::WEIGHTS],
        b: read i32 [shape.out_c],
        requantize.multiplier: read i32 [requantize.channels],
        requantize.shift: read i32 [requantize.channels],
        scratch: scratch order(order) [scratch_bytes],
        y: write i8 [samples, shape => DepthwiseConv2d::OUTPUT],
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid()
            && self.requantize.is_valid(self.shape.out_c)
            && i8::try_from(self.pad_value).is_ok()
            && self.order.is_valid()
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, _: &mut Context) {
        let shape = &self.shape;
        let (x, pad_value) = (at.read(), self.pad_value as i8);
        match self.order.id() {
            None if PLAIN => {
                let (w, b, to) = (at.read(), at.read(), self.requantize.read(at));
                let (_, y) = (at.write::<i8>(), at.write());
                forward_i8(isa, shape, x, w, b, pad_value, &to, y);
            }
            None => {}
            Some(id) => {
                let (stream, _) = (at.read(), at.read::<i32>());
                let (to, scratch, y) = (self.requantize.read(at), at.write(), at.write());
                let layer = Depthwise { stream, pad_value, to };
                layout::run(isa, id, Ordered { shape, layer, scratch, x, y });
            }
        }
    }
}

/// A layer whose weights lie in a token's order.
#[derive(Debug)]
pub(crate) struct Ordered<'a> {
    pub(crate) shape: &'a DepthwiseConv2d,
    pub(crate) layer: Depthwise<'a>,
    pub(crate) scratch: &'a mut [u32],
    pub(crate) x: &'a [i8],
    pub(crate) y: &'a mut [i8],
}

impl layout::Task for Ordered<'_> {
    fn run<L: Layout>(self, layout: L) {
        let samples = rows(self.x, self.shape.in_elements()).zip(rows_mut(self.y, self.shape.out_elements()));
        for (x, y) in samples {
            layout.depthwise(self.shape, &self.layer, self.scratch, x, y);
        }
    }
}

#[cfg(test)]
mod tests;
