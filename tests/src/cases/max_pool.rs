//! Max pools.

use super::average_pool::shapes;
use super::naive::{self, same, window};
use super::{Case, Expected, Values, bytes, reals, wide};
use embernet_core::kernels::max_pool::{ForwardF32, ForwardI8};
use embernet_core::kernels::pool::Pool2d;
use embernet_core::rng::Rng;

fn maxima(shape: &Pool2d, x: &[f64]) -> impl Iterator<Item = f64> + use<> {
    naive::windows(shape, x).into_iter().map(|window| window.into_iter().fold(f64::NEG_INFINITY, f64::max))
}

/// An f32 case; nothing is rounded, so that the result is exact.
pub fn f32(
    name: impl Into<String>,
    shape: Pool2d,
    x: Vec<f32>,
    (lo, hi): (f32, f32),
    published: Option<Vec<f32>>,
) -> Case {
    let samples = x.len() / shape.in_elements();
    let maxima = maxima(&shape, &wide(&x)).map(|y| (y as f32).clamp(lo, hi));
    let values = published.unwrap_or_else(|| maxima.collect());
    let bounds = vec![0.0; values.len()];
    Case::new(name, samples, vec![Values::F32(x)], Expected::close(values, bounds), move |step| {
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
    let maxima = maxima(&shape, &wide(&x)).map(|y| (y as i32).clamp(lo, hi) as i8);
    let expected = Expected::Exact(published.unwrap_or_else(|| maxima.collect()));
    Case::new(name, samples, vec![Values::I8(x)], expected, move |step| {
        step.step(&[], 0, move |at| ForwardI8 { shape, x: at.x[0], y: at.y, lo, hi });
    })
}

/// The built-in cases.
pub fn cases(rng: &mut Rng) -> Vec<Case> {
    let mut all = Vec::new();
    let gaps = window(same, [8, 9], [3, 2], [2, 1], [2, 3]);
    for (name, samples, shape) in shapes().into_iter().chain([("gaps", 2, Pool2d { window: gaps, channels: 5 })]) {
        let elements = samples * shape.in_elements();
        all.push(f32(format!("max_pool/f32/{name}"), shape, reals(rng, elements), (-0.5, 0.75), None));
        all.push(i8(format!("max_pool/i8/{name}"), shape, bytes(rng, elements), (-100, 120), None));
    }
    all
}
