//! Layers with int4 weights: cases of int8 layers whose weights are packed.

use super::naive::{self, same, valid, window};
use super::{Case, Expected, Int8Layer, Values, bytes, wide};
use embernet_core::kernels::conv2d::{Conv2d, ForwardI4, scratch_bytes_i4};
use embernet_core::kernels::depthwise_conv2d::{self, DepthwiseConv2d};
use embernet_core::rng::Rng;

/// Two weights in a byte, the low nibble first.
pub fn packed(weights: &[i8]) -> Vec<u8> {
    let nibble = |pair: &[i8], at: usize| pair.get(at).map_or(0, |w| *w as u8 & 15);
    weights.chunks(2).map(|pair| nibble(pair, 0) | nibble(pair, 1) << 4).collect()
}

/// A convolution, or a dense layer as one; `filters` of them are unpacked at once.
pub fn conv2d(
    name: impl Into<String>,
    shape: Conv2d,
    filters: usize,
    x: Vec<i8>,
    layer: Int8Layer,
    published: Option<Vec<i8>>,
) -> Case {
    let samples = x.len() / shape.in_elements();
    let sums = naive::conv2d(&shape, &layer.centred(&x), &wide(&layer.w), &wide(&layer.b));
    let expected = published.unwrap_or_else(|| layer.requantized(&sums, shape.out_c));
    Case::new(name, samples, vec![Values::I8(x)], Expected::Exact(expected), move |step| {
        let scratch_bytes = scratch_bytes_i4(&shape, filters * shape.patch());
        layer.packed_step(step, shape.out_c, false, scratch_bytes, move |o| ForwardI4 {
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

/// A depthwise convolution.
pub fn depthwise_conv2d(
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
        layer.packed_step(step, shape.out_c, true, shape.weights(), move |o| depthwise_conv2d::ForwardI4 {
            shape,
            x: o.x,
            w: o.w,
            b: o.b,
            y: o.y,
            scratch: o.scratch,
            pad_value: o.pad_value,
            requantize: o.requantize,
        });
    })
}

/// The built-in cases.
pub fn cases(rng: &mut Rng) -> Vec<Case> {
    let mut all = Vec::new();
    let conv = |window, in_c, out_c, groups| Conv2d { window, in_c, out_c, groups };
    let shapes = [
        ("one-filter-at-once", 1, conv(window(same, [7, 6], [3, 3], [1, 1], [1, 1]), 3, 5, 1)),
        ("blocks", 2, conv(window(same, [7, 6], [3, 2], [2, 1], [1, 2]), 3, 5, 1)),
        ("groups", 2, conv(window(valid, [7, 6], [3, 3], [1, 1], [1, 1]), 6, 9, 3)),
        ("dense", 20, conv(window(valid, [1, 1], [1, 1], [1, 1], [1, 1]), 33, 17, 1)),
    ];
    for (name, filters, shape) in shapes {
        let layer = Int8Layer::random(rng, shape.out_c, shape.weights(), shape.patch()).narrowed();
        let x = bytes(rng, 2 * shape.in_elements());
        all.push(conv2d(format!("conv2d/i4/{name}"), shape, filters, x, layer, None));
    }
    let shape =
        DepthwiseConv2d { window: window(same, [6, 5], [3, 3], [1, 2], [1, 1]), in_c: 5, out_c: 15, multiplier: 3 };
    let layer = Int8Layer::random(rng, 15, shape.weights(), 9).narrowed();
    let x = bytes(rng, shape.in_elements());
    all.push(depthwise_conv2d("depthwise_conv2d/i4/multiplier-3", shape, x, layer, None));
    all
}
