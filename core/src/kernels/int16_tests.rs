//! The int16 layers against their definitions over big numbers, on every token that this machine has.

use super::requantize::{Requantize, Wide};
use super::testing_int8::{between, pools};
use super::{add, average_pool, conv2d, dense, depthwise_conv2d, max_pool, softmax};
use crate::arch::{Isa, Scalar};
use crate::quant::narrow_multiplier;
use crate::rng::Rng;
use proptest::prelude::*;
use std::vec::Vec;

/// The parameters of a random layer.
struct Layer {
    w: Vec<i8>,
    b: Vec<i64>,
    multiplier: Vec<i32>,
    shift: Vec<i32>,
    lo: i32,
    hi: i32,
}

impl Layer {
    fn random(rng: &mut Rng, outputs: usize, weights: usize, terms: usize) -> Self {
        let channels = if rng.below(3) == 0 { 1 } else { outputs };
        let bits = 6 + terms.max(1).ilog2() as i32;
        let limited = rng.below(2) == 0;
        Self {
            w: (0..weights).map(|_| between(rng, -128, 127) as i8).collect(),
            b: (0..if rng.below(4) == 0 { 0 } else { outputs })
                .map(|_| (i64::from(rng.next_u32()) - (1 << 31)) >> rng.below(20))
                .collect(),
            multiplier: (0..channels).map(|_| narrow_multiplier(between(rng, 1 << 30, i32::MAX))).collect(),
            shift: (0..channels).map(|_| between(rng, -2, 3) - bits).collect(),
            lo: if limited { between(rng, -30_000, 0) } else { -32768 },
            hi: if limited { between(rng, 0, 30_000) } else { 32767 },
        }
    }

    fn to(&self) -> Requantize<'_> {
        let Self { multiplier, shift, lo, hi, .. } = self;
        Requantize { multiplier, shift, zero_point: 0, lo: *lo, hi: *hi }
    }

    fn bias(&self) -> Vec<Wide> {
        self.b.iter().map(|b| [*b as u32, (*b >> 32) as u32]).collect()
    }

    /// `round(sum * multiplier / 2^(15 - shift))`, halves up, over big numbers.
    fn expected(&self, output: usize, products: i64) -> i16 {
        let channel = if self.multiplier.len() == 1 { 0 } else { output };
        let sum = i128::from(products + self.b.get(output).copied().unwrap_or(0));
        let divisor = 1i128 << (15 - self.shift[channel]);
        let scaled = (2 * sum * i128::from(self.multiplier[channel]) + divisor).div_euclid(2 * divisor);
        // The reference keeps 32 bits, which fits unless the model is broken.
        i32::try_from(scaled).unwrap().clamp(self.lo, self.hi) as i16
    }
}

fn inputs(rng: &mut Rng, len: usize) -> Vec<i16> {
    (0..len).map(|_| between(rng, -32768, 32767) as i16).collect()
}

/// Runs `body` for every token.
fn on_all(body: impl Fn(&dyn Fn(&mut dyn FnMut(Token)))) {
    body(&|visit| {
        visit(Token::Scalar);
        #[cfg(target_arch = "x86_64")]
        if let Some(isa) = crate::arch::Avx2::new() {
            visit(Token::Avx2(isa));
        }
    });
}

enum Token {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2(crate::arch::Avx2),
}

/// Calls a generic function with whichever token it is.
macro_rules! with {
    ($token:expr, $isa:ident => $call:expr) => {
        match $token {
            Token::Scalar => {
                let $isa = Scalar;
                $call
            }
            #[cfg(target_arch = "x86_64")]
            Token::Avx2($isa) => $call,
        }
    };
}

/// Every tap of a window: `(ky, kx, in_y, in_x)` inside the input.
fn taps(
    vertical: super::window::Axis,
    horizontal: super::window::Axis,
    out: (usize, usize),
) -> Vec<(usize, usize, usize, usize)> {
    let along = |axis: super::window::Axis, output: usize| {
        (0..axis.kernel as usize)
            .filter_map(|k| {
                let at = (output * axis.stride as usize + k * axis.dilation as usize) as i64 - i64::from(axis.pad);
                (0..i64::from(axis.input)).contains(&at).then_some((k, at as usize))
            })
            .collect::<Vec<_>>()
    };
    let columns = along(horizontal, out.1);
    along(vertical, out.0).iter().flat_map(|(ky, y)| columns.iter().map(move |(kx, x)| (*ky, *kx, *y, *x))).collect()
}

fn positions(h: u32, w: u32) -> impl Iterator<Item = (usize, usize)> {
    (0..h as usize).flat_map(move |y| (0..w as usize).map(move |x| (y, x)))
}

fn convolutions() -> impl Strategy<Value = conv2d::Conv2d> {
    let size = (1u32..7, 1u32..7, 1u32..6, 1u32..6);
    let window = (1u32..4, 1u32..4, 1u32..3, 1u32..3, 1u32..3, 1u32..3, 0u32..3, 0u32..3);
    let shape = (size, window, 1u32..5, 1u32..7, 1u32..3).prop_map(|(size, window, in_c, out_c, groups)| {
        let (in_h, in_w, out_h, out_w) = size;
        let (kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left) = window;
        let (in_c, out_c) = (in_c * groups, out_c * groups);
        conv2d::Conv2d {
            in_h,
            in_w,
            in_c,
            out_h,
            out_w,
            out_c,
            kernel_h,
            kernel_w,
            stride_h,
            stride_w,
            dilation_h,
            dilation_w,
            pad_top,
            pad_left,
            groups,
        }
    });
    shape.prop_filter("valid", conv2d::Conv2d::is_valid)
}

proptest! {
    #[test]
    fn convolutions_equal_their_definition(shape in convolutions(), seed: u64) {
        let mut rng = Rng::new(seed);
        let layer = Layer::random(&mut rng, shape.out_c as usize, shape.weights(), shape.patch());
        let x = inputs(&mut rng, 2 * shape.in_elements());
        let (group_in, group_out) = (shape.group_in(), shape.group_out());
        let mut expected = Vec::new();
        for x in x.chunks(shape.in_elements()) {
            for out in positions(shape.out_h, shape.out_w) {
                for output in 0..shape.out_c as usize {
                    let mut sum = 0;
                    for (ky, kx, in_y, in_x) in taps(shape.vertical(), shape.horizontal(), out) {
                        for c in 0..group_in {
                            let at = (in_y * shape.in_w as usize + in_x) * shape.in_c as usize;
                            let x = x[at + output / group_out * group_in + c];
                            let tap = (output * shape.kernel_h as usize + ky) * shape.kernel_w as usize + kx;
                            sum += i64::from(x) * i64::from(layer.w[tap * group_in + c]);
                        }
                    }
                    expected.push(layer.expected(output, sum));
                }
            }
        }
        on_all(|each| each(&mut |token| {
            let mut y = std::vec![7; expected.len()];
            with!(token, isa => conv2d::forward_i16(isa, &shape, &x, &layer.w, &layer.bias(), &layer.to(), &mut y));
            assert_eq!(y, expected);
        }));
    }

    #[test]
    fn depthwise_convolutions_equal_their_definition(
        conv in convolutions(), multiplier in 1u32..4, channels in 1u32..20, seed: u64,
    ) {
        let shape = depthwise_conv2d::DepthwiseConv2d {
            in_h: conv.in_h, in_w: conv.in_w, in_c: channels,
            out_h: conv.out_h, out_w: conv.out_w, out_c: channels * multiplier,
            kernel_h: conv.kernel_h, kernel_w: conv.kernel_w,
            stride_h: conv.stride_h, stride_w: conv.stride_w,
            dilation_h: conv.dilation_h, dilation_w: conv.dilation_w,
            pad_top: conv.pad_top, pad_left: conv.pad_left,
            multiplier,
        };
        let mut rng = Rng::new(seed);
        let out_c = shape.out_c as usize;
        let layer = Layer::random(&mut rng, out_c, shape.weights(), (conv.kernel_h * conv.kernel_w) as usize);
        let x = inputs(&mut rng, 2 * shape.in_elements());
        let mut expected = Vec::new();
        for x in x.chunks(shape.in_elements()) {
            for out in positions(shape.out_h, shape.out_w) {
                for output in 0..out_c {
                    let term = |(ky, kx, in_y, in_x): (usize, usize, usize, usize)| {
                        let at = (in_y * shape.in_w as usize + in_x) * channels as usize;
                        let tap = ky * shape.kernel_w as usize + kx;
                        i64::from(x[at + output / multiplier as usize]) * i64::from(layer.w[tap * out_c + output])
                    };
                    let sum = taps(shape.vertical(), shape.horizontal(), out).into_iter().map(term).sum();
                    expected.push(layer.expected(output, sum));
                }
            }
        }
        on_all(|each| each(&mut |token| {
            let mut y = std::vec![7; expected.len()];
            with!(token, isa => {
                depthwise_conv2d::forward_i16(isa, &shape, &x, &layer.w, &layer.bias(), &layer.to(), &mut y);
            });
            assert_eq!(y, expected);
        }));
    }

    #[test]
    fn dense_layers_equal_their_definition(inputs_ in 1u32..600, outputs in 1u32..9, seed: u64) {
        let shape = dense::Dense { inputs: inputs_, outputs };
        let (n, m) = (inputs_ as usize, outputs as usize);
        let mut rng = Rng::new(seed);
        let layer = Layer::random(&mut rng, m, n * m, n);
        let x = inputs(&mut rng, 2 * n);
        let mut expected = Vec::new();
        for x in x.chunks(n) {
            for output in 0..m {
                let w = &layer.w[output * n..][..n];
                expected.push(layer.expected(output, x.iter().zip(w).map(|(x, w)| i64::from(*x) * i64::from(*w)).sum()));
            }
        }
        on_all(|each| each(&mut |token| {
            let mut y = std::vec![7; expected.len()];
            with!(token, isa => dense::forward_i16(isa, &shape, &x, &layer.w, &layer.bias(), &layer.to(), &mut y));
            assert_eq!(y, expected);
        }));
    }

    #[test]
    fn pools_equal_their_definition(shape in pools(), lo in -32768i32..0, hi in 0i32..=32767, seed: u64) {
        let x = inputs(&mut Rng::new(seed), shape.in_elements());
        let (mut means, mut greatest) = (Vec::new(), Vec::new());
        for out in positions(shape.out_h, shape.out_w) {
            for channel in 0..shape.channels as usize {
                let at = |(_, _, y, c): (usize, usize, usize, usize)| {
                    i32::from(x[(y * shape.in_w as usize + c) * shape.channels as usize + channel])
                };
                let window: Vec<i32> = taps(shape.vertical(), shape.horizontal(), out).into_iter().map(at).collect();
                // Exact: far fewer than 53 bits.
                let mean = window.iter().map(|x| f64::from(*x)).sum::<f64>() / window.len() as f64;
                means.push((mean.round() as i32).clamp(lo, hi) as i16);
                greatest.push(window.iter().copied().max().unwrap().clamp(lo, hi) as i16);
            }
        }
        let mut y = std::vec![7; means.len()];
        average_pool::forward_i16(&shape, &x, lo, hi, &mut y);
        prop_assert_eq!(&y, &means);
        max_pool::forward_i16(&shape, &x, lo, hi, &mut y);
        prop_assert_eq!(&y, &greatest);
    }

    #[test]
    fn sums_stay_near_the_real_ones(seed: u64) {
        let mut rng = Rng::new(seed);
        // Scales 1 and 1/2 into 2: common scale 2, so terms are a/2 and b/4, and the sum is theirs.
        let term = |shift| add::Term { zero_point: 0, multiplier: 1 << 30, shift };
        let sum = add::Sum {
            a: term(0), b: term(-1), left_shift: 15, multiplier: 1 << 30, shift: -14, zero_point: 0,
            lo: -32768, hi: 32767,
        };
        let (a, b) = (inputs(&mut rng, 100), inputs(&mut rng, 100));
        let mut y = std::vec![0; 100];
        add::forward_i16(&sum, &a, &b, &mut y);
        let mut in_place = a.clone();
        add::forward_in_place_i16(&sum, &b, &mut in_place);
        prop_assert_eq!(&y, &in_place);
        for ((a, b), y) in a.iter().zip(&b).zip(&y) {
            let real = f64::from(*a) / 2.0 + f64::from(*b) / 4.0;
            prop_assert!((f64::from(*y) - real).abs() <= 0.5, "{a} {b} {y}");
        }
    }
}

/// Tables as the host makes them, but without the correction at midpoints: right at the table's own
/// arguments.
fn table(function: impl Fn(f64) -> f64) -> Vec<i16> {
    (0..softmax::ENTRIES_I16).map(|i| (function(i as f64 / 512.0) * 32768.0).round().min(32767.0) as i16).collect()
}

#[test]
fn softmax_stays_near_the_real_one() {
    let exp = table(|t| (10.0 * (t - 1.0)).exp());
    let reciprocal = table(|t| 1.0 / (1.0 + t));
    // An input scale of 1/2048: ten are 20480 steps, the table's whole range of 65535.
    let real = 65535.0 / 10.0 / 2048.0;
    let scaling = softmax::ScalingI16 {
        multiplier: (real / 4.0 * f64::from(1u32 << 31)) as i32,
        shift: 2,
        exp: &exp,
        reciprocal: &reciprocal,
    };
    let mut rng = Rng::new(4);
    for len in [1, 2, 7, 100] {
        let x: Vec<i16> = (0..len).map(|_| between(&mut rng, -9000, 9000) as i16).collect();
        let mut y = x.clone();
        softmax::forward_i16(len, &scaling, &mut y);
        let exps: Vec<f64> = x.iter().map(|x| (f64::from(*x) / 2048.0).exp()).collect();
        let total: f64 = exps.iter().sum();
        for (y, e) in y.iter().zip(&exps) {
            // Straight lines in steps of 10/512 are off by up to 5e-5 of the value, the tables' own
            // rounding adds a few steps of 1/32768.
            assert!((f64::from(*y) / 32768.0 - e / total).abs() < 3e-4, "{y} {}", e / total * 32768.0);
        }
    }
}

#[test]
fn broken_tables_and_scales_do_no_harm() {
    // Contents of the data section are not checked; results may be nonsense, but come.
    let scaling = softmax::ScalingI16 { multiplier: -5, shift: 99, exp: &[], reciprocal: &[1] };
    softmax::forward_i16(3, &scaling, &mut [1, 2, 3]);
    for (multiplier, shift) in [(i32::MAX, i32::MIN), (i32::MIN, i32::MAX), (0, 15), (1, 14)] {
        let to = Requantize { multiplier: &[multiplier], shift: &[shift], zero_point: 0, lo: -1, hi: 1 };
        for acc in [i64::MIN, -1, 0, i64::MAX] {
            to.to_i16(0, acc);
        }
    }
    fn token<I: Isa>(isa: I) -> i64 {
        isa.dot_i16(i64::MAX, &[i16::MIN; 300], &[i8::MIN; 300])
    }
    assert_eq!(token(Scalar), i64::MAX.wrapping_add(300 << 22));
}
