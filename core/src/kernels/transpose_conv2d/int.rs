//! Transposed convolution, int8 and int16 forward. Every output gathers the taps that meet the input.

use crate::arch::Isa;
use crate::kernels::compact::{Integers, Walk};
use crate::kernels::conv2d::Conv2d;
use crate::kernels::integer::Width;
use crate::kernels::requantize::{Requantize, RequantizeRecord};
use crate::kernels::util::{rows, rows_mut, sub};
use crate::memory::Slices;
use crate::plan::{COMPACT, Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `y = requantize(sum of (x - zero_point) * w + b)`.
///
/// The zero point is not folded into the bias: how many taps meet the input differs from output to output.
pub fn forward<I: Isa>(
    isa: I,
    conv: &Conv2d,
    of: Width,
    x: &[u8],
    zero_point: i32,
    w: &[i8],
    b: &[u8],
    to: &Requantize<'_>,
    y: &mut [u8],
) {
    if COMPACT {
        let walk = Walk::transpose_conv2d(conv);
        let elements = y.len().checked_div(of.bytes()).unwrap_or(0);
        return walk.over(elements, &mut Integers::new(&walk, of, x, zero_point, w, b, to, y));
    }
    let (height, width) = (conv.window.height, conv.window.width);
    let (in_c, out_c) = (conv.out_c as usize, conv.in_c as usize);
    let (group_in, group_out) = (conv.group_out(), conv.group_in());
    let (pixel, taps) = (out_c * of.bytes(), height.kernel as usize * width.kernel as usize);
    for (x, y) in rows(x, conv.out_elements() * of.bytes()).zip(rows_mut(y, conv.in_elements() * of.bytes())) {
        for (out_y, y) in rows_mut(y, width.input as usize * pixel).enumerate() {
            let (down, first_y) = height.readers(out_y);
            for (out_x, y) in rows_mut(y, pixel).enumerate() {
                let (across, first_x) = width.readers(out_x);
                for (output, y) in rows_mut(y, of.bytes()).enumerate() {
                    let group = output.checked_div(group_out).unwrap_or(0);
                    let mut sum = of.bias(b, output);
                    let mut k_y = first_y;
                    for in_y in down.clone() {
                        let mut k_x = first_x;
                        for in_x in across.clone() {
                            let at = (in_y * width.output as usize + in_x) * in_c + group * group_in;
                            let tap = output * taps + k_y * width.kernel as usize + k_x;
                            let w = sub(w, tap * group_in, group_in);
                            sum = of.dot(isa, sum, of.sub(x, at, group_in), zero_point, w);
                            k_x = k_x.saturating_sub(width.stride as usize);
                        }
                        k_y = k_y.saturating_sub(height.stride as usize);
                    }
                    of.store(to.output(output, sum), y);
                }
            }
        }
    }
}

/// Forward step, int8 or int16.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ForwardInt {
    /// The convolution from `y` to `x`, without dilation.
    pub conv: Conv2d,
    /// Of the activations.
    pub width: Width,
    /// Input.
    pub x: Ref,
    /// Weights, int8, symmetric.
    pub w: Ref,
    /// Bias, or none.
    pub b: Ref,
    /// Output.
    pub y: Ref,
    /// Of the input.
    pub zero_point: i32,
    /// How sums become outputs.
    pub requantize: RequantizeRecord,
}

impl StepRecord for ForwardInt {
    operands! {
        x: read size(width) [samples, conv => Conv2d::OUTPUT],
        w: read i8 [conv => Conv2d::WEIGHTS],
        b: read bias(width) [conv.in_c],
        requantize.multiplier: read i32 [requantize.channels],
        requantize.shift: read i32 [requantize.channels],
        y: write size(width) [samples, conv => Conv2d::INPUT],
    }

    fn shape_is_valid(&self) -> bool {
        let window = self.conv.window;
        self.conv.is_valid()
            && (window.height.dilation, window.width.dilation) == (1, 1)
            && self.width.fits(&self.requantize, self.conv.in_c, self.zero_point)
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, _: &mut Context) {
        let (x, w, b) = (at.read(), at.read(), at.read());
        let to = self.requantize.read(at);
        forward(isa, &self.conv, self.width, x, self.zero_point, w, b, &to, at.write());
    }
}
