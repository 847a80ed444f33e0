//! The numbers of integer functions of two inputs.

use super::{Affine, FixedPointError, Multiplier, activation_range};
use crate::graph::Activation;
use embernet_core::kernels::add;

/// The numbers of an integer addition: int8 gets 20 more bits before it adds, int16 gets 15.
///
/// # Errors
/// [`FixedPointError::Multiplier`] if the output's scale is too small against the inputs',
/// [`FixedPointError::NotAClamp`].
pub fn add_sum(a: Affine, b: Affine, y: Affine, activation: Activation) -> Result<add::Sum, FixedPointError> {
    let left_shift = if y.is_wide() { 15 } else { 20 };
    let common = 2.0 * f64::from(a.scale.max(b.scale));
    let term = |x: Affine| -> Result<add::Term, FixedPointError> {
        let Multiplier { mantissa, shift } = Multiplier::new("add", f64::from(x.scale) / common)?;
        Ok(add::Term { zero_point: x.zero_point, multiplier: mantissa, shift })
    };
    let real = common / (2f64.powi(left_shift) * f64::from(y.scale));
    let Multiplier { mantissa, shift } = Multiplier::new("add", real)?;
    if real >= 1.0 || shift > 0 {
        return Err(FixedPointError::Multiplier { what: "add", found: real, expected: "below 1" });
    }
    let (lo, hi) = activation_range(activation, y)?;
    Ok(add::Sum { a: term(a)?, b: term(b)?, left_shift, multiplier: mantissa, shift, zero_point: y.zero_point, lo, hi })
}

/// The numbers of an integer product: its zero points, and one multiplier for the whole.
///
/// # Errors
/// [`FixedPointError::Multiplier`], [`FixedPointError::NotAClamp`].
pub fn product(a: Affine, b: Affine, y: Affine, activation: Activation) -> Result<add::Sum, FixedPointError> {
    let real = f64::from(a.scale) * f64::from(b.scale) / f64::from(y.scale);
    let factor = Multiplier::new("product", real)?;
    Ok(of_factor(a, b, y, factor, activation_range(activation, y)?))
}

/// The numbers of an int8 quotient: its zero points, and one multiplier, made in f32 as the reference makes it.
///
/// # Errors
/// [`FixedPointError::Multiplier`], [`FixedPointError::NotAClamp`].
pub fn quotient(a: Affine, b: Affine, y: Affine, activation: Activation) -> Result<add::Sum, FixedPointError> {
    let found = f64::from(a.scale / (b.scale * y.scale));
    let factor = Multiplier::new("quotient", found)?;
    // The kernel has a byte's 23 redundant bits to shift by.
    if factor.shift > 22 {
        return Err(FixedPointError::Multiplier { what: "quotient", found, expected: "below 2^22" });
    }
    Ok(of_factor(a, b, y, factor, activation_range(activation, y)?))
}

/// The numbers of `x` where it is positive and `slope * x` elsewhere: the first term's multiplier is for what is
/// positive, the other one for products.
///
/// # Errors
/// [`FixedPointError::Multiplier`].
pub fn prelu(x: Affine, slope: Affine, y: Affine) -> Result<add::Sum, FixedPointError> {
    let [x_scale, slope_scale, y_scale] = [x, slope, y].map(|affine| f64::from(affine.scale));
    let positive = Multiplier::new("prelu", x_scale / y_scale)?;
    let product = Multiplier::new("prelu", x_scale * slope_scale / y_scale)?;
    let sum = of_factor(x, slope, y, product, y.limits);
    Ok(add::Sum { a: add::Term { multiplier: positive.mantissa, shift: positive.shift, ..sum.a }, ..sum })
}

/// Zero points, and one factor for the whole.
fn of_factor(a: Affine, b: Affine, y: Affine, factor: Multiplier, (lo, hi): (i32, i32)) -> add::Sum {
    let term = |x: Affine| add::Term { zero_point: x.zero_point, multiplier: 0, shift: 0 };
    let Multiplier { mantissa, shift } = factor;
    add::Sum { a: term(a), b: term(b), left_shift: 0, multiplier: mantissa, shift, zero_point: y.zero_point, lo, hi }
}
