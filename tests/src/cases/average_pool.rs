//! Average pools.

use super::naive::{self, ROUNDOFF, Sum, same, valid, window};
use super::{Case, Expected, Values, bytes, reals, wide};
use embernet_core::kernels::average_pool::{ForwardF32, ForwardI8};
use embernet_core::kernels::pool::Pool2d;
use embernet_core::rng::Rng;

/// An f32 case; `published` are somebody else's results, else ours are compared with the truth.
pub fn f32(
    name: impl Into<String>,
    shape: Pool2d,
    x: Vec<f32>,
    (lo, hi): (f32, f32),
    published: Option<Vec<f32>>,
) -> Case {
    let samples = x.len() / shape.in_elements();
    let mean = |window: &Vec<f64>| {
        let mut sum = Sum::default();
        window.iter().for_each(|&x| sum.add(x));
        // Two more roundings: of the reciprocal of the count and of the product with it, or one of the division.
        let terms = window.len() as f64;
        let error = (sum.error() + 2.0 * ROUNDOFF * sum.magnitude) / terms;
        ((sum.value / terms) as f32, error)
    };
    let means: Vec<(f32, f64)> = naive::windows(&shape, &wide(&x)).iter().map(mean).collect();
    let bounds = means.iter().map(|(_, error)| 2.0 * error);
    let values = published.unwrap_or_else(|| means.iter().map(|(y, _)| y.clamp(lo, hi)).collect());
    let expected = Expected::close(values, bounds);
    Case::new(name, samples, vec![Values::F32(x)], expected, move |step| {
        step.step(&[], 0, move |at| ForwardF32 { shape, x: at.x[0], y: at.y, lo, hi });
    })
}

/// An int8 case.
pub fn i8(
    name: impl Into<String>,
    shape: Pool2d,
    x: Vec<i8>,
    (lo, hi): (i32, i32),
    published: Option<Vec<i8>>,
) -> Case {
    let samples = x.len() / shape.in_elements();
    // `f64::round` rounds halves away from zero, and a quotient that is no half stays none in 53 bits.
    let mean = |window: &Vec<f64>| (window.iter().sum::<f64>() / window.len() as f64).round() as i32;
    let means = naive::windows(&shape, &wide(&x));
    let means = means.iter().map(|window| mean(window).clamp(lo, hi) as i8);
    let expected = Expected::Exact(published.unwrap_or_else(|| means.collect()));
    Case::new(name, samples, vec![Values::I8(x)], expected, move |step| {
        step.step(&[], 0, move |at| ForwardI8 { shape, x: at.x[0], y: at.y, lo, hi });
    })
}

/// Shapes for both kinds of pool.
pub(super) fn shapes() -> Vec<(&'static str, usize, Pool2d)> {
    let shape = |window, channels| Pool2d { window, channels };
    vec![
        ("2x2", 2, shape(window(valid, [8, 8], [2, 2], [2, 2], [1, 1]), 5)),
        ("3x3-stride-1", 1, shape(window(same, [8, 8], [3, 3], [1, 1], [1, 1]), 5)),
        ("3x2-stride-3", 1, shape(window(same, [8, 8], [3, 2], [3, 3], [1, 1]), 5)),
        ("global", 3, shape(window(valid, [8, 8], [8, 8], [2, 2], [1, 1]), 40)),
        ("1d", 1, shape(window(same, [1, 17], [1, 4], [1, 2], [1, 1]), 5)),
    ]
}

/// The built-in cases.
pub fn cases(rng: &mut Rng) -> Vec<Case> {
    let mut all = Vec::new();
    for (name, samples, shape) in shapes() {
        let elements = samples * shape.in_elements();
        all.push(f32(format!("average_pool/f32/{name}"), shape, reals(rng, elements), (-0.25, 0.5), None));
        all.push(i8(format!("average_pool/i8/{name}"), shape, bytes(rng, elements), (-60, 70), None));
    }
    all
}
