//! Functions of one element: activations, look-up tables, changes of type.

use super::naive::{self, ROUNDOFF};
use super::{Case, Expected, Values, reals, shorts};
use embernet::quant::fixed_point::Affine;
use embernet::quant::fixed_point::tables::{
    Table, clamp_table, hard_swish_table, leaky_relu_table, logistic_table, rescale_table, tanh_table,
};
use embernet_core::kernels::activation::{ForwardF32, Kind};
use embernet_core::kernels::integer::Width;
use embernet_core::kernels::lookup::LookupI8;
use embernet_core::kernels::quantize::{DequantizeI8, QuantizeI8, RequantizeInt};
use embernet_core::kernels::requantize::Rescale;
use embernet_core::rng::Rng;
use std::f64::consts::PI;

/// An f32 function with its numbers.
pub fn activation(
    name: impl Into<String>,
    samples: usize,
    kind: Kind,
    (a, b): (f32, f32),
    x: Vec<f32>,
    published: Option<Vec<f32>>,
) -> Case {
    let len = (x.len() / samples) as u32;
    let truth = |x: &f32| truth(kind, (a.into(), b.into()), (*x).into());
    // The exponential is off by a unit in its last place (two roundoffs), then come up to six operations; of a
    // function of ours and of theirs. tanh and the error function in libm are within a unit as well. Where a last
    // factor is a difference, the input is what counts.
    let roundings = if kind == Kind::Clamp { 0.0 } else { 2.0 * 8.0 };
    let size = |x: &f32| match kind {
        Kind::Gelu | Kind::GeluTanh | Kind::HardSigmoid => f64::from(x.abs()).max(1.0),
        _ => truth(x).abs(),
    };
    let bounds: Vec<f64> = x.iter().map(|x| roundings * ROUNDOFF * size(x)).collect();
    let values = published.unwrap_or_else(|| x.iter().map(|x| truth(x) as f32).collect());
    Case::new(name, samples, vec![Values::F32(x)], Expected::close(values, bounds), move |step| {
        step.step(&[], 0, move |at| ForwardF32 { kind: kind as u32, len, a, b, x: at.x[0], y: at.y });
    })
}

fn truth(kind: Kind, (a, b): (f64, f64), x: f64) -> f64 {
    match kind {
        Kind::Clamp => x.clamp(a, b),
        Kind::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Kind::Tanh => x.tanh(),
        Kind::LeakyRelu | Kind::Elu if x > 0.0 => x,
        Kind::LeakyRelu => a * x,
        Kind::Elu => a * x.exp_m1(),
        Kind::HardSigmoid => (a * x + b).clamp(0.0, 1.0),
        Kind::HardSwish => x * (x + 3.0).clamp(0.0, 6.0) / 6.0,
        Kind::Gelu => x * normal_distribution(x),
        Kind::GeluTanh => 0.5 * x * (1.0 + ((2.0 / PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh()),
        Kind::Exp => x.exp(),
        Kind::Log => x.ln(),
        Kind::Sqrt => x.sqrt(),
        Kind::Abs => x.abs(),
        Kind::Neg => -x,
        Kind::Reciprocal => 1.0 / x,
    }
}

/// `P(X <= x)` of the standard normal distribution: its density, summed by Simpson's rule.
fn normal_distribution(x: f64) -> f64 {
    let density = |t: f64| (-0.5 * t * t).exp() / (2.0 * PI).sqrt();
    let (steps, step) = (2000, x / 2000.0);
    let weight = |i: u32| if i == 0 || i == steps { 1.0 } else { f64::from(2 + 2 * (i % 2)) };
    0.5 + (0..=steps).map(|i| weight(i) * density(f64::from(i) * step)).sum::<f64>() * step / 3.0
}

/// A look-up; the table itself is tested where it is made.
pub fn lookup(name: impl Into<String>, samples: usize, table: Table, x: Vec<i8>) -> Case {
    let len = (x.len() / samples) as u32;
    let expected = x.iter().map(|&x| table[usize::from(x as u8)]).collect();
    let table = table.to_vec();
    Case::new(name, samples, vec![Values::I8(x)], Expected::Exact(expected), move |step| {
        step.step(&[&table], 0, move |at| LookupI8 { len, table: at.constants[0], x: at.x[0], y: at.y });
    })
}

fn quantize(samples: usize, is: Affine, x: Vec<f32>) -> Case {
    let len = (x.len() / samples) as u32;
    let (scale, zero_point) = (is.scale(), is.zero_point());
    // `f32::round` rounds halves away from zero; the cast saturates.
    let one = |&x: &f32| ((x / scale).round() as i32).saturating_add(zero_point).clamp(-128, 127) as i8;
    let expected = Expected::Exact(x.iter().map(one).collect());
    Case::new("quantize/i8", samples, vec![Values::F32(x)], expected, move |step| {
        step.step(&[], 0, move |at| QuantizeI8 { len, x: at.x[0], y: at.y, scale, zero_point });
    })
}

fn dequantize(samples: usize, is: Affine, x: Vec<i8>) -> Case {
    let len = (x.len() / samples) as u32;
    let (scale, zero_point) = (is.scale(), is.zero_point());
    let one = |&x: &i8| (f64::from(scale) * f64::from(i32::from(x) - zero_point)) as f32;
    let values: Vec<f32> = x.iter().map(one).collect();
    let bounds = vec![0.0; values.len()];
    Case::new("dequantize/i8", samples, vec![Values::I8(x)], Expected::close(values, bounds), move |step| {
        step.step(&[], 0, move |at| DequantizeI8 { len, x: at.x[0], y: at.y, scale, zero_point });
    })
}

/// From int8 (with this zero point) to int16, or back.
fn requantize(samples: usize, x: Values, factor: Rescale, of_i8: i32) -> Case {
    let number = |x: i32, zero: i32| naive::rescale(i64::from(x - zero), factor.multiplier, factor.shift);
    let (width, zero_point, y_zero_point, expected) = match &x {
        Values::I16(x) => {
            let y = x.iter().map(|x| (number((*x).into(), 0) + i64::from(of_i8)).clamp(-128, 127) as i8);
            (Width::I16, 0, of_i8, Expected::Exact(y.collect()))
        }
        Values::I8(x) => {
            let y = x.iter().map(|x| number((*x).into(), of_i8).clamp(-32768, 32767) as i16);
            (Width::I8, of_i8, 0, Expected::Exact16(y.collect()))
        }
        Values::F32(_) => unreachable!("integers"),
    };
    let len = (x.bytes().len() / samples / width.0 as usize) as u32;
    let name = if width == Width::I8 { "requantize/i8-i16" } else { "requantize/i16-i8" };
    Case::new(name, samples, vec![x], expected, move |step| {
        step.step(&[], 0, move |at| RequantizeInt {
            y_width: if width == Width::I8 { Width::I16 } else { Width::I8 },
            len,
            width,
            x: at.x[0],
            y: at.y,
            factor,
            zero_point,
            y_zero_point,
        });
    })
}

/// Every int8 value, twice.
fn every_value() -> Vec<i8> {
    (0..512).map(|i| i as u8 as i8).collect()
}

/// The built-in cases.
pub fn cases(rng: &mut Rng) -> Vec<Case> {
    let mut all = Vec::new();
    for (name, kind, numbers) in [
        ("relu", Kind::Clamp, (0.0, f32::INFINITY)),
        ("relu6", Kind::Clamp, (0.0, 6.0)),
        ("sigmoid", Kind::Sigmoid, (0.0, 0.0)),
        ("tanh", Kind::Tanh, (0.0, 0.0)),
        ("leaky-relu", Kind::LeakyRelu, (0.1, 0.0)),
        ("elu", Kind::Elu, (0.7, 0.0)),
        ("hard-sigmoid", Kind::HardSigmoid, (0.2, 0.5)),
        ("hard-swish", Kind::HardSwish, (0.0, 0.0)),
        ("gelu", Kind::Gelu, (0.0, 0.0)),
        ("gelu-tanh", Kind::GeluTanh, (0.0, 0.0)),
        ("exp", Kind::Exp, (0.0, 0.0)),
        ("log", Kind::Log, (0.0, 0.0)),
        ("sqrt", Kind::Sqrt, (0.0, 0.0)),
        ("abs", Kind::Abs, (0.0, 0.0)),
        ("neg", Kind::Neg, (0.0, 0.0)),
        ("reciprocal", Kind::Reciprocal, (0.0, 0.0)),
    ] {
        let positive = matches!(kind, Kind::Log | Kind::Sqrt);
        let x = reals(rng, 90).iter().map(|x| if positive { 10.0 * x.abs() + 2.0 } else { x * 10.0 }).collect();
        all.push(activation(format!("activation/f32/{name}"), 3, kind, numbers, x, None));
    }
    let is = |scale, zero_point| Affine::new(scale, zero_point).expect("sound numbers");
    let (x, y) = (is(0.05, -10), is(0.04, 3));
    for (name, table) in [
        ("logistic", logistic_table(x)),
        ("tanh", tanh_table(x)),
        ("relu", clamp_table(x, y, 0.0, f32::INFINITY)),
        ("relu6", clamp_table(x, y, 0.0, 6.0)),
        ("leaky-relu", leaky_relu_table(x, y, 0.1)),
        ("hard-swish", hard_swish_table(x, y)),
        ("rescale", rescale_table(x, y)),
    ] {
        all.push(lookup(format!("lookup/i8/{name}"), 2, table.expect("scales are near enough"), every_value()));
    }
    let mut x: Vec<f32> = reals(rng, 100).iter().map(|x| x * 20.0).collect();
    // Halves, and what does not fit.
    x.extend([0.05, -0.05, 0.15, -0.15, 1e30, -1e30, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -0.0]);
    all.push(quantize(2, is(0.1, 7), x));
    all.push(dequantize(2, is(0.1, 7), every_value()));
    let factor = |shift| Rescale { multiplier: 1_500_000_000, shift };
    all.push(requantize(2, Values::I8(every_value()), factor(8), -9));
    all.push(requantize(2, Values::I16(shorts(rng, 200)), factor(-6), -9));
    all
}
