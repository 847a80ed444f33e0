//! Transposed convolutions. Shapes are those of the convolution that goes the other way.

use super::naive::{self, same, valid, window};
use super::{Case, Expected, Int8Layer, Values, bytes, reals, wide};
use embernet_core::kernels::conv2d::{Conv2d, Scratch, scratch_elements};
use embernet_core::kernels::integer::Width;
use embernet_core::kernels::transpose_conv2d::{ForwardF32, ForwardInt};
use embernet_core::rng::Rng;

/// An f32 case; weights `[in][kernel_h][kernel_w][out / groups]`.
pub fn f32(
    name: impl Into<String>,
    conv: Conv2d,
    x: Vec<f32>,
    w: Vec<f32>,
    b: Vec<f32>,
    (lo, hi): (f32, f32),
    published: Option<Vec<f32>>,
) -> Case {
    let samples = x.len() / conv.out_elements();
    let sums = naive::transpose_conv2d(&conv, &wide(&x), &wide(&w), &wide(&b));
    let expected = Expected::of_sums(&sums, (lo, hi), published);
    Case::new(name, samples, vec![Values::F32(x)], expected, move |step| {
        let elements = scratch_elements(&conv, step.isa());
        step.step(&[&w, &b], elements * size_of::<f32>(), move |at| {
            let &[w, b] = at.constants else { unreachable!("two constants were given") };
            let scratch = Scratch { at: at.scratch, elements: elements as u32 };
            ForwardF32 { conv, x: at.x[0], w, b, y: at.y, scratch, lo, hi }
        });
    })
}

/// An int8 case; weights `[out][kernel_h][kernel_w][in / groups]`.
pub fn i8(name: impl Into<String>, conv: Conv2d, x: Vec<i8>, layer: Int8Layer, published: Option<Vec<i8>>) -> Case {
    let samples = x.len() / conv.out_elements();
    let w = inputs_first(&conv, &layer.w);
    let sums = naive::transpose_conv2d(&conv, &layer.centred(&x), &wide(&w), &wide(&layer.b));
    let expected = published.unwrap_or_else(|| layer.requantized(&sums, conv.in_c));
    Case::new(name, samples, vec![Values::I8(x)], Expected::Exact(expected), move |step| {
        layer.unfolded_step(step, move |o| ForwardInt {
            conv,
            width: Width::I8,
            x: o.x,
            w: o.w,
            b: o.b,
            y: o.y,
            zero_point: o.pad_value,
            requantize: o.requantize,
        });
    })
}

/// Weights `[out][taps][in / groups]` as `[in][taps][out / groups]`.
pub fn inputs_first<T: Copy>(conv: &Conv2d, w: &[T]) -> Vec<T> {
    let (taps, group_in, group_out) = (conv.window.taps(), conv.group_out(), conv.group_in());
    let mut relaid = Vec::new();
    for input in 0..conv.out_c as usize {
        let (group, within) = (input / group_in, input % group_in);
        for tap in 0..taps {
            let at = |output: usize| w[((group * group_out + output) * taps + tap) * group_in + within];
            relaid.extend((0..group_out).map(at));
        }
    }
    relaid
}

/// The built-in cases.
pub fn cases(rng: &mut Rng) -> Vec<Case> {
    let mut all = Vec::new();
    let conv = |window, in_c, out_c, groups| Conv2d { window, in_c, out_c, groups };
    let shapes = [
        ("stride-2", conv(window(same, [8, 6], [3, 3], [2, 2], [1, 1]), 4, 5, 1)),
        ("valid", conv(window(valid, [9, 11], [2, 4], [3, 1], [1, 1]), 3, 2, 1)),
        ("groups", conv(window(same, [7, 7], [3, 2], [2, 3], [1, 1]), 6, 9, 3)),
        ("gaps", conv(window(valid, [9, 9], [1, 1], [2, 4], [1, 1]), 2, 3, 1)),
    ];
    for (name, conv) in shapes {
        let (x, w) = (reals(rng, 2 * conv.out_elements()), reals(rng, conv.weights()));
        let b = reals(rng, conv.in_c as usize);
        all.push(f32(format!("transpose_conv2d/f32/{name}"), conv, x, w, b, (-2.0, 2.0), None));
        let layer = Int8Layer::random(rng, conv.in_c, conv.weights(), conv.window.taps() * conv.group_out());
        let x = bytes(rng, 2 * conv.out_elements());
        all.push(i8(format!("transpose_conv2d/i8/{name}"), conv, x, layer, None));
    }
    all
}
