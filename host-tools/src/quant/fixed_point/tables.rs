//! Look-up tables: what the reference makes of each of the 256 int8 values.
//!
//! Entry `i` belongs to the value whose byte is `i`, as `embernet_core::kernels::lookup` reads it.
//!
//! Logistic and tanh follow the reference's integer kernels (gemmlowp's fixed point), which is what TFLite Micro and
//! TFLite's built-in reference resolver run. TFLite's optimised kernels use tables made with real functions instead
//! and may differ from these in the last bit.

use super::lines::{self, Lines};
use super::{Affine, FixedPointError, INT8, Multiplier, input_radius};
use embernet_core::kernels::lookup::ENTRIES;
use embernet_core::quant::functions::{logistic, tanh};
use embernet_core::quant::{multiply_by_quantized_multiplier, rounding_divide_by_pot};

/// A table.
pub type Table = [i8; ENTRIES];

/// What a logistic table's results mean.
pub const LOGISTIC_OUTPUT: Affine = Affine { scale: 1.0 / 256.0, zero_point: -128, limits: INT8 };
/// What a tanh table's results mean.
pub const TANH_OUTPUT: Affine = Affine { scale: 1.0 / 128.0, zero_point: 0, limits: INT8 };
/// What the results of the logarithm of softmax mean.
pub const LOG_SOFTMAX_OUTPUT: Affine = Affine { scale: 16.0 / 256.0, zero_point: 127, limits: INT8 };

/// Integer bits of the fixed-point number that logistic and tanh are computed from.
const INPUT_BITS: u32 = 4;

/// A table of `f` over all values, in the order of their bytes.
fn table(f: impl Fn(i32) -> i32) -> Table {
    std::array::from_fn(|i| f(i32::from(i as u8 as i8)).clamp(-128, 127) as i8)
}

/// `1 / (1 + e^-x)`; the output is [`LOGISTIC_OUTPUT`].
pub fn logistic_table(input: Affine) -> Result<Table, FixedPointError> {
    saturating_function("logistic", input, |x| {
        rounding_divide_by_pot(logistic(x, INPUT_BITS), 31 - 8) + LOGISTIC_OUTPUT.zero_point
    })
}

/// `tanh(x)`; the output is [`TANH_OUTPUT`].
pub fn tanh_table(input: Affine) -> Result<Table, FixedPointError> {
    saturating_function("tanh", input, |x| rounding_divide_by_pot(tanh(x, INPUT_BITS), 31 - 7))
}

/// `f` of the input in Q4, and the extremes where the input leaves Q4.
fn saturating_function(what: &'static str, input: Affine, f: impl Fn(i32) -> i32) -> Result<Table, FixedPointError> {
    let real = f64::from(input.scale()) * 2f64.powi(31 - INPUT_BITS as i32);
    let Multiplier { mantissa, shift } = Multiplier::new(what, real)?;
    let radius = input_radius(INPUT_BITS as i32, shift);
    Ok(table(|x| {
        let x = x - input.zero_point();
        if x <= -radius {
            -128
        } else if x >= radius {
            127
        } else {
            f(multiply_by_quantized_multiplier(x, mantissa, shift))
        }
    }))
}

/// [`lines::rescale`] of every value.
pub fn rescale_table(input: Affine, output: Affine) -> Result<Table, FixedPointError> {
    lines::rescale(input, output).map(|lines| lines_table(input, output, &lines))
}

/// [`lines::clamp`] of every value.
pub fn clamp_table(input: Affine, output: Affine, lo: f32, hi: f32) -> Result<Table, FixedPointError> {
    lines::clamp(input, output, lo, hi).map(|lines| lines_table(input, output, &lines))
}

/// [`lines::leaky_relu`] of every value.
pub fn leaky_relu_table(input: Affine, output: Affine, alpha: f32) -> Result<Table, FixedPointError> {
    lines::leaky_relu(input, output, alpha).map(|lines| lines_table(input, output, &lines))
}

/// Two straight lines through zero.
fn lines_table(input: Affine, output: Affine, lines: &Lines) -> Table {
    table(|x| {
        let x = x - input.zero_point();
        let Multiplier { mantissa, shift } = if x >= 0 { lines.positive } else { lines.negative };
        let y = multiply_by_quantized_multiplier(x, mantissa, shift).saturating_add(output.zero_point());
        // `max` then `min`, which unlike `clamp` need no order.
        y.max(lines.lo).min(lines.hi)
    })
}

/// A function of reals: through f32, as the reference's tables of elu, exp and gelu are filled.
///
/// Not-a-number becomes the zero point.
pub fn real_table(input: Affine, output: Affine, f: impl Fn(f32) -> f32) -> Result<Table, FixedPointError> {
    let per_unit = 1.0 / output.scale();
    Ok(table(|x| {
        let real = f(input.scale() * (x - input.zero_point()) as f32);
        // The cast saturates.
        ((real * per_unit).round() as i32).saturating_add(output.zero_point())
    }))
}

/// `x * min(max(x + 3, 0), 6) / 6`, in the reference's 16-bit arithmetic.
///
/// # Errors
/// [`FixedPointError::Multiplier`] if the output's scale is below 1/128 of the input's, which the reference refuses
/// too, or if the input's is too small to matter.
pub fn hard_swish_table(input: Affine, output: Affine) -> Result<Table, FixedPointError> {
    const WHAT: &str = "hard swish";
    // Inputs get 7 more bits; the "reluish" factor has 3.0 at 32768. Scales are f32 in the reference.
    let fine_scale = input.scale() * (1.0 / 128.0);
    let reluish_scale = 3.0f32 / 32768.0;
    let to_output_real = f64::from(fine_scale / output.scale());
    let to_output = Multiplier::new(WHAT, to_output_real)?;
    let to_reluish_real = f64::from(fine_scale / reluish_scale);
    let to_reluish = Multiplier::new(WHAT, to_reluish_real)?;
    if to_output.shift > 0 {
        return Err(FixedPointError::Multiplier { what: WHAT, found: to_output_real, expected: "below 1" });
    }
    if to_output.shift < -15 || to_reluish.shift < -15 {
        let found = to_output_real.min(to_reluish_real);
        return Err(FixedPointError::Multiplier { what: WHAT, found, expected: "above 2^-16" });
    }
    let (output_factor, reluish_factor) = (upper_half(to_output.mantissa), upper_half(to_reluish.mantissa));
    Ok(table(|x| {
        let fine = ((x - input.zero_point()) * 128) as i16;
        let scaled = rounding_high_mul(fine, output_factor);
        let up = to_reluish.shift.max(0) as u32;
        // All but one of the left shifts come first, so that only the last one saturates the result.
        let mut reluish = if up > 0 { saturating_shift_left(fine, up - 1) } else { fine };
        reluish = rounding_high_mul(reluish, reluish_factor);
        if up > 0 {
            reluish = saturating_shift_left(reluish, 1);
        }
        let reluish = rounding_divide_by_pot(i32::from(reluish), to_reluish.shift.min(0).unsigned_abs());
        // From [-1, 1] to [0, 1].
        let gate = (reluish + (1 << 15)) >> 1;
        // Rounded towards zero here, which cancels the bias of the roundings above. A gate is never negative, so
        // that the one overflow cannot happen.
        let product = gate * i32::from(scaled) / (1 << 15);
        rounding_divide_by_pot(product, to_output.shift.unsigned_abs()) + output.zero_point()
    }))
}

/// A 31-bit mantissa rounded to 15 bits.
fn upper_half(mantissa: i32) -> i16 {
    if mantissa >= i32::MAX - (1 << 15) { i16::MAX } else { ((mantissa + (1 << 15)) >> 16) as i16 }
}

/// `a * b / 2^15`, rounded half up as the 32-bit one; the factor here is never `i16::MIN`.
fn rounding_high_mul(a: i16, b: i16) -> i16 {
    ((i32::from(a) * i32::from(b) + (1 << 14)) >> 15) as i16
}

fn saturating_shift_left(x: i16, bits: u32) -> i16 {
    (i64::from(x) << bits.min(32)).clamp(i64::from(i16::MIN), i64::from(i16::MAX)) as i16
}
