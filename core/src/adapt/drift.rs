//! Has a number that comes again and again left what it was? A two-sided cumulative sum over standardised values.
//!
//! The first values are the reference: their mean and standard deviation (Welford, "Note on a Method for Calculating
//! Corrected Sums of Squares and Products", 1962). From then on a value `x` counts as `z = (x - mean) / deviation`, and
//!
//! ```text
//! up = max(0, up + z - 1/2)        down = max(0, down - z - 1/2)
//! ```
//!
//! (Page, "Continuous Inspection Schemes", 1954; also called the Page-Hinkley test). The greater of both is the score,
//! in standard deviations; above [`THRESHOLD`] it is drift. A shift by one deviation takes about 20 values to get there,
//! a shift by two about 7. Without a shift, independent normal values stay below for 140,000 values on average on each
//! side (both figures by Siegmund's approximation, "Sequential Analysis", 1985). They stay there for less when the
//! reference is short (its mean is off by `1 / sqrt(reference)` deviations) or when neighbouring values are alike:
//! measure a reference that shows all that is normal, some hundred values.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::math;

/// A score above it is drift.
pub const THRESHOLD: f32 = 10.0;

/// What a standardised value may differ without adding to a score: half of the smallest shift looked for, which is one
/// deviation.
const ALLOWANCE: f32 = 0.5;

/// One value counts as at most so many deviations, so that a single outlier is not drift.
const MOST: f32 = 4.0;

/// Weight of a new value in the moving average.
const RECENT: f32 = 1.0 / 16.0;

/// The reference of one number, and how far it has left it.
///
/// All zeros is one without a reference, which nothing leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Drift {
    /// How many of the first values are the reference.
    pub reference: u32,
    /// Values seen, at most `u32::MAX`.
    pub seen: u32,
    /// Mean of the reference.
    pub mean: f32,
    /// Sum of its squared distances from its mean.
    pub squares: f32,
    /// Its standard deviation; 0 as long as it is being measured.
    pub deviation: f32,
    /// Moving average of all values; a new one weighs a sixteenth.
    pub recent: f32,
    /// Cumulative sum of shifts upwards, in deviations.
    pub up: f32,
    /// And downwards.
    pub down: f32,
}

impl Drift {
    /// Takes the first `reference` values as normal. At least 2; more are better.
    pub fn new(reference: u32) -> Self {
        Self { reference: reference.max(2), ..Self::default() }
    }

    /// The next value. A deviation of the reference below `least` counts as `least`: what does not change at all would
    /// otherwise drift by its last bit. A value that is no number counts as an outlier upwards.
    pub fn observe(&mut self, value: f32, least: f32) {
        if self.seen < self.reference {
            if value.is_finite() {
                self.learn(value, least);
            }
            return;
        }
        self.seen = self.seen.saturating_add(1);
        if self.deviation == 0.0 {
            return;
        }
        let z = (value - self.mean) / self.deviation;
        let z = if z.is_nan() { MOST } else { math::clamp(z, -MOST, MOST) };
        self.up = math::max(0.0, self.up + z - ALLOWANCE);
        self.down = math::max(0.0, self.down - z - ALLOWANCE);
        if value.is_finite() {
            self.recent += (value - self.recent) * RECENT;
        }
    }

    /// One value of the reference.
    fn learn(&mut self, value: f32, least: f32) {
        self.seen += 1;
        let distance = value - self.mean;
        self.mean += distance / self.seen as f32;
        self.squares += distance * (value - self.mean);
        self.recent = if self.seen == 1 { value } else { self.recent + (value - self.recent) * RECENT };
        if self.seen == self.reference {
            let deviation = math::sqrt(self.squares / (self.reference - 1) as f32);
            self.deviation = math::max(math::max(deviation, least), f32::MIN_POSITIVE);
        }
    }

    /// Whether the reference is complete.
    pub fn is_ready(&self) -> bool {
        self.deviation != 0.0
    }

    /// How far the values have left the reference for how long, in its standard deviations; 0 before it is complete.
    pub fn score(&self) -> f32 {
        math::max(self.up, self.down)
    }

    /// Whether the score is above [`THRESHOLD`]. It falls again when the values return.
    pub fn has_drifted(&self) -> bool {
        self.score() > THRESHOLD
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    /// About normal: a sum of 12 uniform numbers has variance 1.
    fn normal(rng: &mut Rng) -> f32 {
        (0..12).map(|_| rng.unit_f32()).sum::<f32>() - 6.0
    }

    fn after_reference(rng: &mut Rng) -> Drift {
        let mut drift = Drift::new(500);
        (0..500).for_each(|_| drift.observe(3.0 + 0.5 * normal(rng), 0.0));
        assert!(drift.is_ready());
        assert!((drift.mean - 3.0).abs() < 0.1 && (drift.deviation - 0.5).abs() < 0.05, "{drift:?}");
        drift
    }

    #[test]
    fn values_like_the_reference_are_no_drift() {
        let mut rng = Rng::new(1);
        let mut drift = after_reference(&mut rng);
        let mut highest = 0.0f32;
        for _ in 0..5000 {
            drift.observe(3.0 + 0.5 * normal(&mut rng), 0.0);
            highest = highest.max(drift.score());
        }
        assert!(highest < THRESHOLD, "{highest}");
    }

    #[test]
    fn a_shift_by_one_deviation_shows_within_some_tens_of_values() {
        for side in [-0.5, 0.5] {
            let mut rng = Rng::new(2);
            let mut drift = after_reference(&mut rng);
            let needed = (1..).find(|_| {
                drift.observe(3.0 + side + 0.5 * normal(&mut rng), 0.0);
                drift.has_drifted()
            });
            assert!(needed.unwrap() < 60, "{needed:?}");
            // And is gone when they have returned.
            (0..500).for_each(|_| drift.observe(3.0 + 0.5 * normal(&mut rng), 0.0));
            assert!(!drift.has_drifted(), "{drift:?}");
        }
    }

    #[test]
    fn one_outlier_is_no_drift_and_no_number_spoils_it() {
        let mut drift = after_reference(&mut Rng::new(3));
        for value in [1e30, f32::NAN, f32::NEG_INFINITY] {
            drift.observe(value, 0.0);
            assert!(drift.score() < THRESHOLD && drift.recent.is_finite(), "{drift:?}");
            (0..20).for_each(|_| drift.observe(3.0, 0.0));
        }
        let mut early = Drift::new(2);
        [f32::NAN, 1.0, f32::INFINITY, 2.0].into_iter().for_each(|value| early.observe(value, 0.0));
        assert_eq!((early.mean, early.is_ready()), (1.5, true));
    }

    #[test]
    fn what_never_changed_may_change_by_the_least() {
        let mut drift = Drift::new(8);
        (0..8).for_each(|_| drift.observe(1.0, 0.01));
        (0..100).for_each(|_| drift.observe(1.001, 0.01));
        assert_eq!(drift.score(), 0.0);
        (0..20).for_each(|_| drift.observe(1.05, 0.01));
        assert!(drift.has_drifted());
        let mut nothing = Drift::default();
        (0..100).for_each(|value| nothing.observe(value as f32, 0.0));
        assert_eq!((nothing.score(), nothing.is_ready()), (0.0, false));
    }
}
