//! Features of a window: a few integers that say much about how something moves.
//!
//! All are exact and rounded once, so that they are the same on every target, and cheap where there is no
//! floating-point unit: two passes over the values, with 32-bit arithmetic but for one sum.

/// Values that are looked at: of a longer window the first ones. Sums stay within 32 bits, products within 64.
pub const MOST_VALUES: usize = i16::MAX as usize;

/// Features of one axis of a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Axis {
    /// The mean, rounded down: where the axis points.
    pub mean: i16,
    /// Standard deviation, rounded down: how strong the movement is.
    pub deviation: u16,
    /// The highest value less the lowest.
    pub range: u16,
    /// Mean distance of neighbouring values, rounded down: how fast it is.
    pub roughness: u16,
    /// How often the values change from one side of the mean to the other: twice the number of swings.
    pub crossings: u16,
}

impl Axis {
    /// Number of features.
    pub const COUNT: usize = 5;

    /// The features of at most [`MOST_VALUES`] values; zeros for none.
    pub fn of(values: impl Iterator<Item = i16> + Clone) -> Self {
        let values = values.take(MOST_VALUES);
        let (mut count, mut sum) = (0i32, 0i32);
        let (mut low, mut high) = (i16::MAX, i16::MIN);
        for value in values.clone() {
            count += 1;
            sum += i32::from(value);
            (low, high) = (low.min(value), high.max(value));
        }
        let Some(mean) = sum.checked_div_euclid(count) else { return Self::default() };

        // Squares are those of distances from the rounded mean, each less than 2^32.
        let (mut squares, mut steps, mut crossings) = (0u64, 0u32, 0u16);
        let mut before = None;
        for value in values.map(i32::from) {
            let distance = value.abs_diff(mean);
            squares += u64::from(distance * distance);
            if let Some(before) = before {
                steps += value.abs_diff(before);
                crossings += u16::from((value > mean) != (before > mean));
            }
            before = Some(value);
        }
        let count = count.unsigned_abs();
        let off = u64::from(sum.rem_euclid(count.cast_signed().max(1)).unsigned_abs());
        // The sum of squared distances from the true mean is `squares - off^2 / count`.
        let scaled = (u64::from(count) * squares).saturating_sub(off * off);
        let variance = scaled.checked_div(u64::from(count) * u64::from(count)).unwrap_or(0);
        Self {
            mean: mean as i16,
            deviation: variance.isqrt() as u16,
            range: high.abs_diff(low),
            roughness: steps.checked_div(count - 1).unwrap_or(0) as u16,
            crossings,
        }
    }

    /// All of them as int8, in the order of the fields: each shifted right by so many bits and limited to -128 to 127.
    pub fn to_i8(self, shifts: [u32; Self::COUNT]) -> [i8; Self::COUNT] {
        let Self { mean, deviation, range, roughness, crossings } = self;
        let mut scaled = [i32::from(mean), deviation.into(), range.into(), roughness.into(), crossings.into()];
        scaled.iter_mut().zip(shifts).for_each(|(value, shift)| *value >>= shift.min(31));
        scaled.map(|value| value.clamp(-128, 127) as i8)
    }

    /// All of them as real numbers, in the order of the fields: for a model with float inputs.
    pub fn to_f32(self) -> [f32; Self::COUNT] {
        let Self { mean, deviation, range, roughness, crossings } = self;
        [f32::from(mean), deviation.into(), range.into(), roughness.into(), crossings.into()]
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::rng::Rng;

    fn of(values: &[i16]) -> Axis {
        Axis::of(values.iter().copied())
    }

    #[test]
    fn small_windows_by_hand() {
        assert_eq!(of(&[]), Axis::default());
        assert_eq!(of(&[-7]), Axis { mean: -7, ..Axis::default() });
        // Mean 1.25, variance 4.6875, steps of 6, 3 and 1.
        let expected = Axis { mean: 1, deviation: 2, range: 6, roughness: 3, crossings: 2 };
        assert_eq!(of(&[4, -2, 1, 2]), expected);
        assert_eq!(of(&[4, -2, 2, 1]), Axis { crossings: 3, ..expected });
        assert_eq!(expected.to_f32(), [1.0, 2.0, 6.0, 3.0, 2.0]);
        assert_eq!(expected.to_i8([0, 1, 2, 0, 40]), [1, 1, 1, 3, 0]);
        assert_eq!(of(&[-300, -300]).to_i8([1; 5])[0], -128);
    }

    #[test]
    fn extremes_fit() {
        let values: Vec<i16> = (0..MOST_VALUES + 10).map(|at| if at % 2 == 0 { i16::MIN } else { i16::MAX }).collect();
        let axis = of(&values);
        assert_eq!((axis.range, axis.roughness, axis.crossings), (u16::MAX, u16::MAX, 32_766));
        assert_eq!((axis.mean, axis.deviation), (-2, 32_767));
        assert_eq!(of(&[i16::MIN; 32_767]).mean, i16::MIN);
    }

    #[test]
    fn equal_to_the_textbook_in_f64() {
        let mut rng = Rng::new(9);
        for count in 1..200 {
            let middle = rng.below(40_000) as i32 - 20_000;
            let values: Vec<i16> = (0..count).map(|_| (middle + rng.below(9000) as i32) as i16).collect();
            let n = f64::from(count);
            let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / n;
            let variance = values.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum::<f64>() / n;
            let axis = of(&values);
            assert_eq!(f64::from(axis.mean), mean.floor());
            // The square root of a whole number below is at most one less.
            let deviation = variance.sqrt().floor();
            assert!((deviation - f64::from(axis.deviation)).abs() <= 1.0, "{deviation} {axis:?}");
        }
    }
}
