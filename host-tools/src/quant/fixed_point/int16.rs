//! Softmax of int16: its multiplier and its tables.

use super::{FixedPointError, Multiplier};
use embernet_core::kernels::softmax::ENTRIES_I16;

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
}
