//! Depthwise convolutions.

use super::naive::{self, same, valid, window};
use super::{Case, Expected, Int8Layer, Values, bytes, reals, wide};
use embernet_core::arch::layout::packing;
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
        let pack = |isa, layer: &packing::Layer<'_>| packing::depthwise(isa, &shape, layer);
        layer.step(step, shape.out_c, true, 0, pack, move |o| ForwardI8 {
            shape,
            x: o.x,
            w: o.w,
            b: o.b,
            y: o.y,
            scratch: o.scratch,
            scratch_bytes: o.scratch_bytes,
            pad_value: o.pad_value,
            requantize: o.requantize,
            order: o.order,
        });
    })
}

fn shapes() -> Vec<(&'static str, usize, DepthwiseConv2d)> {
    let shape = |window, in_c, multiplier| DepthwiseConv2d { window, in_c, out_c: in_c * multiplier, multiplier };
    let padded = window(same, [8, 8], [3, 3], [1, 1], [1, 1]);
    vec![
        ("plain", 2, shape(window(valid, [8, 8], [3, 3], [1, 1], [1, 1]), 5, 1)),
        ("same", 1, shape(padded, 5, 1)),
        ("same-stride-2", 3, shape(window(same, [8, 8], [3, 3], [2, 2], [1, 1]), 5, 1)),
        ("dilated", 1, shape(window(same, [8, 8], [3, 3], [1, 1], [2, 3]), 5, 1)),
        ("dilated-valid", 1, shape(window(valid, [8, 8], [3, 3], [1, 1], [3, 2]), 5, 1)),
        ("multiplier-2", 2, shape(padded, 5, 2)),
        ("multiplier-8-of-one", 1, shape(window(same, [8, 8], [5, 4], [1, 1], [1, 1]), 1, 8)),
        ("multiplier-3-wide", 1, shape(padded, 23, 3)),
        ("wide", 1, shape(window(same, [4, 3], [3, 3], [1, 1], [1, 1]), 67, 1)),
        ("1xn", 1, shape(window(same, [1, 30], [1, 5], [1, 1], [1, 1]), 5, 1)),
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
        let terms = shape.window.taps();
        let layer = Int8Layer::random(rng, shape.out_c, shape.weights(), terms);
        all.push(i8(format!("depthwise_conv2d/i8/{name}"), shape, x, layer, None));
    }
    all
}
