//! Functions of one element: activations, look-up tables, changes of type.

use super::naive::ROUNDOFF;
use super::{Case, Expected, Values, reals};
use embernet::quant::fixed_point::Affine;
use embernet::quant::fixed_point::tables::{
    Table, clamp_table, hard_swish_table, leaky_relu_table, logistic_table, rescale_table, tanh_table,
};
use embernet_core::kernels::activation::{ForwardF32, Kind};
use embernet_core::kernels::lookup::LookupI8;
use embernet_core::kernels::quantize::{DequantizeI8, QuantizeI8};
use embernet_core::rng::Rng;

/// An f32 activation; `lo` and `hi` matter to the clamp only.
pub fn activation(
    name: impl Into<String>,
    samples: usize,
    kind: Kind,
    (lo, hi): (f32, f32),
    x: Vec<f32>,
    published: Option<Vec<f32>>,
) -> Case {
    let truth = |x: f32| match kind {
        Kind::Clamp => f64::from(x.clamp(lo, hi)),
        Kind::Sigmoid => 1.0 / (1.0 + f64::from(-x).exp()),
        Kind::Tanh => f64::from(x).tanh(),
    };
    let bound = |y: f32| match kind {
        Kind::Clamp => 0.0,
        // The exponential is off by a unit in its last place (two roundoffs), then come a sum and a division; of a
        // function of ours and of theirs. tanh in libm is within a unit as well.
        Kind::Sigmoid | Kind::Tanh => 2.0 * 4.0 * ROUNDOFF * f64::from(y.abs()),
    };
    let len = (x.len() / samples) as u32;
    let values = published.unwrap_or_else(|| x.iter().map(|&x| truth(x) as f32).collect());
    let bounds: Vec<f64> = values.iter().map(|&y| bound(y)).collect();
    Case::new(name, samples, vec![Values::F32(x)], Expected::close(values, bounds), move |step| {
        step.step(&[], 0, move |at| ForwardF32 { kind: kind as u32, len, lo, hi, x: at.x[0], y: at.y });
    })
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

/// Every int8 value, twice.
fn every_value() -> Vec<i8> {
    (0..512).map(|i| i as u8 as i8).collect()
}

/// The built-in cases.
pub fn cases(rng: &mut Rng) -> Vec<Case> {
    let mut all = Vec::new();
    for (name, kind, limits) in [
        ("relu", Kind::Clamp, (0.0, f32::INFINITY)),
        ("relu6", Kind::Clamp, (0.0, 6.0)),
        ("sigmoid", Kind::Sigmoid, (0.0, 0.0)),
        ("tanh", Kind::Tanh, (0.0, 0.0)),
    ] {
        let x = reals(rng, 90).iter().map(|x| x * 10.0).collect();
        all.push(activation(format!("activation/f32/{name}"), 3, kind, limits, x, None));
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
    all
}
