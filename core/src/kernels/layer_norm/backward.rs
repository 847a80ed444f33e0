//! Layer normalisation backward. With `h = (x - mean) / deviation` and `g = dy gamma`, in every row:
//! `dx = (g - mean of g - h * mean of (g h)) / deviation`; over all rows `dgamma = sum of dy h`, `dbeta = sum of dy`.

use crate::arch::Isa;
use crate::kernels::util::{clear, elements, rows, rows_mut};
use crate::math;
use crate::memory::Slices;
use crate::plan::{Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Mean and deviation of a row, as the forward step has them.
fn statistics(x: &[f32], epsilon: f32) -> (f32, f32) {
    let count = x.len() as f32;
    let mean = x.iter().fold(0.0, |sum, x| sum + x) / count;
    let variance = x.iter().fold(0.0, |sum, x| sum + (x - mean) * (x - mean)) / count;
    (mean, math::sqrt(variance + epsilon))
}

/// Gradients of the factors and summands, summed in order of rows; `dbeta` may be empty.
pub fn parameters_backward_f32(epsilon: f32, x: &[f32], dy: &[f32], dgamma: &mut [f32], dbeta: &mut [f32]) {
    let len = dgamma.len();
    if len == 0 {
        return;
    }
    clear(dgamma);
    clear(dbeta);
    for (x, dy) in rows(x, len).zip(rows(dy, len)) {
        let (mean, deviation) = statistics(x, epsilon);
        for ((sum, x), dy) in dgamma.iter_mut().zip(x).zip(dy) {
            *sum += dy * ((x - mean) / deviation);
        }
        for (sum, dy) in dbeta.iter_mut().zip(dy) {
            *sum += dy;
        }
    }
}

/// Gradient of the input.
pub fn input_backward_f32(epsilon: f32, x: &[f32], gamma: &[f32], dy: &[f32], dx: &mut [f32]) {
    let len = gamma.len();
    for ((x, dy), dx) in rows(x, len).zip(rows(dy, len)).zip(rows_mut(dx, len)) {
        let (mean, deviation) = statistics(x, epsilon);
        let (mut sum, mut product) = (0.0, 0.0);
        for ((x, dy), gamma) in x.iter().zip(dy).zip(gamma) {
            let g = dy * gamma;
            sum += g;
            product += g * ((x - mean) / deviation);
        }
        let (of_g, of_product) = (sum / len as f32, product / len as f32);
        for (((dx, x), dy), gamma) in dx.iter_mut().zip(x).zip(dy).zip(gamma) {
            *dx = (dy * gamma - of_g - (x - mean) / deviation * of_product) / deviation;
        }
    }
}

/// Backward step, f32.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BackwardF32 {
    /// Rows of one sample.
    pub rows: u32,
    /// Elements of a row.
    pub len: u32,
    /// Input of the forward step.
    pub x: Ref,
    /// Factors.
    pub gamma: Ref,
    /// Gradient of the output.
    pub dy: Ref,
    /// Gradient of the factors, or none; then there is none of the summands either.
    pub dgamma: Ref,
    /// Gradient of the summands, or none.
    pub dbeta: Ref,
    /// Gradient of the input, or none.
    pub dx: Ref,
    /// As in the forward step.
    pub epsilon: f32,
}

impl StepRecord for BackwardF32 {
    operands! {
        x: read f32 [samples, rows, len],
        gamma: read f32 [len],
        dy: read f32 [samples, rows, len],
        dgamma: write f32 [len],
        dbeta: write f32 [len],
        dx: write f32 [samples, rows, len],
    }

    fn shape_is_valid(&self) -> bool {
        elements([self.rows, self.len]).is_some()
    }

    fn run<I: Isa>(&self, _: I, at: &mut Slices<'_>, _: &mut Context) {
        let (x, gamma, dy) = (at.read(), at.read(), at.read());
        let (dgamma, dbeta, dx) = (at.write(), at.write(), at.write());
        parameters_backward_f32(self.epsilon, x, dy, dgamma, dbeta);
        input_backward_f32(self.epsilon, x, gamma, dy, dx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::*;
    use crate::rng::Rng;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    fn reference(x: &[f64], gamma: &[f64], beta: &[f64], epsilon: f64) -> Vec<f64> {
        let len = gamma.len();
        let row = |x: &[f64]| {
            let mean = x.iter().sum::<f64>() / len as f64;
            let variance = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / len as f64;
            let deviation = (variance + epsilon).sqrt();
            let scaled = x.iter().zip(gamma).zip(beta).map(|((x, gamma), beta)| (x - mean) / deviation * gamma + beta);
            scaled.collect::<Vec<f64>>()
        };
        x.chunks(len).flat_map(row).collect()
    }

    proptest! {
        #[test]
        fn backward_matches_finite_differences(height in 1usize..4, len in 1usize..7, samples in 1usize..3, seed: u64) {
            let mut rng = Rng::new(seed);
            let (count, epsilon) = (samples * height * len, 0.25f32);
            let (x, dy) = (noise(&mut rng, count), noise(&mut rng, count));
            let (gamma, beta) = (noise(&mut rng, len), noise(&mut rng, len));
            let of = |x: &[f64], gamma: &[f64], beta: &[f64]| weighted(&reference(x, gamma, beta, epsilon.into()), &dy);
            let of_x = numeric_gradient(&x, |x| of(x, &wide(&gamma), &wide(&beta)));
            let of_gamma = numeric_gradient(&gamma, |gamma| of(&wide(&x), gamma, &wide(&beta)));
            let of_beta = numeric_gradient(&beta, |beta| of(&wide(&x), &wide(&gamma), beta));
            let mut arena = [&x[..], &gamma, &dy, &vec![f32::NAN; 2 * len + count]].concat();
            let place = |elements: usize| Ref::arena(4 * elements as u32);
            let [gamma_at, dy_at] = [place(count), place(count + len)];
            let first = 2 * count + len;
            let step = BackwardF32 {
                rows: height as u32,
                len: len as u32,
                x: place(0),
                gamma: gamma_at,
                dy: dy_at,
                dgamma: place(first),
                dbeta: place(first + len),
                dx: place(first + 2 * len),
                epsilon,
            };
            run(&step, &mut arena, samples, REVEAL);
            // Sums of at most 36 numbers below 4, divided by a deviation of a half or more.
            let near = |found: &[f32], expected: &[f64]| {
                found.iter().zip(expected).all(|(found, expected)| (f64::from(*found) - expected).abs() < 1e-4)
            };
            let found = &arena[first..];
            prop_assert!(near(&found[..len], &of_gamma), "{:?} {of_gamma:?}", &found[..len]);
            prop_assert!(near(&found[len..2 * len], &of_beta), "{:?} {of_beta:?}", &found[len..2 * len]);
            prop_assert!(near(&found[2 * len..], &of_x), "{:?} {of_x:?}", &found[2 * len..]);
        }
    }
}
