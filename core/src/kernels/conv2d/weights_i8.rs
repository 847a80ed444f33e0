//! Convolution, f32 activations with int8 weights: the weights stay small in flash, nothing else is quantised.
//!
//! A dense layer is a 1x1 convolution over one pixel, a depthwise one has as many groups as channels.

use super::Conv2d;
use super::float::each_piece;
use crate::arch::Isa;
use crate::kernels::compact::{Floats, Walk};
use crate::kernels::util::{from, rows, rows_mut, sub};
use crate::memory::Slices;
use crate::plan::{COMPACT, Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `y = clamp(scale * conv(x, w) + b, lo, hi)`; an empty `b` counts as zeros.
///
/// `scale` has one element for each output channel, or one for all. A sum starts from 0 and adds `x * w` in order of
/// the taps, the whole weight taken as f32; it is multiplied by the scale once, then the bias is added.
pub fn forward_weights_i8<I: Isa>(
    isa: I,
    shape: &Conv2d,
    x: &[f32],
    w: &[i8],
    scale: &[f32],
    b: &[f32],
    lo: f32,
    hi: f32,
    y: &mut [f32],
) {
    if COMPACT {
        let walk = Walk::conv2d(shape);
        walk.over(y.len(), &mut Floats::of_i8(&walk, x, w, scale, b, y));
        return isa.clamp_f32(lo, hi, y);
    }
    let (in_c, out_c, patch) = (shape.in_c as usize, shape.out_c as usize, shape.patch());
    let (group_in, group_out) = (shape.group_in(), shape.group_out());
    let step = shape.window.width.stride as usize * in_c;
    y.fill(0.0);
    for (x, y) in rows(x, shape.in_elements()).zip(rows_mut(y, shape.out_elements())) {
        for out_y in 0..shape.window.height.output as usize {
            each_piece(shape, out_y, &mut |piece| {
                let outputs = rows_mut(crate::kernels::util::from_mut(y, piece.pixel * out_c), out_c);
                for (i, y) in outputs.take(piece.pixels).enumerate() {
                    for (group, y) in rows_mut(y, group_out).enumerate() {
                        let x = sub(x, piece.x + i * step + group * group_in, piece.len);
                        let w = from(w, group * group_out * patch + piece.column);
                        for (filter, y) in y.iter_mut().enumerate() {
                            *y = isa.dot_f32_i8(*y, x, sub(w, filter * patch, piece.len));
                        }
                    }
                }
            });
        }
        for y in rows_mut(y, out_c) {
            for (channel, y) in y.iter_mut().enumerate() {
                let scale = scale.get(if scale.len() == 1 { 0 } else { channel }).copied().unwrap_or(0.0);
                *y = *y * scale + b.get(channel).copied().unwrap_or(0.0);
            }
        }
    }
    isa.clamp_f32(lo, hi, y);
}

/// Forward step, f32 with int8 weights.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ForwardWeightsI8 {
    /// Shape.
    pub shape: Conv2d,
    /// Input.
    pub x: Ref,
    /// Weights, int8, symmetric.
    pub w: Ref,
    /// Scales of the weights.
    pub scale: Ref,
    /// How many: the output channels, or 1.
    pub scales: u32,
    /// Bias, or none.
    pub b: Ref,
    /// Output.
    pub y: Ref,
    /// Least output.
    pub lo: f32,
    /// Greatest output.
    pub hi: f32,
}

impl StepRecord for ForwardWeightsI8 {
    operands! {
        x: read f32 [samples, shape => Conv2d::INPUT],
        w: read i8 [shape => Conv2d::WEIGHTS],
        scale: read f32 [scales],
        b: read f32 [shape.out_c],
        y: write f32 [samples, shape => Conv2d::OUTPUT],
    }

    fn shape_is_valid(&self) -> bool {
        self.shape.is_valid() && (self.scales == 1 || self.scales == self.shape.out_c)
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, _: &mut Context) {
        let (x, w, scale, b) = (at.read(), at.read(), at.read(), at.read());
        let y = at.write();
        let (lo, hi) = (self.lo, self.hi);
        forward_weights_i8(isa, &self.shape, x, w, scale, b, lo, hi, y);
    }
}
