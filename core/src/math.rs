//! The only door to elementary functions.
//!
//! They come from `libm`, in pure Rust, so that a PC and a microcontroller compute the same bits.
//! Comparisons are written out because the minimum and maximum of signed zeros differ between processors.

/// `e^x`.
#[inline]
pub fn exp(x: f32) -> f32 {
    libm::expf(x)
}

/// `e^x - 1`, exact where `x` is small.
#[inline]
pub fn exp_m1(x: f32) -> f32 {
    libm::expm1f(x)
}

/// The error function.
#[inline]
pub fn erf(x: f32) -> f32 {
    libm::erff(x)
}

/// Natural logarithm.
#[inline]
pub fn ln(x: f32) -> f32 {
    libm::logf(x)
}

/// Square root, correctly rounded: by the processor where that has an instruction that `libm` does not know.
#[inline]
pub fn sqrt(x: f32) -> f32 {
    #[cfg(all(target_arch = "arm", target_os = "none", target_abi = "eabihf"))]
    return crate::arch::sqrt(x);
    #[cfg(not(all(target_arch = "arm", target_os = "none", target_abi = "eabihf")))]
    libm::sqrtf(x)
}

/// Hyperbolic tangent.
#[inline]
pub fn tanh(x: f32) -> f32 {
    libm::tanhf(x)
}

/// The nearest whole number, halves away from zero.
#[inline]
pub fn round(x: f32) -> f32 {
    libm::roundf(x)
}

/// `base` to the power of a whole number, by repeated squaring (used for Adam's bias correction).
#[inline]
pub fn powi(base: f32, mut exponent: u32) -> f32 {
    let mut square = base;
    let mut result = 1.0;
    while exponent > 0 {
        if exponent & 1 == 1 {
            result *= square;
        }
        square *= square;
        exponent >>= 1;
    }
    result
}

/// Logistic function `1 / (1 + e^-x)`.
#[inline]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The larger of two; the first if they compare equal or either is not a number.
#[inline]
pub fn max(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

/// The smaller of two; the first if they compare equal or either is not a number.
#[inline]
pub fn min(a: f32, b: f32) -> f32 {
    if b < a { b } else { a }
}

/// `x` limited to `lo..=hi`; not-a-number passes through.
#[inline]
pub fn clamp(x: f32, lo: f32, hi: f32) -> f32 {
    min(max(x, lo), hi)
}

/// `x`, or 0 if its size is below `least`; not-a-number passes through.
///
/// For values that fade, such as an optimiser's moments: a subnormal number costs most PCs a hundred times an ordinary
/// one. Compares bits, which costs a device without an FPU little.
#[inline]
pub fn settle(x: f32, least: f32) -> f32 {
    if x.to_bits() & 0x7fff_ffff < least.to_bits() { 0.0 } else { x }
}

/// Which elementary functions a run uses.
///
/// Only [`Maths::Exact`] exists without the `fast-math` feature. With it, inference takes `micromath`'s
/// approximations: `exp` within 0.3 % (sigmoid and tanh, built on it, within 0.003 of their values), at a fraction of
/// the instructions on a core without an FPU. Training and everything that promises bits stay exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maths {
    /// `libm`: the same bits on every target.
    Exact,
    /// `micromath`: approximate.
    #[cfg(feature = "fast-math")]
    Approximate,
}

impl Maths {
    /// What a run of that kind uses in this build.
    #[inline]
    pub const fn of(training: bool) -> Self {
        #[cfg(feature = "fast-math")]
        if !training {
            return Self::Approximate;
        }
        let _ = training;
        Self::Exact
    }

    /// `e^x`.
    #[inline]
    pub fn exp(self, x: f32) -> f32 {
        match self {
            Self::Exact => exp(x),
            // Beyond these the approximation leaves the exponent's range.
            #[cfg(feature = "fast-math")]
            Self::Approximate => {
                let limited = micromath::F32(clamp(x, -87.0, 88.0));
                micromath::F32::exp(limited).0
            }
        }
    }

    /// Logistic function.
    #[inline]
    pub fn sigmoid(self, x: f32) -> f32 {
        match self {
            Self::Exact => sigmoid(x),
            #[cfg(feature = "fast-math")]
            Self::Approximate => 1.0 / (1.0 + self.exp(-x)),
        }
    }

    /// Hyperbolic tangent.
    #[inline]
    pub fn tanh(self, x: f32) -> f32 {
        match self {
            Self::Exact => tanh(x),
            #[cfg(feature = "fast-math")]
            Self::Approximate => 1.0 - 2.0 / (1.0 + self.exp(2.0 * x)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn training_is_exact_in_every_build() {
        assert_eq!(Maths::of(true), Maths::Exact);
        assert_eq!(Maths::Exact.exp(0.7).to_bits(), exp(0.7).to_bits());
    }

    #[cfg(feature = "fast-math")]
    #[test]
    fn approximations_stay_within_their_bounds() {
        for i in -20_000..20_000 {
            let x = i as f32 * 1e-3;
            let relative = Maths::Approximate.exp(x) / exp(x) - 1.0;
            assert!(relative.abs() < 3e-3, "exp({x}): {relative}");
            assert!((Maths::Approximate.sigmoid(x) - sigmoid(x)).abs() < 3e-3, "sigmoid({x})");
            assert!((Maths::Approximate.tanh(x) - tanh(x)).abs() < 3e-3, "tanh({x})");
        }
        for x in [-1e30, -200.0, 200.0, 1e30] {
            assert!(Maths::Approximate.exp(x).is_finite() && Maths::Approximate.tanh(x).abs() <= 1.0);
        }
    }

    #[test]
    fn powi_is_repeated_multiplication() {
        assert_eq!(powi(0.5, 10), 1.0 / 1024.0);
        assert_eq!(powi(3.0, 0), 1.0);
    }

    #[test]
    fn what_is_too_small_settles() {
        assert_eq!(settle(-0.5, 0.5), -0.5);
        assert_eq!(settle(-0.49, 0.5).to_bits(), 0);
        assert_eq!(settle(-0.0, 0.5).to_bits(), 0);
        assert!(settle(f32::NAN, 0.5).is_nan());
        assert_eq!(settle(f32::NEG_INFINITY, 0.5), f32::NEG_INFINITY);
    }

    #[test]
    fn clamp_keeps_nan_and_signed_zero() {
        assert!(clamp(f32::NAN, 0.0, 6.0).is_nan());
        assert_eq!(clamp(-0.0, 0.0, 6.0).to_bits(), (-0.0f32).to_bits());
        assert_eq!(clamp(7.0, 0.0, 6.0), 6.0);
    }
}
