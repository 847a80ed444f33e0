//! Depthwise convolution, int16 forward with int8 weights: zero points are 0, sums have 64 bits.

use super::DepthwiseConv2d;
use crate::arch::Isa;
use crate::kernels::compact::{Integers, Walk};
use crate::kernels::requantize::{Requantize, RequantizeRecord, Wide, bias_i16};
use crate::kernels::util::{rows, rows_mut, sub};
use crate::kernels::window::Taps;
use crate::memory::Slices;
use crate::plan::{COMPACT, Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Channels whose sums are held at once.
const BLOCK: usize = 16;

/// `y = requantize(x * w + b)`, each channel for itself. Taps beside the input are zero and add nothing.
// A function of its own on a device: among all other kernels its places would not stay in registers.
#[cfg_attr(target_os = "none", inline(never))]
pub fn forward_i16<I: Isa>(
    isa: I,
    shape: &DepthwiseConv2d,
    x: &[i16],
    w: &[i8],
    b: &[Wide],
    to: &Requantize<'_>,
    y: &mut [i16],
) {
    if COMPACT {
        let walk = Walk::depthwise_conv2d(shape);
        return walk.over(y.len(), &mut Integers::of_i16(&walk, x, w, b, to, y));
    }
    let (out_w, out_c) = (shape.window.width.output as usize, shape.out_c as usize);
    let (vertical, horizontal) = (shape.window.height, shape.window.width);
    for (x, y) in rows(x, shape.in_elements()).zip(rows_mut(y, shape.out_elements())) {
        for (out_y, y) in rows_mut(y, out_w * out_c).enumerate() {
            let down = vertical.taps(out_y);
            for (out_x, y) in rows_mut(y, out_c).enumerate() {
                let window = Window { shape, x, down, across: horizontal.taps(out_x) };
                for (block, y) in y.chunks_mut(BLOCK).enumerate() {
                    let first = block * BLOCK;
                    let mut acc = [0; BLOCK];
                    let Some(acc) = acc.get_mut(..y.len()) else { return };
                    for (channel, acc) in (first..).zip(acc.iter_mut()) {
                        *acc = bias_i16(b, channel);
                    }
                    window.accumulate(isa, first, w, acc);
                    for ((channel, y), acc) in (first..).zip(y).zip(acc) {
                        *y = to.to_i16(channel, *acc);
                    }
                }
            }
        }
    }
}

/// The input as one output position sees it.
struct Window<'a> {
    shape: &'a DepthwiseConv2d,
    x: &'a [i16],
    down: Taps,
    across: Taps,
}

impl Window<'_> {
    /// Adds the products of this window with the filters of the channels from `first` on to their sums.
    #[inline]
    fn accumulate<I: Isa>(&self, isa: I, first: usize, w: &[i8], acc: &mut [i64]) {
        let Self { shape, x, down, across } = self;
        let (in_c, out_c, in_w) = (shape.in_c as usize, shape.out_c as usize, shape.window.width.input as usize);
        for i in 0..down.count {
            let in_y = down.input + i * shape.window.height.dilation as usize;
            for j in 0..across.count {
                let in_x = across.input + j * shape.window.width.dilation as usize;
                let tap = (down.first + i) * shape.window.width.kernel as usize + across.first + j;
                let w = sub(w, tap * out_c + first, acc.len());
                self.tap(isa, sub(x, (in_y * in_w + in_x) * in_c, in_c), first, w, acc);
            }
        }
    }

    /// One tap: `x` has all input channels, `w` and `acc` the output channels from `first` on.
    #[inline]
    fn tap<I: Isa>(&self, isa: I, x: &[i16], first: usize, w: &[i8], acc: &mut [i64]) {
        let multiplier = self.shape.multiplier as usize;
        if multiplier == 1 {
            isa.multiply_add_i16(sub(x, first, acc.len()), w, acc);
            return;
        }
        for ((channel, acc), w) in (first..).zip(acc).zip(w) {
            let source = channel.checked_div(multiplier).unwrap_or(0);
            let x = x.get(source).copied().unwrap_or(0);
            *acc = acc.wrapping_add(i64::from(i32::from(x) * i32::from(*w)));
        }
    }
}

/// Forward step, int16.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ForwardI16 {
    /// Shape.
    pub shape: DepthwiseConv2d,
    /// Input.
    pub x: Ref,
    /// Weights, int8, symmetric.
    pub w: Ref,
    /// Bias of 64 bits, or none.
    pub b: Ref,
    /// Output.
    pub y: Ref,
    /// How sums become outputs; multipliers of 15 bits.
    pub requantize: RequantizeRecord,
}

impl StepRecord for ForwardI16 {
    operands! {
        x: read i16 [samples, shape => DepthwiseConv2d::INPUT],
        w: read i8 [shape => DepthwiseConv2d::WEIGHTS],
        b: read i64 [shape.out_c],
        requantize.multiplier: read i32 [requantize.channels],
        requantize.shift: read i32 [requantize.channels],
        y: write i16 [samples, shape => DepthwiseConv2d::OUTPUT],
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid() && self.requantize.is_valid_i16(self.shape.out_c)
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, _: &mut Context) {
        let (x, w, b) = (at.read(), at.read(), at.read());
        let (to, y) = (self.requantize.read(at), at.write());
        forward_i16(isa, &self.shape, x, w, b, &to, y);
    }
}
