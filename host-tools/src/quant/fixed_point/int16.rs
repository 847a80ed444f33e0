//! The same for int16 activations, whose zero point is always 0, with int8 weights.

use super::{FixedPointError, Multiplier};
use crate::graph::Activation;
use embernet_core::kernels::add::{Sum, Term};
use embernet_core::kernels::softmax::ENTRIES_I16;

/// Multipliers of a layer with one scale for each output; the kernels use their upper 15 bits.
///
/// # Errors
/// [`FixedPointError::Multiplier`].
pub fn layer_multipliers(input: f32, weights: &[f32], output: f32) -> Result<Vec<Multiplier>, FixedPointError> {
    super::layer_multipliers(input, weights, output)
}

/// The limits of a fused activation in the output's numbers.
///
/// # Errors
/// [`FixedPointError::NotAClamp`].
pub fn activation_range(activation: Activation, scale: f32) -> Result<(i32, i32), FixedPointError> {
    let (lo, hi) = activation.clamp().ok_or(FixedPointError::NotAClamp { found: activation.name() })?;
    // The casts saturate, so that infinite limits become those of the type.
    let limit = |real: f32| ((real / scale).round() as i32).clamp(-32768, 32767);
    Ok((limit(lo), limit(hi)))
}

/// The numbers of an int16 addition: as for int8, but with 15 bits of shift to the left.
///
/// # Errors
/// [`FixedPointError::Multiplier`], [`FixedPointError::NotAClamp`].
pub fn add_sum(a: f32, b: f32, y: f32, activation: Activation) -> Result<Sum, FixedPointError> {
    const LEFT_SHIFT: i32 = 15;
    let common = 2.0 * f64::from(a.max(b));
    let term = |scale: f32| -> Result<Term, FixedPointError> {
        let Multiplier { mantissa, shift } = Multiplier::new("add", f64::from(scale) / common)?;
        Ok(Term { zero_point: 0, multiplier: mantissa, shift })
    };
    let real = common / (2f64.powi(LEFT_SHIFT) * f64::from(y));
    let Multiplier { mantissa, shift } = Multiplier::new("add", real)?;
    if real >= 1.0 || shift > 0 {
        return Err(FixedPointError::Multiplier { what: "add", found: real, expected: "below 1" });
    }
    let (lo, hi) = activation_range(activation, y)?;
    let (a, b) = (term(a)?, term(b)?);
    Ok(Sum { a, b, left_shift: LEFT_SHIFT, multiplier: mantissa, shift, zero_point: 0, lo, hi })
}

/// What brings differences of softmax's inputs to the argument of [`exp_table`]: 10 are 65535 steps.
///
/// # Errors
/// [`FixedPointError::Multiplier`].
pub fn softmax_multiplier(scale: f32, beta: f32) -> Result<Multiplier, FixedPointError> {
    Multiplier::new("softmax", f64::from(scale * beta) / (10.0 / 65535.0))
}

/// `e^x` for `x` from -10 to 0, in Q15.
pub fn exp_table() -> Vec<i16> {
    table(10.0 / 65535.0, 32767, |x| f64::from(x).exp() as f32)
}

/// `1 / (1 + x)` for `x` from 0 to 1, in Q15.
pub fn reciprocal_table() -> Vec<i16> {
    table(1.0 / 65535.0, -32768, |x| 1.0 / (1.0 + x))
}

/// A function's values at every 128th int16 argument, each moved by half of the error that a straight
/// line to the next one would make in the middle. In f32, in the reference's order.
fn table(scale: f32, zero_point: i32, function: impl Fn(f32) -> f32) -> Vec<i16> {
    let real = |argument: i32| scale * (argument - zero_point) as f32;
    let (first, last) = (real(-32768), real(32767));
    let steps = (ENTRIES_I16 - 1) as f32;
    let step = (last - first) / steps;
    let half = step / 2.0;
    let output_scale = 2.0f32 / 65535.0;
    let per_unit = 65536.0 / (output_scale * 32767.0 - output_scale * -32768.0);
    let limited = |value: f32| value.clamp(-32768.0, 32767.0) as i16;
    let entry = |i: usize| {
        let at = first + i as f32 * step;
        let next = function(first + (i + 1) as f32 * step);
        let sample = (function(at) * per_unit).round();
        let line = ((next * per_unit + sample) / 2.0).round();
        let middle = (function(at + half) * per_unit).round();
        limited(sample - ((line - middle) / 2.0).round())
    };
    let mut entries: Vec<i16> = (0..ENTRIES_I16 - 1).map(entry).collect();
    entries.push(limited((function(last) * per_unit).round()));
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_near_their_functions() {
        let (exp, reciprocal) = (exp_table(), reciprocal_table());
        assert_eq!((exp.len(), reciprocal.len()), (ENTRIES_I16, ENTRIES_I16));
        for i in 0..ENTRIES_I16 {
            let t = i as f64 / 512.0;
            let near = |found: i16, real: f64| (f64::from(found) - (real * 32768.0).min(32767.0)).abs() <= 3.0;
            assert!(near(exp[i], (10.0 * (t - 1.0)).exp()), "{i}: {}", exp[i]);
            assert!(near(reciprocal[i], 1.0 / (1.0 + t)), "{i}: {}", reciprocal[i]);
        }
    }

    #[test]
    fn limits_are_those_of_the_type() {
        assert_eq!(activation_range(Activation::Linear, 0.5), Ok((-32768, 32767)));
        assert_eq!(activation_range(Activation::Relu6, 0.001), Ok((0, 6000)));
        assert!(activation_range(Activation::Tanh, 0.5).is_err());
    }
}
