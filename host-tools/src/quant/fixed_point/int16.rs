//! Functions of int16: the multipliers and tables of softmax, logistic and tanh.

use super::{Affine, FixedPointError, INT16, Multiplier};
use embernet_core::kernels::softmax::ENTRIES_I16;
use embernet_core::quant::functions::{TABLE, ToTable};

/// What the results of softmax, logistic and tanh mean.
pub const FUNCTION_OUTPUT: Affine = Affine { scale: 1.0 / 32768.0, zero_point: 0, limits: INT16 };

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

/// How an input of logistic becomes the argument of its table.
///
/// # Errors
/// [`FixedPointError::Multiplier`] if the scale is above 2.66, where one step is beyond a quarter of the table.
pub fn logistic_argument(scale: f32) -> Result<ToTable, FixedPointError> {
    argument("logistic", scale, &[-12])
}

/// How an input of tanh becomes the argument of its table.
///
/// # Errors
/// As [`logistic_argument`].
pub fn tanh_argument(scale: f32) -> Result<ToTable, FixedPointError> {
    argument("tanh", scale, &[-12, -11])
}

/// Scales that are one of these powers of two, or within a thousandth of its exponent, are taken for it; of others
/// the multiplier has 15 bits and is cut off, both as in the reference.
fn argument(what: &'static str, scale: f32, powers: &[i32]) -> Result<ToTable, FixedPointError> {
    let exponent = scale.ln() * (1.0 / 2f32.ln());
    let power = exponent.round();
    if (exponent - power).abs() < 1e-3 && powers.contains(&(power as i32)) {
        return Ok(ToTable::of_power(power as i32));
    }
    let real = f64::from(scale) * 4096.0 * 3.0;
    let (mut multiplier, mut shift) = (real, 0);
    while multiplier <= 32767.0 / 2.0 && shift <= 30 {
        multiplier *= 2.0;
        shift += 1;
    }
    let argument = ToTable { multiplier: multiplier as i32, shift };
    if argument.is_valid() {
        return Ok(argument);
    }
    Err(FixedPointError::Multiplier { what, found: real, expected: "below 2^15" })
}

/// The logistic function at every 24th, 16 fraction bits, each moved by half of the error that a straight line to the
/// next one would make in the middle; the last one is 1. That is TFLite's table; see
/// `embernet_core::quant::functions::logistic_i16`.
pub fn sigmoid_table() -> Vec<u16> {
    let logistic = |at: f64| 1.0 / (1.0 + (-at / 24.0).exp());
    let entry = |i: usize| {
        let at = i as f64;
        let line = (logistic(at) + logistic(at + 1.0)) / 2.0;
        65536.0 * (logistic(at) + (logistic(at + 0.5) - line) / 2.0)
    };
    let mut table: Vec<u16> = (0..TABLE - 1).map(|i| entry(i).round() as u16).collect();
    table.push(u16::MAX);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_that_of_tflite() {
        // Entries of `sigmoid_table_uint16` in tensorflow/lite/kernels/internal/common.h, among them some where
        // rounding alone would give another number, and the sum of all of them.
        let table = sigmoid_table();
        let some = [0, 1, 28, 35, 43, 62, 134, 254, 255].map(|i| table[i]);
        assert_eq!(some, [32768, 33451, 49975, 53169, 56174, 60935, 65291, 65534, 65535]);
        assert_eq!(table.iter().map(|entry| u64::from(*entry)).sum::<u64>(), 15_670_629);
    }

    #[test]
    fn arguments_of_powers_and_of_others() {
        let exact = |multiplier, shift| ToTable { multiplier, shift };
        assert_eq!(logistic_argument(1.0 / 4096.0), Ok(exact(3, 0)));
        assert_eq!(tanh_argument(1.0 / 2048.0), Ok(exact(6, 0)));
        assert_eq!(tanh_argument(1.0002 / 2048.0), Ok(exact(6, 0)));
        // Logistic takes one power alone.
        assert_eq!(logistic_argument(1.0 / 2048.0), Ok(exact(6 << 12, 12)));
        assert_eq!(logistic_argument(2.5), Ok(exact(30720, 0)));
        assert!(logistic_argument(3.0).is_err());
        // Too fine to leave the middle.
        assert_eq!(tanh_argument(1e-20), Ok(exact(0, 31)));
    }

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
