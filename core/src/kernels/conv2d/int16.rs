//! Convolution, int16 forward with int8 weights: zero points are 0, sums have 64 bits.

use super::Conv2d;
use crate::arch::Isa;
use crate::kernels::compact::{Integers, Walk};
use crate::kernels::requantize::{Requantize, RequantizeRecord, Wide, bias_i16};
use crate::kernels::util::{from, rows, rows_mut, sub};
use crate::kernels::window::Taps;
use crate::memory::Slices;
use crate::plan::{COMPACT, Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `y = requantize(x * w + b)`. Taps beside the input are zero and add nothing.
pub fn forward_i16<I: Isa>(
    isa: I,
    shape: &Conv2d,
    x: &[i16],
    w: &[i8],
    b: &[Wide],
    to: &Requantize<'_>,
    y: &mut [i16],
) {
    if COMPACT {
        let walk = Walk::conv2d(shape);
        return walk.over(y.len(), &mut Integers::of_i16(&walk, x, w, b, to, y));
    }
    for (x, y) in rows(x, shape.in_elements()).zip(rows_mut(y, shape.out_elements())) {
        for ((down, across), y) in shape.window.positions().zip(rows_mut(y, shape.out_c as usize)) {
            let window = Window { shape, x, down, across };
            for (group, y) in rows_mut(y, shape.group_out()).enumerate() {
                let first = group * shape.group_out();
                for (output, y) in (first..).zip(y) {
                    let acc = window.sum(isa, group, from(w, output * shape.patch()), bias_i16(b, output));
                    *y = to.to_i16(output, acc);
                }
            }
        }
    }
}

/// The input as one output position sees it.
struct Window<'a> {
    shape: &'a Conv2d,
    x: &'a [i16],
    down: Taps,
    across: Taps,
}

impl Window<'_> {
    /// `init` and the products with the filter that begins at `w`.
    #[inline]
    fn sum<I: Isa>(&self, isa: I, group: usize, w: &[i8], init: i64) -> i64 {
        let Self { shape, x, down, across } = self;
        let (in_c, group_in) = (shape.in_c as usize, shape.group_in());
        let mut sum = init;
        for i in 0..down.count {
            let in_y = down.input + i * shape.window.height.dilation as usize;
            let start = (in_y * shape.window.width.input as usize + across.input) * in_c + group * group_in;
            let w = from(w, ((down.first + i) * shape.window.width.kernel as usize + across.first) * group_in);
            if shape.rows_are_contiguous() {
                let len = across.count * in_c;
                sum = isa.dot_i16(sum, sub(x, start, len), sub(w, 0, len));
                continue;
            }
            for j in 0..across.count {
                let tap = sub(x, start + j * shape.window.width.dilation as usize * in_c, group_in);
                sum = isa.dot_i16(sum, tap, sub(w, j * group_in, group_in));
            }
        }
        sum
    }
}

/// Forward step, int16.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ForwardI16 {
    /// Shape.
    pub shape: Conv2d,
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
        x: read i16 [samples, shape => Conv2d::INPUT],
        w: read i8 [shape => Conv2d::WEIGHTS],
        b: read i64 [shape.out_c],
        requantize.multiplier: read i32 [requantize.channels],
        requantize.shift: read i32 [requantize.channels],
        y: write i16 [samples, shape => Conv2d::OUTPUT],
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
