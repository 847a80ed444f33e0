//! Additions.

use super::naive::{ROUNDOFF, rescale};
use super::{Case, Expected, Values, bytes, reals};
use embernet::graph::Activation;
use embernet::quant::fixed_point::{Affine, FixedPointError, add_sum};
use embernet_core::kernels::add::{ForwardF32, ForwardI8, Sum, Term};
use embernet_core::rng::Rng;

/// An f32 case: one rounding, so that everybody gets the same bits.
pub fn f32(
    name: impl Into<String>,
    samples: usize,
    a: Vec<f32>,
    b: Vec<f32>,
    (lo, hi): (f32, f32),
    published: Option<Vec<f32>>,
) -> Case {
    let len = (a.len() / samples) as u32;
    let sums = a.iter().zip(&b).map(|(a, b)| ((f64::from(*a) + f64::from(*b)) as f32).clamp(lo, hi));
    let values: Vec<f32> = published.unwrap_or_else(|| sums.collect());
    // A sum of two f32 may need more than 53 bits; rounding through f64 then costs a roundoff of the result.
    let bounds: Vec<f64> = values.iter().map(|y| f64::from(y.abs()) * ROUNDOFF).collect();
    let expected = Expected::close(values, bounds);
    Case::new(name, samples, vec![Values::F32(a), Values::F32(b)], expected, move |step| {
        step.step(&[], 0, move |at| ForwardF32 { len, a: at.x[0], b: at.x[1], y: at.y, lo, hi });
    })
}

/// An int8 case.
pub fn i8(
    name: impl Into<String>,
    samples: usize,
    (a, a_is): (Vec<i8>, Affine),
    (b, b_is): (Vec<i8>, Affine),
    y_is: Affine,
    published: Option<Vec<i8>>,
) -> Result<Case, FixedPointError> {
    let len = (a.len() / samples) as u32;
    let sum = add_sum(a_is, b_is, y_is, Activation::Linear)?;
    let expected = published.unwrap_or_else(|| a.iter().zip(&b).map(|(&a, &b)| added(&sum, a, b)).collect());
    let inputs = vec![Values::I8(a), Values::I8(b)];
    Ok(Case::new(name, samples, inputs, Expected::Exact(expected), move |step| {
        step.step(&[], 0, move |at| ForwardI8 { len, a: at.x[0], b: at.x[1], y: at.y, sum });
    }))
}

fn added(sum: &Sum, a: i8, b: i8) -> i8 {
    let scaled = |x: i8, term: &Term| {
        rescale((i64::from(x) - i64::from(term.zero_point)) << sum.left_shift, term.multiplier, term.shift)
    };
    let y = rescale(scaled(a, &sum.a) + scaled(b, &sum.b), sum.multiplier, sum.shift);
    (y + i64::from(sum.zero_point)).clamp(sum.lo.into(), sum.hi.into()) as i8
}

/// The built-in cases.
pub fn cases(rng: &mut Rng) -> Vec<Case> {
    let (a, b) = (reals(rng, 60), reals(rng, 60));
    let mut all = vec![f32("add/f32/relu", 3, a, b, (0.0, f32::INFINITY), None)];
    for (name, scales) in
        [("equal-scales", [0.1, 0.1, 0.2]), ("far-apart", [0.002, 0.3, 0.25]), ("narrow", [0.1, 0.2, 0.02])]
    {
        let [a_is, b_is, y_is] = [0, 1, 2].map(|i| Affine::new(scales[i], [-128, 5, -20][i]).expect("sound numbers"));
        let (a, b) = (bytes(rng, 600), bytes(rng, 600));
        let case = i8(format!("add/i8/{name}"), 3, (a, a_is), (b, b_is), y_is, None);
        all.push(case.expect("scales are near enough"));
    }
    all
}
