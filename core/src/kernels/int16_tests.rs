//! The int16 layers against their definitions over big numbers, on every token that this machine has.

use super::requantize::{Requantize, Wide};
use super::testing::{taps_of_pixels, windows};
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
        Requantize { multiplier, shift, zero_point: 0, lo: *lo, hi: *hi, sum_bits: 64 }
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

fn convolutions() -> impl Strategy<Value = conv2d::Conv2d> {
    let shape = (windows(4, 3, 3, 3), 1u32..5, 1u32..7, 1u32..3).prop_map(|(window, in_c, out_c, groups)| {
        conv2d::Conv2d { window, in_c: in_c * groups, out_c: out_c * groups, groups }
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
            for pixel in taps_of_pixels(&shape.window) {
                for output in 0..shape.out_c as usize {
                    let mut sum = 0;
                    for (tap, at) in &pixel {
                        for c in 0..group_in {
                            let x = x[at * shape.in_c as usize + output / group_out * group_in + c];
                            let w = layer.w[(output * shape.window.taps() + tap) * group_in + c];
                            sum += i64::from(x) * i64::from(w);
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
        let (window, out_c) = (conv.window, channels * multiplier);
        let shape = depthwise_conv2d::DepthwiseConv2d { window, in_c: channels, out_c, multiplier };
        let mut rng = Rng::new(seed);
        let out_c = shape.out_c as usize;
        let layer = Layer::random(&mut rng, out_c, shape.weights(), conv.window.taps());
        let x = inputs(&mut rng, 2 * shape.in_elements());
        let mut expected = Vec::new();
        for x in x.chunks(shape.in_elements()) {
            for pixel in taps_of_pixels(&shape.window) {
                for output in 0..out_c {
                    let term = |(tap, at): &(usize, usize)| {
                        let x = x[at * channels as usize + output / multiplier as usize];
                        i64::from(x) * i64::from(layer.w[tap * out_c + output])
                    };
                    expected.push(layer.expected(output, pixel.iter().map(term).sum()));
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
        for pixel in taps_of_pixels(&shape.window) {
            for channel in 0..shape.channels as usize {
                let at = |(_, at): &(usize, usize)| i32::from(x[at * shape.channels as usize + channel]);
                let window: Vec<i32> = pixel.iter().map(at).collect();
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
        let to = Requantize { multiplier: &[multiplier], shift: &[shift], zero_point: 0, lo: -1, hi: 1, sum_bits: 64 };
        for acc in [i64::MIN, -1, 0, i64::MAX] {
            to.to_i16(0, acc);
        }
    }
    fn token<I: Isa>(isa: I) -> i64 {
        isa.dot_i16(i64::MAX, &[i16::MIN; 300], &[i8::MIN; 300])
    }
    assert_eq!(token(Scalar), i64::MAX.wrapping_add(300 << 22));
}
