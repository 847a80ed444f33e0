//! Batch normalisation with kept statistics.

use super::naive::ROUNDOFF;
use super::{Case, Expected, Values, reals};
use embernet_core::kernels::batch_norm::{Channels, FactorsF32, ScaleShiftF32};
use embernet_core::rng::Rng;

const CHANNELS: usize = 5;

/// A factor and a term for each channel, then limits.
fn scale_shift(rng: &mut Rng) -> Case {
    let (samples, positions) = (3, 4);
    let x = reals(rng, samples * positions * CHANNELS);
    let factors = reals(rng, 2 * CHANNELS);
    let (lo, hi) = (-0.5, 0.75);
    let exact = x.iter().enumerate().map(|(i, x)| {
        let [scale, shift] = [0, 1].map(|row| f64::from(factors[row * CHANNELS + i % CHANNELS]));
        (f64::from(*x) * scale, shift)
    });
    // A rounding of the product and one of the sum; a clamp moves no two numbers apart.
    let bound = |product: f64, shift: f64| 2.0 * ROUNDOFF * (product.abs() + shift.abs());
    let bounds: Vec<f64> = exact.clone().map(|(product, shift)| bound(product, shift)).collect();
    let values = exact.map(|(product, shift)| ((product + shift) as f32).clamp(lo, hi)).collect();
    let shape = Channels { positions: positions as u32, channels: CHANNELS as u32 };
    Case::new(
        "batch_norm/f32/scale-shift",
        samples,
        vec![Values::F32(x)],
        Expected::close(values, bounds),
        move |step| {
            step.step(&[&factors], 0, move |at| ScaleShiftF32 {
                shape,
                x: at.x[0],
                factors: at.constants[0],
                y: at.y,
                lo,
                hi,
            });
        },
    )
}

/// From statistics to factors; the input is the statistics' mean.
fn factors(rng: &mut Rng) -> Case {
    let [gamma, beta, mean] = [(); 3].map(|()| reals(rng, CHANNELS));
    let variance: Vec<f32> = reals(rng, CHANNELS).iter().map(|v| v * v + 0.01).collect();
    let epsilon = 1e-3;
    let deviation = |channel: usize| (f64::from(variance[channel]) + f64::from(epsilon)).sqrt();
    let scale: Vec<f64> = (0..CHANNELS).map(|c| f64::from(gamma[c]) / deviation(c)).collect();
    let shift: Vec<f64> = (0..CHANNELS).map(|c| f64::from(beta[c]) - f64::from(mean[c]) * scale[c]).collect();
    // A sum, a root, a quotient and a product; the shift a product and a difference more.
    let bounds = scale.iter().map(|scale| 4.0 * ROUNDOFF * scale.abs());
    let shift_bound = |c: usize| ROUNDOFF * (6.0 * (f64::from(mean[c]) * scale[c]).abs() + shift[c].abs());
    let bounds: Vec<f64> = bounds.chain((0..CHANNELS).map(shift_bound)).collect();
    let values = scale.iter().chain(&shift).map(|value| *value as f32).collect();
    let expected = Expected::close(values, bounds);
    Case::new("batch_norm/f32/factors", 1, vec![Values::F32(mean)], expected, move |step| {
        step.step(&[&gamma, &beta, &variance], 0, move |at| FactorsF32 {
            channels: CHANNELS as u32,
            epsilon,
            gamma: at.constants[0],
            beta: at.constants[1],
            mean: at.x[0],
            variance: at.constants[2],
            factors: at.y,
        });
    })
}

/// The built-in cases.
pub fn cases(rng: &mut Rng) -> Vec<Case> {
    vec![scale_shift(rng), factors(rng)]
}
