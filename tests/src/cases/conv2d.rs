//! Convolutions.

use super::naive::{self, Sum, same, valid, window};
use super::{Case, Expected, Int8Layer, Values, bytes, reals, wide};
use embernet_core::arch::layout::packing;
use embernet_core::kernels::conv2d::{
    Conv2d, ForwardF32, ForwardI8, ForwardWeightsI8, Scratch, scratch_bytes_i8, scratch_elements,
};
use embernet_core::kernels::window::Window2d;
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
        let elements = scratch_elements(&shape, step.isa());
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
        let pack = |isa, layer: &packing::Layer<'_>| packing::conv2d(isa, &shape, layer);
        layer.step(step, shape.out_c, false, scratch_bytes_i8(&shape), pack, move |o| ForwardI8 {
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

/// An f32 case with int8 weights and a scale for each output channel, or one for all.
pub fn weights_i8(
    name: impl Into<String>,
    shape: Conv2d,
    x: Vec<f32>,
    w: Vec<i8>,
    scale: Vec<f32>,
    b: Vec<f32>,
    (lo, hi): (f32, f32),
) -> Case {
    let samples = x.len() / shape.in_elements();
    let of = |channel: usize| f64::from(scale[if scale.len() == 1 { 0 } else { channel }]);
    let bias = |channel: usize| b.get(channel).copied().map_or(0.0, f64::from);
    let scaled = |(i, sum): (usize, Sum)| {
        let channel = i % shape.out_c as usize;
        let (scale, bias) = (of(channel), bias(channel));
        // One term more for the product with the scale, one for the bias.
        Sum { value: sum.value * scale + bias, magnitude: sum.magnitude * scale + bias.abs(), terms: sum.terms + 2 }
    };
    let sums = naive::conv2d(&shape, &wide(&x), &wide(&w), &[]);
    let sums: Vec<Sum> = sums.into_iter().enumerate().map(scaled).collect();
    let scales = scale.len() as u32;
    Case::new(name, samples, vec![Values::F32(x)], Expected::of_sums(&sums, (lo, hi), None), move |step| {
        step.step(&[&w, &scale, &b], 0, move |at| {
            let &[w, scale, b] = at.constants else { unreachable!("three constants were given") };
            ForwardWeightsI8 { shape, x: at.x[0], w, scale, scales, b, y: at.y, lo, hi }
        });
    })
}

/// A square image without padding and dilation.
const PLAIN: Conv2d =
    Conv2d { window: Window2d { height: valid(9, 3, 1, 1), width: valid(9, 3, 1, 1) }, in_c: 4, out_c: 6, groups: 1 };

fn shapes() -> Vec<(&'static str, usize, Conv2d)> {
    let plain = |window| Conv2d { window, ..PLAIN };
    let padded = window(same, [9, 9], [3, 3], [1, 1], [1, 1]);
    let pointwise = window(valid, [9, 9], [1, 1], [1, 1], [1, 1]);
    vec![
        ("plain", 2, PLAIN),
        ("same", 1, plain(padded)),
        ("same-stride-2", 3, plain(window(same, [10, 9], [3, 3], [2, 2], [1, 1]))),
        ("one-channel-in", 1, Conv2d { in_c: 1, ..plain(window(same, [20, 9], [10, 4], [2, 1], [1, 1])) }),
        ("dilated", 1, plain(window(same, [9, 9], [3, 3], [1, 1], [2, 3]))),
        ("dilated-valid", 1, plain(window(valid, [9, 9], [3, 3], [1, 2], [3, 2]))),
        ("groups", 2, Conv2d { window: padded, in_c: 6, out_c: 9, groups: 3 }),
        (
            "groups-dilated",
            1,
            Conv2d { window: window(same, [9, 9], [3, 3], [1, 1], [1, 2]), in_c: 4, out_c: 4, groups: 4 },
        ),
        ("1x1", 2, Conv2d { window: pointwise, in_c: 19, out_c: 21, groups: 1 }),
        ("1x1-groups", 2, Conv2d { window: pointwise, in_c: 20, out_c: 22, groups: 2 }),
        ("1x1-stride", 1, plain(window(valid, [9, 9], [1, 1], [3, 2], [1, 1]))),
        ("1xn", 1, plain(window(same, [1, 40], [1, 7], [1, 1], [1, 1]))),
        ("nx1", 1, plain(window(same, [40, 1], [7, 1], [3, 1], [1, 1]))),
        ("kernel-beyond-input", 1, plain(window(same, [2, 3], [5, 6], [1, 1], [1, 1]))),
        ("wide", 1, Conv2d { in_c: 33, out_c: 40, ..plain(window(same, [4, 5], [3, 3], [1, 1], [1, 1])) }),
    ]
}

/// The built-in cases.
pub fn cases(rng: &mut Rng) -> Vec<Case> {
    let mut all = Vec::new();
    for (name, samples, shape) in shapes() {
        let (x, w) = (reals(rng, samples * shape.in_elements()), reals(rng, shape.weights()));
        let b = reals(rng, shape.out_c as usize);
        all.push(f32(format!("conv2d/f32/{name}"), shape, x, w, b, (-1.5, f32::INFINITY), None));
        let (x, w) = (reals(rng, samples * shape.in_elements()), bytes(rng, shape.weights()));
        let per_channel = samples > 1;
        let scale = (0..if per_channel { shape.out_c } else { 1 }).map(|_| rng.uniform_f32(0.001, 0.02)).collect();
        let b = if per_channel { reals(rng, shape.out_c as usize) } else { Vec::new() };
        all.push(weights_i8(format!("conv2d/weights-i8/{name}"), shape, x, w, scale, b, (-1.5, f32::INFINITY)));
        let x = bytes(rng, samples * shape.in_elements());
        let layer = Int8Layer::random(rng, shape.out_c, shape.weights(), shape.patch());
        all.push(i8(format!("conv2d/i8/{name}"), shape, x, layer, None));
    }
    let shape = Conv2d { window: window(same, [9, 9], [3, 3], [1, 1], [1, 1]), ..PLAIN };
    let layer = Int8Layer { b: Vec::new(), input_zero_point: 0, ..Int8Layer::random(rng, 6, shape.weights(), 36) };
    all.push(i8("conv2d/i8/no-bias-zero-point0", shape, bytes(rng, shape.in_elements()), layer, None));
    all
}
