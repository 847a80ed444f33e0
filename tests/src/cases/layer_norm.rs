//! Layer normalisation.

use super::naive::ROUNDOFF;
use super::{Case, Expected, Values, reals};
use embernet_core::kernels::layer_norm::ForwardF32;
use embernet_core::rng::Rng;

/// The built-in cases, with and without `beta`.
pub fn cases(rng: &mut Rng) -> Vec<Case> {
    let case = |name: &str, rows: u32, len: u32, beta: usize, rng: &mut Rng| {
        let (n, epsilon) = (len as usize, 1e-3);
        let (x, gamma, beta) = (reals(rng, 2 * rows as usize * n), reals(rng, n), reals(rng, beta));
        let (mut values, mut bounds) = (Vec::new(), Vec::new());
        for row in x.chunks(n) {
            let mean = row.iter().map(|x| f64::from(*x)).sum::<f64>() / n as f64;
            let variance = row.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / n as f64;
            let deviation = (variance + f64::from(epsilon)).sqrt();
            for (i, x) in row.iter().enumerate() {
                let scaled = (f64::from(*x) - mean) / deviation * f64::from(gamma[i]);
                values.push((scaled + beta.get(i).copied().map_or(0.0, f64::from)) as f32);
                // The mean errs by n roundings of at most 1, the variance by as many and by twice that of the mean;
                // both are seen through the deviation. Five roundings are left.
                bounds.push((4 * n + 5) as f64 * ROUNDOFF * (1.0 + scaled.abs() + 1.0 / deviation));
            }
        }
        let x = vec![Values::F32(x)];
        Case::new(format!("layer_norm/f32/{name}"), 2, x, Expected::close(values, bounds), move |steps| {
            steps.step(&[&gamma, &beta], 0, move |at| {
                let &[gamma, beta] = at.constants else { unreachable!("two constants were given") };
                ForwardF32 { rows, len, x: at.x[0], gamma, beta, y: at.y, epsilon }
            });
        })
    };
    vec![case("rows", 5, 12, 12, rng), case("no-beta", 1, 33, 0, rng)]
}
