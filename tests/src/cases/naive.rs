//! Plain loops over big numbers, straight from the definitions: what all cases are measured against.
//!
//! Sums are in f64. For integers that is exact: products of bytes with 9 bits stay far below 2^53.

use embernet_core::kernels::conv2d::Conv2d;
use embernet_core::kernels::dense::Dense;
use embernet_core::kernels::depthwise_conv2d::DepthwiseConv2d;
use embernet_core::kernels::pool::Pool2d;
use embernet_core::kernels::window::{Axis, Window2d};

/// Unit roundoff of f32: half the distance from 1 to the next number.
pub const ROUNDOFF: f64 = 1.0 / (1 << 24) as f64;

/// A sum with what is needed to bound the error of any f32 evaluation of it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sum {
    /// The sum.
    pub value: f64,
    /// The sum of the terms' magnitudes.
    pub magnitude: f64,
    /// How many terms.
    pub terms: usize,
}

impl Sum {
    /// One more term.
    pub fn add(&mut self, term: f64) {
        self.value += term;
        self.magnitude += term.abs();
        self.terms += 1;
    }

    /// The most by which an f32 sum of f32 products can be off, whatever the order and fused or not: every term is
    /// rounded at most once as a product and once in each addition it goes through (Higham, "Accuracy and Stability
    /// of Numerical Algorithms", 3.1).
    pub fn error(&self) -> f64 {
        (self.terms + 1) as f64 * ROUNDOFF * self.magnitude
    }

    /// The bound for a comparison with somebody else's f32 sum, which is as far from the truth as ours may be.
    pub fn two_errors(&self) -> f64 {
        2.0 * self.error()
    }
}

/// Where the taps of window `output` meet an axis: `(tap, input position)`, those beside the input left out.
fn meet(axis: Axis, output: u32) -> impl Iterator<Item = (usize, usize)> {
    (0..axis.kernel).filter_map(move |tap| {
        let at = i64::from(output * axis.stride + tap * axis.dilation) - i64::from(axis.pad);
        (0..i64::from(axis.input)).contains(&at).then_some((tap as usize, at as usize))
    })
}

/// For every output pixel the taps inside the input: `(tap, input pixel)`, both counted over the two axes.
fn pixels(window: &Window2d) -> Vec<Vec<(usize, usize)>> {
    let Window2d { height, width } = *window;
    let outputs = (0..height.output).flat_map(|y| (0..width.output).map(move |x| (y, x)));
    let taps = |(y, x)| {
        let row = |(ky, iy): (usize, usize)| {
            meet(width, x).map(move |(kx, ix)| (ky * width.kernel as usize + kx, iy * width.input as usize + ix))
        };
        meet(height, y).flat_map(row).collect()
    };
    outputs.map(taps).collect()
}

fn sums(b: &[f64], output: usize) -> Sum {
    let mut sum = Sum::default();
    if let Some(&b) = b.get(output) {
        sum.add(b);
    }
    sum
}

/// `x * w^T + b`.
pub fn dense(shape: &Dense, x: &[f64], w: &[f64], b: &[f64]) -> Vec<Sum> {
    let (inputs, outputs) = (shape.inputs as usize, shape.outputs as usize);
    let mut y = Vec::new();
    for x in x.chunks(inputs) {
        for output in 0..outputs {
            let mut sum = sums(b, output);
            for (x, w) in x.iter().zip(&w[output * inputs..]) {
                sum.add(x * w);
            }
            y.push(sum);
        }
    }
    y
}

/// Convolution; taps beside the input are skipped.
pub fn conv2d(s: &Conv2d, x: &[f64], w: &[f64], b: &[f64]) -> Vec<Sum> {
    let in_c = s.in_c as usize;
    let mut y = Vec::new();
    for x in x.chunks(s.in_elements()) {
        for pixel in pixels(&s.window) {
            for output in 0..s.out_c as usize {
                let first = output / s.group_out() * s.group_in();
                let mut sum = sums(b, output);
                for (tap, at) in &pixel {
                    let tap = (output * s.window.taps() + tap) * s.group_in();
                    for c in 0..s.group_in() {
                        sum.add(x[at * in_c + first + c] * w[tap + c]);
                    }
                }
                y.push(sum);
            }
        }
    }
    y
}

/// Depthwise convolution; taps beside the input are skipped.
pub fn depthwise_conv2d(s: &DepthwiseConv2d, x: &[f64], w: &[f64], b: &[f64]) -> Vec<Sum> {
    let (in_c, out_c) = (s.in_c as usize, s.out_c as usize);
    let mut y = Vec::new();
    for x in x.chunks(s.in_elements()) {
        for pixel in pixels(&s.window) {
            for output in 0..out_c {
                let mut sum = sums(b, output);
                for (tap, at) in &pixel {
                    sum.add(x[at * in_c + output / s.multiplier as usize] * w[tap * out_c + output]);
                }
                y.push(sum);
            }
        }
    }
    y
}

/// Transposed convolution, scattering every input; weights `[in][taps][out / groups]`.
pub fn transpose_conv2d(s: &Conv2d, x: &[f64], w: &[f64], b: &[f64]) -> Vec<Sum> {
    let (in_c, out_c) = (s.out_c as usize, s.in_c as usize);
    let (group_in, group_out) = (s.group_out(), s.group_in());
    let mut y = Vec::new();
    for x in x.chunks(s.out_elements()) {
        let start = y.len();
        y.extend((0..s.in_elements()).map(|i| sums(b, i % out_c)));
        for (x, pixel) in x.chunks(in_c).zip(pixels(&s.window)) {
            for (tap, at) in pixel {
                for (input, x) in x.iter().enumerate() {
                    let w = &w[(input * s.window.taps() + tap) * group_out..][..group_out];
                    let first = start + at * out_c + input / group_in * group_out;
                    y[first..].iter_mut().zip(w).for_each(|(y, w)| y.add(x * w));
                }
            }
        }
    }
    y
}

/// The elements of every pooling window, in order of outputs.
pub fn windows(s: &Pool2d, x: &[f64]) -> Vec<Vec<f64>> {
    let channels = s.channels as usize;
    let mut all = Vec::new();
    for x in x.chunks(s.in_elements()) {
        for pixel in pixels(&s.window) {
            let window = |channel| pixel.iter().map(|(_, at)| x[at * channels + channel]).collect();
            all.extend((0..channels).map(window));
        }
    }
    all
}

/// `round(x / 2^exponent)`, halves away from zero.
fn divide(x: i128, exponent: u32) -> i128 {
    let half = (1i128 << exponent) >> 1;
    if x < 0 { -((-x + half) >> exponent) } else { (x + half) >> exponent }
}

/// `x * multiplier * 2^(shift - 31)` with the reference's two roundings: to a whole number after the product (halves
/// up), then after the shift to the right (halves away from zero).
pub fn rescale(x: i64, multiplier: i32, shift: i32) -> i64 {
    let product = (i128::from(x) << shift.max(0)) * i128::from(multiplier);
    let once = (product + (1 << 30)) >> 31;
    divide(once, shift.min(0).unsigned_abs()) as i64
}

/// `a / b * multiplier * 2^(shift - 31)`, rounded once, halves away from zero; more than any int8 where `b` is 0.
pub fn quotient(a: i64, b: i64, multiplier: i32, shift: i32) -> i64 {
    if b == 0 {
        return a.signum() << 16;
    }
    (a as f64 / b as f64 * f64::from(multiplier) * 2f64.powi(shift - 31)).round() as i64
}

/// SAME padding along one axis.
pub const fn same(input: u32, kernel: u32, stride: u32, dilation: u32) -> Axis {
    let output = input.div_ceil(stride);
    let covered = (output - 1) * stride + (kernel - 1) * dilation + 1;
    Axis { input, output, kernel, stride, dilation, pad: covered.saturating_sub(input) / 2 }
}

/// VALID padding along one axis.
pub const fn valid(input: u32, kernel: u32, stride: u32, dilation: u32) -> Axis {
    Axis { input, output: (input - (kernel - 1) * dilation - 1) / stride + 1, kernel, stride, dilation, pad: 0 }
}

/// A window with [`same`] or [`valid`] padding, from `[height, width]` each.
pub fn window(
    padding: fn(u32, u32, u32, u32) -> Axis,
    input: [u32; 2],
    kernel: [u32; 2],
    stride: [u32; 2],
    dilation: [u32; 2],
) -> Window2d {
    let [height, width] = [0, 1].map(|axis| padding(input[axis], kernel[axis], stride[axis], dilation[axis]));
    Window2d { height, width }
}
