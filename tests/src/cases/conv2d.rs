//! Convolutions.

use super::naive::{self, same, valid};
use super::{Case, Expected, Int8Layer, Values, bytes, reals, wide};
use embernet_core::kernels::conv2d::{Conv2d, ForwardF32, ForwardI8, Scratch, scratch_bytes_i8, scratch_elements};
use embernet_core::rng::Rng;

/// An f32 case; `published` are somebody else's results, else ours are compared with the truth.
pub fn f32(
    name: impl Into<String>,
    shape: Conv2d,
    x: Vec<f32>,
    w: Vec<f32>,
    b: Vec<f32>,
    (lo, hi): (f32, f32),
    published: Option<Vec<f32>>,
) -> Case {
    let samples = x.len() / shape.in_elements();
    let sums = naive::conv2d(&shape, &wide(&x), &wide(&w), &wide(&b));
    let expected = Expected::of_sums(&sums, (lo, hi), published);
    Case::new(name, samples, vec![Values::F32(x)], expected, move |step| {
        let elements = scratch_elements(&shape, samples, step.isa());
        step.step(&[&w, &b], elements * size_of::<f32>(), move |at| {
            let &[w, b] = at.constants else { unreachable!("two constants were given") };
            let scratch = Scratch { at: at.scratch, elements: elements as u32 };
            ForwardF32 { shape, x: at.x[0], w, b, y: at.y, scratch, lo, hi }
        });
    })
}

/// An int8 case.
pub fn i8(name: impl Into<String>, shape: Conv2d, x: Vec<i8>, layer: Int8Layer, published: Option<Vec<i8>>) -> Case {
    let samples = x.len() / shape.in_elements();
    let sums = naive::conv2d(&shape, &layer.centred(&x), &wide(&layer.w), &wide(&layer.b));
    let expected = published.unwrap_or_else(|| layer.requantized(&sums, shape.out_c));
    Case::new(name, samples, vec![Values::I8(x)], Expected::Exact(expected), move |step| {
        let scratch_bytes = scratch_bytes_i8(&shape);
        layer.step(step, shape.out_c, false, scratch_bytes, move |o| ForwardI8 {
            shape,
            x: o.x,
            w: o.w,
            b: o.b,
            y: o.y,
            scratch: o.scratch,
            scratch_bytes: scratch_bytes as u32,
            pad_value: o.pad_value,
            requantize: o.requantize,
        });
    })
}

/// A square image without padding and dilation.
const PLAIN: Conv2d = Conv2d {
    in_h: 9,
    in_w: 9,
    in_c: 4,
    out_h: 7,
    out_w: 7,
    out_c: 6,
    kernel_h: 3,
    kernel_w: 3,
    stride_h: 1,
    stride_w: 1,
    dilation_h: 1,
    dilation_w: 1,
    pad_top: 0,
    pad_left: 0,
    groups: 1,
};

/// With SAME padding for its kernel, strides and dilation.
const fn padded(shape: Conv2d) -> Conv2d {
    let (out_h, pad_top) = same(shape.in_h, shape.kernel_h, shape.stride_h, shape.dilation_h);
    let (out_w, pad_left) = same(shape.in_w, shape.kernel_w, shape.stride_w, shape.dilation_w);
    Conv2d { out_h, out_w, pad_top, pad_left, ..shape }
}

/// Without padding.
const fn unpadded(shape: Conv2d) -> Conv2d {
    let out_h = valid(shape.in_h, shape.kernel_h, shape.stride_h, shape.dilation_h);
    let out_w = valid(shape.in_w, shape.kernel_w, shape.stride_w, shape.dilation_w);
    Conv2d { out_h, out_w, pad_top: 0, pad_left: 0, ..shape }
}

fn shapes() -> Vec<(&'static str, usize, Conv2d)> {
    vec![
        ("plain", 2, PLAIN),
        ("same", 1, padded(PLAIN)),
        ("same-stride-2", 3, padded(Conv2d { in_h: 10, stride_h: 2, stride_w: 2, ..PLAIN })),
        ("one-channel-in", 1, padded(Conv2d { in_c: 1, kernel_h: 10, kernel_w: 4, stride_h: 2, in_h: 20, ..PLAIN })),
        ("dilated", 1, padded(Conv2d { dilation_h: 2, dilation_w: 3, ..PLAIN })),
        ("dilated-valid", 1, unpadded(Conv2d { dilation_h: 3, dilation_w: 2, stride_w: 2, ..PLAIN })),
        ("groups", 2, padded(Conv2d { in_c: 6, out_c: 9, groups: 3, ..PLAIN })),
        ("groups-dilated", 1, padded(Conv2d { in_c: 4, out_c: 4, groups: 4, dilation_w: 2, ..PLAIN })),
        ("1x1", 2, unpadded(Conv2d { kernel_h: 1, kernel_w: 1, in_c: 19, out_c: 21, ..PLAIN })),
        ("1x1-groups", 2, unpadded(Conv2d { kernel_h: 1, kernel_w: 1, in_c: 20, out_c: 22, groups: 2, ..PLAIN })),
        ("1x1-stride", 1, unpadded(Conv2d { kernel_h: 1, kernel_w: 1, stride_h: 3, stride_w: 2, ..PLAIN })),
        ("1xn", 1, padded(Conv2d { in_h: 1, in_w: 40, kernel_h: 1, kernel_w: 7, ..PLAIN })),
        ("nx1", 1, padded(Conv2d { in_h: 40, in_w: 1, kernel_h: 7, kernel_w: 1, stride_h: 3, ..PLAIN })),
        ("kernel-beyond-input", 1, padded(Conv2d { in_h: 2, in_w: 3, kernel_h: 5, kernel_w: 6, ..PLAIN })),
        ("wide", 1, padded(Conv2d { in_h: 4, in_w: 5, in_c: 33, out_c: 40, ..PLAIN })),
    ]
}

/// The built-in cases.
pub fn cases(rng: &mut Rng) -> Vec<Case> {
    let mut all = Vec::new();
    for (name, samples, shape) in shapes() {
        let (x, w) = (reals(rng, samples * shape.in_elements()), reals(rng, shape.weights()));
        let b = reals(rng, shape.out_c as usize);
        all.push(f32(format!("conv2d/f32/{name}"), shape, x, w, b, (-1.5, f32::INFINITY), None));
        let x = bytes(rng, samples * shape.in_elements());
        let layer = Int8Layer::random(rng, shape.out_c, shape.weights(), shape.patch());
        all.push(i8(format!("conv2d/i8/{name}"), shape, x, layer, None));
    }
    let shape = padded(PLAIN);
    let layer = Int8Layer { b: Vec::new(), input_zero_point: 0, ..Int8Layer::random(rng, 6, shape.weights(), 36) };
    all.push(i8("conv2d/i8/no-bias-zero-point0", shape, bytes(rng, shape.in_elements()), layer, None));
    all
}
