//! From scales to the integers that int8 and int16 kernels compute with, exactly as TensorFlow Lite Micro prepares them.
//!
//! Scales are f32, as model files have them; what is derived from them is computed in the reference's order and
//! precision, because its bits depend on both. The kernels that use these numbers are in `embernet_core::kernels`;
//! [`tables`] has the look-up tables of activation functions.

mod binary;
pub mod int16;
pub mod lines;
pub mod lstm;
pub mod tables;
#[cfg(test)]
mod tests;

pub use binary::{add_sum, prelu, product, quotient};

use crate::graph::{Activation, DType, Quant};
use embernet_core::kernels::requantize::Rescale;
use embernet_core::kernels::softmax::{LogScalingI8, ScalingI8};

/// Why scales cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum FixedPointError {
    /// Not a scale.
    #[error("scale {found} is not a positive, finite number")]
    Scale {
        /// What was given.
        found: f32,
    },
    /// Not a zero point of the type.
    #[error("zero point {found} is outside {expected}")]
    ZeroPoint {
        /// What was given.
        found: i32,
        /// The range.
        expected: &'static str,
    },
    /// Several scales where one is needed.
    #[error("found {found} scales, expected one for the whole tensor")]
    PerAxis {
        /// How many.
        found: usize,
    },
    /// Input and output scale are too far apart for 32-bit fixed point.
    #[error("{what}: real multiplier {found} is outside the fixed-point range {expected}")]
    Multiplier {
        /// Which operation.
        what: &'static str,
        /// The real multiplier.
        found: f64,
        /// What it has to be.
        expected: &'static str,
    },
    /// An activation that is no clamp cannot be fused.
    #[error("activation {found} is no clamp and cannot be fused into an integer operation")]
    NotAClamp {
        /// Its name.
        found: &'static str,
    },
}

/// How int8 or int16 stands for reals: `real = scale * (integer - zero_point)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affine {
    scale: f32,
    zero_point: i32,
    limits: (i32, i32),
}

const INT8: (i32, i32) = (-128, 127);
const INT16: (i32, i32) = (-32768, 32767);

impl Affine {
    /// Int8; checks that the scale is positive and finite and the zero point an int8.
    pub fn new(scale: f32, zero_point: i32) -> Result<Self, FixedPointError> {
        let affine = Self { scale, zero_point, limits: INT8 };
        affine.checked("-128..=127", i8::try_from(zero_point).is_ok())
    }

    /// Int16, whose zero point is always 0.
    pub fn int16(scale: f32, zero_point: i32) -> Result<Self, FixedPointError> {
        Self { scale, zero_point, limits: INT16 }.checked("0..=0, as int16 needs it", zero_point == 0)
    }

    fn checked(self, expected: &'static str, fits: bool) -> Result<Self, FixedPointError> {
        if !(self.scale.is_finite() && self.scale > 0.0) {
            return Err(FixedPointError::Scale { found: self.scale });
        }
        if fits { Ok(self) } else { Err(FixedPointError::ZeroPoint { found: self.zero_point, expected }) }
    }

    /// Of a tensor of integers with one scale.
    pub fn of(quant: &Quant, dtype: DType) -> Result<Self, FixedPointError> {
        let (scale, zero_point) = quant.single().ok_or(FixedPointError::PerAxis { found: quant.scales.len() })?;
        if dtype == DType::I16 { Self::int16(scale, zero_point) } else { Self::new(scale, zero_point) }
    }

    /// Real value of one step.
    pub const fn scale(self) -> f32 {
        self.scale
    }

    /// Number that stands for zero.
    pub const fn zero_point(self) -> i32 {
        self.zero_point
    }

    /// The integer next to a real, halves away from zero, saturated.
    pub fn nearest(self, real: f32) -> i32 {
        quantized_limit(real, self)
    }

    /// Whether the integers are int16.
    fn is_wide(self) -> bool {
        self.limits == INT16
    }
}

/// A real factor as the kernels apply it: `mantissa * 2^(shift - 31)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Multiplier {
    /// 31 bits, `2^30` or more (or 0).
    pub mantissa: i32,
    /// Positive multiplies.
    pub shift: i32,
}

impl Multiplier {
    /// Splits `real`: the mantissa is rounded half away from zero; what is below `2^-32` becomes 0.
    ///
    /// # Errors
    /// [`FixedPointError::Multiplier`] if `real` is negative, not finite, or `2^30` and more, where even a sum of
    /// one would overflow.
    pub fn new(what: &'static str, real: f64) -> Result<Self, FixedPointError> {
        let (fraction, mut shift) = frexp(real);
        let mut mantissa = (fraction * f64::from(2u32.pow(31))).round() as i64;
        if mantissa == 1 << 31 {
            mantissa /= 2;
            shift += 1;
        }
        if real.is_nan() || real < 0.0 || shift > 30 {
            return Err(FixedPointError::Multiplier { what, found: real, expected: "0 to 2^30" });
        }
        if shift < -31 {
            return Ok(Self { mantissa: 0, shift: 0 });
        }
        Ok(Self { mantissa: mantissa as i32, shift })
    }
}

/// `x = fraction * 2^exponent` with the fraction in `[0.5, 1)`, for a positive finite `x`; otherwise `x` itself.
fn frexp(x: f64) -> (f64, i32) {
    if x == 0.0 || !x.is_finite() {
        return (x, if x == 0.0 { 0 } else { i32::MAX });
    }
    let (x, extra) = if x.is_normal() { (x, 0) } else { (x * 2f64.powi(64), -64) };
    let bits = x.to_bits();
    let exponent = (bits >> 52 & 0x7ff) as i32 - 1022;
    (f64::from_bits(bits & !(0x7ff << 52) | 1022 << 52), exponent + extra)
}

/// Multipliers of a layer with weights, one for each weight scale: `input * weight / output`, in double.
///
/// For convolutions always, for dense layers whose weights have a scale for each output.
pub fn layer_multipliers(
    input_scale: f32,
    weight_scales: &[f32],
    output_scale: f32,
) -> Result<Vec<Multiplier>, FixedPointError> {
    let real = |weight: f32| f64::from(input_scale) * f64::from(weight) / f64::from(output_scale);
    weight_scales.iter().map(|&weight| Multiplier::new("layer", real(weight))).collect()
}

/// Multiplier of a dense layer whose weights have one scale: `input * weight` is rounded to f32 first.
pub fn dense_multiplier(input_scale: f32, weight_scale: f32, output_scale: f32) -> Result<Multiplier, FixedPointError> {
    Multiplier::new("dense", f64::from(input_scale * weight_scale) / f64::from(output_scale))
}

/// Multiplier of a mean of `count` values: that of the two scales, divided in integers.
///
/// # Errors
/// [`FixedPointError::Multiplier`].
pub fn mean_multiplier(input_scale: f32, count: usize, output_scale: f32) -> Result<Multiplier, FixedPointError> {
    let Multiplier { mantissa, shift } = Multiplier::new("mean", f64::from(input_scale) / f64::from(output_scale))?;
    // As many bits as the count has, so that the quotient keeps its precision; the exponent stays above -32.
    let bits = (count.max(1).ilog2() as i32).min(32).min(31 + shift);
    let mantissa = (i64::from(mantissa) << bits.max(0)) / count.max(1) as i64;
    Ok(Multiplier { mantissa: mantissa as i32, shift: shift - bits.max(0) })
}

/// Biases with the input's zero point folded in: `b' = b - zero_point * sum(w)`; an empty `b` counts as zeros.
///
/// `weights` are `[outputs][...]`: dense and convolution. Arithmetic wraps, as the kernels' sums do, so that the
/// folded sum is the unfolded one whatever the numbers.
pub fn fold_bias(b: &[i32], weights: &[i8], outputs: usize, zero_point: i32) -> Vec<i32> {
    let len = weights.len().checked_div(outputs).unwrap_or(0).max(1);
    let mut filters = weights.chunks_exact(len);
    let sums = std::iter::repeat_with(|| filters.next().unwrap_or(&[]).iter().map(|&w| i32::from(w)).sum());
    fold(b, sums.take(outputs), zero_point)
}

/// [`fold_bias`] for weights `[...][outputs]`: depthwise convolution.
pub fn fold_bias_depthwise(b: &[i32], weights: &[i8], outputs: usize, zero_point: i32) -> Vec<i32> {
    let sum = |output| weights.iter().skip(output).step_by(outputs.max(1)).map(|&w| i32::from(w)).sum();
    fold(b, (0..outputs).map(sum), zero_point)
}

fn fold(b: &[i32], sums: impl Iterator<Item = i32>, zero_point: i32) -> Vec<i32> {
    let b = b.iter().copied().chain(std::iter::repeat(0));
    sums.zip(b).map(|(sum, b)| b.wrapping_sub(zero_point.wrapping_mul(sum))).collect()
}

/// The limits of a fused activation in the output's numbers.
///
/// # Errors
/// [`FixedPointError::NotAClamp`].
pub fn activation_range(activation: Activation, output: Affine) -> Result<(i32, i32), FixedPointError> {
    let (lo, hi) = activation.clamp().ok_or(FixedPointError::NotAClamp { found: activation.name() })?;
    Ok((quantized_limit(lo, output), quantized_limit(hi, output)))
}

/// A limit in the output's numbers: rounded half away from zero, saturated; infinite limits are those of the type.
fn quantized_limit(limit: f32, output: Affine) -> i32 {
    // The cast saturates.
    let steps = (limit / output.scale).round() as i32;
    output.zero_point.saturating_add(steps).clamp(output.limits.0, output.limits.1)
}

/// Whole steps of `2^left_shift` that stay within `integer_bits` integer bits of 31.
fn input_radius(integer_bits: i32, left_shift: i32) -> i32 {
    let greatest = (2f64.powi(integer_bits) - 1.0) * 2f64.powi(31 - integer_bits);
    (greatest / 2f64.powi(left_shift)).floor() as i32
}

/// How softmax scales differences of its int8 inputs. Its output has scale 1/256 and zero point -128.
///
/// # Errors
/// [`FixedPointError::Multiplier`] if `beta * input_scale` is `2^-26` or less.
pub fn softmax_scaling(input_scale: f32, beta: f32) -> Result<ScalingI8, FixedPointError> {
    const INTEGER_BITS: i32 = 5;
    let bad = |found| FixedPointError::Multiplier { what: "softmax", found, expected: "above 2^-26" };
    let real = f64::from(beta) * f64::from(input_scale);
    let scaled = (real * 2f64.powi(31 - INTEGER_BITS)).min(2f64.powi(31) - 1.0);
    // (`min` passes over not-a-number.)
    if real.is_nan() || scaled <= 1.0 {
        return Err(bad(real));
    }
    // A capped multiplier has the exponent 31, one more than `Multiplier` allows; the radius is 0 then, so that
    // nothing but the difference 0 is ever shifted.
    let (fraction, mut left_shift) = frexp(scaled);
    let mut multiplier = (fraction * 2f64.powi(31)).round() as i64;
    if multiplier == 1 << 31 {
        multiplier /= 2;
        left_shift += 1;
    }
    let diff_min = -input_radius(INTEGER_BITS, left_shift);
    Ok(ScalingI8 { multiplier: multiplier as i32, left_shift, diff_min })
}

/// How the logarithm of softmax scales differences of its int8 inputs. Its output is
/// [`tables::LOG_SOFTMAX_OUTPUT`].
///
/// # Errors
/// As [`softmax_scaling`].
pub fn log_softmax_scaling(input_scale: f32) -> Result<LogScalingI8, FixedPointError> {
    let scaling = softmax_scaling(input_scale, 1.0)?;
    let real = 2f64.powi(31 - scaling.left_shift) / f64::from(scaling.multiplier);
    let Multiplier { mantissa, shift } = Multiplier::new("log softmax", real)?;
    Ok(LogScalingI8 { scaling, back: Rescale { multiplier: mantissa, shift } })
}
