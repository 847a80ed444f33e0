//! Layers with int16 activations and int8 weights.

use super::naive::{self, Sum, rescale};
use super::{Case, Expected, Steps, Values, wide};
use embernet_core::kernels::conv2d::{self, Conv2d};
use embernet_core::kernels::dense::{self, Dense};
use embernet_core::kernels::depthwise_conv2d::{self, DepthwiseConv2d};
use embernet_core::kernels::pool::Pool2d;
use embernet_core::kernels::requantize::RequantizeRecord;
use embernet_core::kernels::{average_pool, max_pool};
use embernet_core::plan::{Encode, Ref};
use embernet_core::quant::{multiply_wide, narrow_multiplier};

/// Weights and what turns sums into int16.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    pub w: Vec<i8>,
    /// Empty if the layer has none.
    pub b: Vec<i64>,
    /// One for each output, or one for all; 31 bits, as model files imply them.
    pub multiplier: Vec<i32>,
    pub shift: Vec<i32>,
    pub limits: (i32, i32),
    /// Bits of a sum: 64, or 32 with all bits of the multiplier.
    pub sum_bits: u32,
}

/// The operands of a step.
struct Operands {
    x: Ref,
    w: Ref,
    b: Ref,
    y: Ref,
    requantize: RequantizeRecord,
}

impl Layer {
    fn requantized(&self, sums: &[Sum], outputs: u32) -> Vec<i16> {
        let one = |(i, sum): (usize, &Sum)| {
            let channel = if self.multiplier.len() == 1 { 0 } else { i % outputs as usize };
            let (multiplier, shift) = (self.multiplier[channel], self.shift[channel]);
            let y = match self.sum_bits {
                32 => rescale(sum.value as i64, multiplier, shift),
                _ => i64::from(multiply_wide(sum.value as i64, narrow_multiplier(multiplier), shift)),
            };
            y.clamp(self.limits.0.into(), self.limits.1.into()) as i16
        };
        sums.iter().enumerate().map(one).collect()
    }

    fn reals(&self) -> Vec<f64> {
        self.b.iter().map(|b| *b as f64).collect()
    }

    fn write<R: Encode>(&self, steps: &mut Steps, make: impl Fn(Operands) -> R + 'static) {
        let narrowed = |m: &i32| if self.sum_bits == 32 { *m } else { narrow_multiplier(*m) };
        let multiplier: Vec<i32> = self.multiplier.iter().map(narrowed).collect();
        let ((lo, hi), sum_bits, channels) = (self.limits, self.sum_bits, multiplier.len() as u32);
        steps.step(&[&self.w, &self.b, &multiplier, &self.shift], 0, move |at| {
            let &[w, b, multiplier, shift] = at.constants else { unreachable!("four constants were given") };
            let requantize = RequantizeRecord { multiplier, shift, channels, zero_point: 0, lo, hi, sum_bits };
            make(Operands { x: at.x[0], w, b, y: at.y, requantize })
        });
    }
}

fn case(
    name: impl Into<String>,
    samples: usize,
    x: Vec<i16>,
    expected: Vec<i16>,
    build: impl Fn(&mut Steps) + 'static,
) -> Case {
    Case::new(name, samples, vec![Values::I16(x)], Expected::Exact16(expected), build)
}

/// A dense layer; its result has to be the published one, and ours.
pub fn dense(name: impl Into<String>, shape: Dense, x: Vec<i16>, layer: Layer, published: Option<Vec<i16>>) -> Case {
    let sums = naive::dense(&shape, &wide(&x), &wide(&layer.w), &layer.reals());
    let expected = published.unwrap_or_else(|| layer.requantized(&sums, shape.outputs));
    case(name, x.len() / shape.inputs as usize, x, expected, move |steps| {
        layer.write(steps, move |Operands { x, w, b, y, requantize }| dense::ForwardI16 {
            shape,
            x,
            w,
            b,
            y,
            requantize,
        });
    })
}

/// A convolution.
pub fn conv2d(name: impl Into<String>, shape: Conv2d, x: Vec<i16>, layer: Layer, published: Option<Vec<i16>>) -> Case {
    let sums = naive::conv2d(&shape, &wide(&x), &wide(&layer.w), &layer.reals());
    let expected = published.unwrap_or_else(|| layer.requantized(&sums, shape.out_c));
    case(name, x.len() / shape.in_elements(), x, expected, move |steps| {
        layer.write(steps, move |Operands { x, w, b, y, requantize }| conv2d::ForwardI16 {
            shape,
            x,
            w,
            b,
            y,
            requantize,
        });
    })
}

/// A depthwise convolution.
pub fn depthwise_conv2d(
    name: impl Into<String>,
    shape: DepthwiseConv2d,
    x: Vec<i16>,
    layer: Layer,
    published: Option<Vec<i16>>,
) -> Case {
    let sums = naive::depthwise_conv2d(&shape, &wide(&x), &wide(&layer.w), &layer.reals());
    let expected = published.unwrap_or_else(|| layer.requantized(&sums, shape.out_c));
    case(name, x.len() / shape.in_elements(), x, expected, move |steps| {
        layer.write(steps, move |Operands { x, w, b, y, requantize }| depthwise_conv2d::ForwardI16 {
            shape,
            x,
            w,
            b,
            y,
            requantize,
        });
    })
}

/// A pool.
pub fn pool(
    name: impl Into<String>,
    shape: Pool2d,
    is_max: bool,
    x: Vec<i16>,
    (lo, hi): (i32, i32),
    published: Vec<i16>,
) -> Case {
    case(name, x.len() / shape.in_elements(), x, published, move |steps| {
        if is_max {
            steps.step(&[], 0, move |at| max_pool::ForwardI16 { shape, x: at.x[0], y: at.y, lo, hi });
        } else {
            steps.step(&[], 0, move |at| average_pool::ForwardI16 { shape, x: at.x[0], y: at.y, lo, hi });
        }
    })
}

/// The built-in cases: dense and grouped, with sums of 64 and of 32 bits.
pub fn cases(rng: &mut embernet_core::rng::Rng) -> Vec<Case> {
    let mut all = Vec::new();
    let conv =
        Conv2d { window: naive::window(naive::same, [7, 6], [3, 3], [2, 1], [1, 1]), in_c: 6, out_c: 9, groups: 3 };
    for sum_bits in [64, 32] {
        let mut layer = |outputs: usize, weights: usize, terms: usize| Layer {
            w: super::bytes(rng, weights),
            b: (0..outputs).map(|_| i64::from(super::between(rng, -2_000_000, 2_000_000))).collect(),
            multiplier: (0..outputs).map(|_| super::between(rng, 1 << 30, i32::MAX)).collect(),
            shift: vec![-6 - terms.ilog2() as i32 / 2; outputs],
            limits: (-30_000, 32_767),
            sum_bits,
        };
        let dense_layer = layer(17, 17 * 40, 40);
        let conv_layer = layer(9, conv.weights(), conv.patch());
        let mut x = |len: usize| (0..len).map(|_| rng.next_u32() as i16).collect::<Vec<i16>>();
        let shape = Dense { inputs: 40, outputs: 17 };
        all.push(dense(format!("dense/i16/sums-of-{sum_bits}"), shape, x(80), dense_layer, None));
        let x = x(2 * conv.in_elements());
        all.push(conv2d(format!("conv2d/i16/groups-sums-of-{sum_bits}"), conv, x, conv_layer, None));
    }
    all
}
