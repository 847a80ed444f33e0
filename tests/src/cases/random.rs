//! Random int8 layers, for loops in assembly: all tails and alignments, and numbers as great as they can be.

use super::naive::{same, valid, window};
use super::{Case, Int8Layer, between, bytes, conv2d, dense, depthwise_conv2d};
use embernet_core::kernels::conv2d::Conv2d;
use embernet_core::kernels::dense::Dense;
use embernet_core::kernels::depthwise_conv2d::DepthwiseConv2d;
use embernet_core::kernels::window::Window2d;
use embernet_core::rng::Rng;

/// So many layers: convolutions, dense and depthwise ones in turn.
pub fn int8_layers(seed: u64, count: usize) -> Vec<Case> {
    let mut rng = Rng::new(seed);
    (0..count).map(|index| layer(&mut rng, index)).collect()
}

fn layer(rng: &mut Rng, index: usize) -> Case {
    match index % 4 {
        0 => convolution(rng, index),
        1 => pointwise(rng, index),
        2 => {
            let shape = Dense { inputs: below(rng, 150) + 1, outputs: below(rng, 12) + 1 };
            let (x, layer) = numbers(rng, shape.inputs as usize, shape.outputs, shape.inputs);
            dense::i8(format!("{index}: {shape:?}"), shape, x, layer, None)
        }
        _ => {
            let usual = rng.below(2) == 0;
            let kernel = if usual { [3, 3] } else { [below(rng, 4) + 1, below(rng, 4) + 1] };
            let window = windows(rng, [12, 12], kernel);
            let channels = if usual { 4 * (below(rng, 5) + 1) } else { below(rng, 40) + 1 };
            let shape = DepthwiseConv2d { window, in_c: channels, out_c: channels, multiplier: 1 };
            let (x, layer) = numbers(rng, shape.in_elements(), shape.out_c, shape.window.taps() as u32);
            depthwise_conv2d::i8(format!("{index}: {shape:?}"), shape, x, layer, None)
        }
    }
}

fn convolution(rng: &mut Rng, index: usize) -> Case {
    let kernel = [below(rng, 4) + 1, below(rng, 4) + 1];
    let window = windows(rng, [12, 12], kernel);
    let shape = Conv2d { window, in_c: below(rng, 9) + 1, out_c: below(rng, 9) + 1, groups: 1 };
    let (x, layer) = numbers(rng, shape.in_elements(), shape.out_c, shape.patch() as u32);
    conv2d::i8(format!("{index}: {shape:?}"), shape, x, layer, None)
}

fn pointwise(rng: &mut Rng, index: usize) -> Case {
    let window = Window2d::pointwise(below(rng, 40) + 1);
    let shape = Conv2d { window, in_c: below(rng, 140) + 1, out_c: below(rng, 20) + 1, groups: 1 };
    let (x, layer) = numbers(rng, shape.in_elements(), shape.out_c, shape.in_c);
    conv2d::i8(format!("{index}: {shape:?}"), shape, x, layer, None)
}

fn below(rng: &mut Rng, end: u32) -> u32 {
    rng.below(end)
}

/// A window over an image of up to `most` pixels and no smaller than the window; every fourth is dilated.
fn windows(rng: &mut Rng, most: [u32; 2], kernel: [u32; 2]) -> Window2d {
    let dilation = if rng.below(4) == 0 { [0, 1].map(|_| below(rng, 2) + 1) } else { [1, 1] };
    let reach = [0, 1].map(|axis| (kernel[axis] - 1) * dilation[axis] + 1);
    let input = [0, 1].map(|axis| reach[axis] + below(rng, most[axis] - reach[axis] + 1));
    let stride = [0, 1].map(|_| below(rng, 3) + 1);
    window(if rng.below(2) == 0 { same } else { valid }, input, kernel, stride, dilation)
}

/// Inputs and a layer: every fourth with weights, and every fourth with inputs, that are the least or the greatest.
fn numbers(rng: &mut Rng, inputs: usize, outputs: u32, terms: u32) -> (Vec<i8>, Int8Layer) {
    let mut x = bytes(rng, inputs);
    let mut layer = Int8Layer::random(rng, outputs, (outputs * terms) as usize, terms as usize);
    match rng.below(8) {
        0 => layer.w.fill(127),
        1 => layer.w.fill(-127),
        2 => layer.w.iter_mut().for_each(|w| *w /= 16),
        _ => {}
    }
    match rng.below(8) {
        0 => x.fill(127),
        1 => x.fill(-128),
        2 => x.iter_mut().for_each(|x| *x = if *x < 0 { -128 } else { 127 }),
        _ => {}
    }
    if rng.below(2) == 0 {
        (layer.lo, layer.hi) = (-128, 127);
    }
    // As behind a ReLU, or anywhere.
    layer.zero_point = if rng.below(3) == 0 { layer.lo } else { between(rng, -128, 127) };
    (x, layer)
}
