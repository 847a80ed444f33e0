//! Plain loops over big numbers, straight from the definitions: what all cases are measured against.
//!
//! Sums are in f64. For integers that is exact: products of bytes with 9 bits stay far below 2^53.

use embernet_core::kernels::conv2d::Conv2d;
use embernet_core::kernels::dense::Dense;
use embernet_core::kernels::depthwise_conv2d::DepthwiseConv2d;
use embernet_core::kernels::pool::Pool2d;

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

fn grid(rows: u32, columns: u32) -> impl Iterator<Item = (usize, usize)> {
    (0..rows as usize).flat_map(move |row| (0..columns as usize).map(move |column| (row, column)))
}

/// Where tap `tap` of window `output` meets an axis of `input` positions, if it does.
fn meet(output: usize, stride: u32, tap: usize, dilation: u32, pad: u32, input: u32) -> Option<usize> {
    let at = output as i64 * i64::from(stride) + tap as i64 * i64::from(dilation) - i64::from(pad);
    (0..i64::from(input)).contains(&at).then_some(at as usize)
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
    let (in_w, in_c) = (s.in_w as usize, s.in_c as usize);
    let mut y = Vec::new();
    for x in x.chunks(s.in_elements()) {
        for (out_y, out_x) in grid(s.out_h, s.out_w) {
            for output in 0..s.out_c as usize {
                let first = output / s.group_out() * s.group_in();
                let mut sum = sums(b, output);
                for (ky, kx) in grid(s.kernel_h, s.kernel_w) {
                    let in_y = meet(out_y, s.stride_h, ky, s.dilation_h, s.pad_top, s.in_h);
                    let in_x = meet(out_x, s.stride_w, kx, s.dilation_w, s.pad_left, s.in_w);
                    let (Some(in_y), Some(in_x)) = (in_y, in_x) else { continue };
                    let tap = (output * s.kernel_h as usize + ky) * s.kernel_w as usize + kx;
                    for c in 0..s.group_in() {
                        sum.add(x[(in_y * in_w + in_x) * in_c + first + c] * w[tap * s.group_in() + c]);
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
    let (in_w, in_c, out_c) = (s.in_w as usize, s.in_c as usize, s.out_c as usize);
    let mut y = Vec::new();
    for x in x.chunks(s.in_elements()) {
        for (out_y, out_x) in grid(s.out_h, s.out_w) {
            for output in 0..out_c {
                let mut sum = sums(b, output);
                for (ky, kx) in grid(s.kernel_h, s.kernel_w) {
                    let in_y = meet(out_y, s.stride_h, ky, s.dilation_h, s.pad_top, s.in_h);
                    let in_x = meet(out_x, s.stride_w, kx, s.dilation_w, s.pad_left, s.in_w);
                    let (Some(in_y), Some(in_x)) = (in_y, in_x) else { continue };
                    let at = (in_y * in_w + in_x) * in_c + output / s.multiplier as usize;
                    sum.add(x[at] * w[(ky * s.kernel_w as usize + kx) * out_c + output]);
                }
                y.push(sum);
            }
        }
    }
    y
}

/// The elements of every pooling window, in order of outputs.
pub fn windows(s: &Pool2d, x: &[f64]) -> Vec<Vec<f64>> {
    let mut all = Vec::new();
    for x in x.chunks(s.in_elements()) {
        for (out_y, out_x) in grid(s.out_h, s.out_w) {
            for channel in 0..s.channels as usize {
                let mut window = Vec::new();
                for (ky, kx) in grid(s.window_h, s.window_w) {
                    let in_y = meet(out_y, s.stride_h, ky, 1, s.pad_top, s.in_h);
                    let in_x = meet(out_x, s.stride_w, kx, 1, s.pad_left, s.in_w);
                    if let (Some(in_y), Some(in_x)) = (in_y, in_x) {
                        window.push(x[(in_y * s.in_w as usize + in_x) * s.channels as usize + channel]);
                    }
                }
                all.push(window);
            }
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

/// SAME padding along one axis: number of outputs and padding before.
pub const fn same(input: u32, kernel: u32, stride: u32, dilation: u32) -> (u32, u32) {
    let output = input.div_ceil(stride);
    let covered = (output - 1) * stride + (kernel - 1) * dilation + 1;
    (output, covered.saturating_sub(input) / 2)
}

/// VALID padding along one axis: number of outputs.
pub const fn valid(input: u32, kernel: u32, stride: u32, dilation: u32) -> u32 {
    (input - (kernel - 1) * dilation - 1) / stride + 1
}
