//! Functions that are two straight lines through zero: changes of scale, relu and leaky relu.

use super::{Affine, FixedPointError, Multiplier, quantized_limit};

/// `multiplier * (x - zero point)` on either side of zero, moved to the output's zero point and limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lines {
    /// Of zero and more.
    pub positive: Multiplier,
    /// Of less; its mantissa may be negative.
    pub negative: Multiplier,
    /// Least output.
    pub lo: i32,
    /// Greatest output; where it is below `lo` it wins.
    pub hi: i32,
}

/// The same reals in other numbers: QUANTIZE between integers.
///
/// # Errors
/// [`FixedPointError::Multiplier`].
pub fn rescale(input: Affine, output: Affine) -> Result<Lines, FixedPointError> {
    clamp(input, output, f32::NEG_INFINITY, f32::INFINITY)
}

/// Reals limited to `lo..=hi`, in other numbers: relu is `0..=inf`, relu6 is `0..=6`.
///
/// # Errors
/// [`FixedPointError::Multiplier`].
pub fn clamp(input: Affine, output: Affine, lo: f32, hi: f32) -> Result<Lines, FixedPointError> {
    let line = bounded("rescale", f64::from(input.scale()) / f64::from(output.scale()), input)?;
    Ok(Lines { positive: line, negative: line, lo: quantized_limit(lo, output), hi: quantized_limit(hi, output) })
}

/// `x` where it is positive, `alpha * x` elsewhere.
///
/// # Errors
/// [`FixedPointError::Multiplier`].
pub fn leaky_relu(input: Affine, output: Affine, alpha: f32) -> Result<Lines, FixedPointError> {
    // The reference computes both in f32.
    let positive = bounded("leaky relu", f64::from(input.scale() / output.scale()), input)?;
    let slope = f64::from(input.scale() * alpha / output.scale());
    // It also takes negative slopes; a mantissa may be negative, `Multiplier` is for the magnitude.
    let magnitude = bounded("leaky relu", slope.abs(), input)?;
    let mantissa = if slope < 0.0 { -magnitude.mantissa } else { magnitude.mantissa };
    let (lo, hi) = output.limits;
    Ok(Lines { positive, negative: Multiplier { mantissa, ..magnitude }, lo, hi })
}

/// A multiplier that cannot overflow: differences of int8 values have 9 bits, int16 values 16.
fn bounded(what: &'static str, real: f64, input: Affine) -> Result<Multiplier, FixedPointError> {
    let multiplier = Multiplier::new(what, real)?;
    let (most, expected) = if input.is_wide() { (15, "below 2^15") } else { (22, "below 2^22") };
    if multiplier.shift > most {
        return Err(FixedPointError::Multiplier { what, found: real, expected });
    }
    Ok(multiplier)
}
