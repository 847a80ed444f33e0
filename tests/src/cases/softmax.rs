//! Softmax.

use super::naive::ROUNDOFF;
use super::{Case, Expected, Values, bytes, reals, wide};
use embernet::quant::fixed_point::{log_softmax_scaling, softmax_scaling};
use embernet_core::kernels::softmax::{ForwardF32, ForwardI8, ForwardLogI8, forward_i8, forward_log_i8};
use embernet_core::rng::Rng;

/// An f32 case over rows of `len`; `published` are somebody else's results, else ours are compared with the truth.
pub fn f32(name: impl Into<String>, len: usize, x: Vec<f32>, published: Option<Vec<f32>>) -> Case {
    let (mut values, mut bounds) = (Vec::new(), Vec::new());
    for x in wide(&x).chunks(len) {
        let greatest = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let reach = x.iter().map(|x| greatest - x).fold(0.0, f64::max);
        let total: f64 = x.iter().map(|x| (x - greatest).exp()).sum();
        // Relative errors: the rounded difference in the exponent of numerator and denominator, one unit in the
        // last place (two roundoffs) of each exponential, the sum's additions, the division.
        let relative = (2.0 * (reach + 2.0) + len as f64 + 1.0) * ROUNDOFF;
        values.extend(x.iter().map(|x| ((x - greatest).exp() / total) as f32));
        bounds.extend(x.iter().map(|x| 2.0 * relative * (x - greatest).exp() / total));
    }
    let expected = Expected::close(published.unwrap_or(values), bounds);
    Case::new(name, x.len() / len, vec![Values::F32(x)], expected, move |step| {
        step.step(&[], 0, move |at| ForwardF32 {
            rows: 1,
            len: len as u32,
            beta: 1.0,
            logarithm: 0,
            x: at.x[0],
            y: at.y,
        });
    })
}

/// An int8 case over rows of `len`.
///
/// Without `published` results the expected ones come from our own kernel in this process: then the case says that
/// every runtime gives the same bytes. That they are the reference's, published results say.
pub fn i8(name: impl Into<String>, len: usize, input_scale: f32, x: Vec<i8>, published: Option<Vec<i8>>) -> Case {
    let name = name.into();
    let scaling = softmax_scaling(input_scale, 1.0).unwrap_or_else(|error| panic!("{name}: {error}"));
    let expected = published.unwrap_or_else(|| {
        let mut y = x.clone();
        forward_i8(len, &scaling, &mut y);
        y
    });
    Case::new(name, x.len() / len, vec![Values::I8(x)], Expected::Exact(expected), move |step| {
        step.step(&[], 0, move |at| ForwardI8 { rows: 1, len: len as u32, x: at.x[0], y: at.y, scaling });
    })
}

/// The logarithm, int8, over rows of `len`: our own kernel in this process, as [`i8`].
fn log_i8(name: String, len: usize, input_scale: f32, x: Vec<i8>) -> Case {
    let scaling = log_softmax_scaling(input_scale).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut expected = x.clone();
    forward_log_i8(len, &scaling, &mut expected);
    Case::new(name, x.len() / len, vec![Values::I8(x)], Expected::Exact(expected), move |step| {
        step.step(&[], 0, move |at| ForwardLogI8 { rows: 1, len: len as u32, x: at.x[0], y: at.y, scaling });
    })
}

/// The built-in cases.
pub fn cases(rng: &mut Rng) -> Vec<Case> {
    let mut all = Vec::new();
    for (len, samples, scale) in [(2, 3, 0.05), (10, 4, 0.1), (12, 1, 0.003), (100, 2, 0.2), (3, 5, 1.0)] {
        let x = reals(rng, samples * len).iter().map(|x| x * 8.0).collect();
        all.push(f32(format!("softmax/f32/{samples}x{len}"), len, x, None));
        all.push(i8(format!("softmax/i8/{samples}x{len}"), len, scale, bytes(rng, samples * len), None));
        all.push(log_i8(format!("log-softmax/i8/{samples}x{len}"), len, scale, bytes(rng, samples * len)));
    }
    all
}
