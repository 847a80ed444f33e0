//! Depthwise convolutions.

use super::naive::{self, same, valid};
use super::{Case, Expected, Int8Layer, Values, bytes, reals, wide};
use embernet_core::kernels::depthwise_conv2d::{DepthwiseConv2d, ForwardF32, ForwardI8};
use embernet_core::rng::Rng;

/// An f32 case; `published` are somebody else's results, else ours are compared with the truth.
pub fn f32(
    name: impl Into<String>,
    shape: DepthwiseConv2d,
    x: Vec<f32>,
    w: Vec<f32>,
    b: Vec<f32>,
    (lo, hi): (f32, f32),
    published: Option<Vec<f32>>,
) -> Case {
    let samples = x.len() / shape.in_elements();
    let sums = naive::depthwise_conv2d(&shape, &wide(&x), &wide(&w), &wide(&b));
    let expected = Expected::of_sums(&sums, (lo, hi), published);
    Case::new(name, samples, vec![Values::F32(x)], expected, move |step| {
        step.step(&[&w, &b], 0, move |at| {
            let &[w, b] = at.constants else { unreachable!("two constants were given") };
            ForwardF32 { shape, x: at.x[0], w, b, y: at.y, lo, hi }
        });
    })
}

/// An int8 case.
pub fn i8(
    name: impl Into<String>,
    shape: DepthwiseConv2d,
    x: Vec<i8>,
    layer: Int8Layer,
    published: Option<Vec<i8>>,
) -> Case {
    let samples = x.len() / shape.in_elements();
    let sums = naive::depthwise_conv2d(&shape, &layer.centred(&x), &wide(&layer.w), &wide(&layer.b));
    let expected = published.unwrap_or_else(|| layer.requantized(&sums, shape.out_c));
    Case::new(name, samples, vec![Values::I8(x)], Expected::Exact(expected), move |step| {
        layer.step(step, shape.out_c, true, 0, move |o| ForwardI8 {
            shape,
            x: o.x,
            w: o.w,
            b: o.b,
            y: o.y,
            pad_value: o.pad_value,
            requantize: o.requantize,
        });
    })
}

/// A square image without padding and dilation.
const PLAIN: DepthwiseConv2d = DepthwiseConv2d {
    in_h: 8,
    in_w: 8,
    in_c: 5,
    out_h: 6,
    out_w: 6,
    out_c: 5,
    kernel_h: 3,
    kernel_w: 3,
    stride_h: 1,
    stride_w: 1,
    dilation_h: 1,
    dilation_w: 1,
    pad_top: 0,
    pad_left: 0,
    multiplier: 1,
};

/// With SAME padding for its kernel, strides and dilation, and the right number of outputs.
const fn padded(shape: DepthwiseConv2d) -> DepthwiseConv2d {
    let (out_h, pad_top) = same(shape.in_h, shape.kernel_h, shape.stride_h, shape.dilation_h);
    let (out_w, pad_left) = same(shape.in_w, shape.kernel_w, shape.stride_w, shape.dilation_w);
    DepthwiseConv2d { out_h, out_w, pad_top, pad_left, out_c: shape.in_c * shape.multiplier, ..shape }
}

/// Without padding.
const fn unpadded(shape: DepthwiseConv2d) -> DepthwiseConv2d {
    let out_h = valid(shape.in_h, shape.kernel_h, shape.stride_h, shape.dilation_h);
    let out_w = valid(shape.in_w, shape.kernel_w, shape.stride_w, shape.dilation_w);
    DepthwiseConv2d { out_h, out_w, pad_top: 0, pad_left: 0, out_c: shape.in_c * shape.multiplier, ..shape }
}

fn shapes() -> Vec<(&'static str, usize, DepthwiseConv2d)> {
    vec![
        ("plain", 2, PLAIN),
        ("same", 1, padded(PLAIN)),
        ("same-stride-2", 3, padded(DepthwiseConv2d { stride_h: 2, stride_w: 2, ..PLAIN })),
        ("dilated", 1, padded(DepthwiseConv2d { dilation_h: 2, dilation_w: 3, ..PLAIN })),
        ("dilated-valid", 1, unpadded(DepthwiseConv2d { dilation_h: 3, dilation_w: 2, ..PLAIN })),
        ("multiplier-2", 2, padded(DepthwiseConv2d { multiplier: 2, ..PLAIN })),
        (
            "multiplier-8-of-one",
            1,
            padded(DepthwiseConv2d { in_c: 1, multiplier: 8, kernel_h: 5, kernel_w: 4, ..PLAIN }),
        ),
        ("multiplier-3-wide", 1, padded(DepthwiseConv2d { in_c: 23, multiplier: 3, ..PLAIN })),
        ("wide", 1, padded(DepthwiseConv2d { in_c: 67, in_h: 4, in_w: 3, ..PLAIN })),
        ("1xn", 1, padded(DepthwiseConv2d { in_h: 1, in_w: 30, kernel_h: 1, kernel_w: 5, ..PLAIN })),
    ]
}

/// The built-in cases.
pub fn cases(rng: &mut Rng) -> Vec<Case> {
    let mut all = Vec::new();
    for (name, samples, shape) in shapes() {
        let (x, w) = (reals(rng, samples * shape.in_elements()), reals(rng, shape.weights()));
        let b = reals(rng, shape.out_c as usize);
        all.push(f32(format!("depthwise_conv2d/f32/{name}"), shape, x, w, b, (-0.5, 6.0), None));
        let x = bytes(rng, samples * shape.in_elements());
        let terms = (shape.kernel_h * shape.kernel_w) as usize;
        let layer = Int8Layer::random(rng, shape.out_c, shape.weights(), terms);
        all.push(i8(format!("depthwise_conv2d/i8/{name}"), shape, x, layer, None));
    }
    all
}
