//! From raw values to network input: scaling and standardising.

use serde::{Deserialize, Serialize};

use super::dataset::{Dataset, Storage};

/// Over which values a mean and a deviation are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Axis {
    /// Each value of a sample by itself: columns of a table.
    Feature,
    /// Each channel (last axis) over all pixels.
    Channel,
    /// All values together.
    All,
}

/// What missing values become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// The mean of the feature's numbers.
    Mean,
    /// Their median.
    Median,
}

/// A feature without a single number, so that nothing can fill its holes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("feature {feature} holds no number in the training part; leave it out")]
pub struct NoNumber {
    /// Which, from 1.
    pub feature: usize,
}

/// What is done to every raw value before the network sees it: missing ones are filled, then
/// `(x * scale - mean) / deviation`.
///
/// It is kept with the model, so that whoever feeds the model, on the PC or beside a device, does
/// the same, with the same bits. The default changes nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocessing {
    /// What a missing value (NaN) becomes; repeats along the sample, as `mean` does. Empty: nothing
    /// is filled.
    #[serde(default, with = "crate::exact::list")]
    pub fill: Vec<f32>,
    /// The factor on every raw value.
    #[serde(with = "crate::exact::one")]
    pub scale: f32,
    /// Subtracted after scaling; repeats along the sample (one per feature, per channel, or one).
    /// Empty: nothing is standardised.
    #[serde(with = "crate::exact::list")]
    pub mean: Vec<f32>,
    /// Divides after that, as many as `mean`; never 0.
    #[serde(with = "crate::exact::list")]
    pub deviation: Vec<f32>,
}

impl Default for Preprocessing {
    fn default() -> Self {
        Self { fill: Vec::new(), scale: 1.0, mean: Vec::new(), deviation: Vec::new() }
    }
}

impl Preprocessing {
    /// Whether [`Preprocessing::apply`] leaves every value as it is.
    pub fn is_identity(&self) -> bool {
        self.scale == 1.0 && self.mean.is_empty() && self.fill.is_empty()
    }

    /// Whether it can be applied to samples of `values` values: the means repeat a whole number of
    /// times, each has a deviation, and all numbers are finite.
    pub fn fits(&self, values: usize) -> bool {
        let finite = |v: &[f32]| v.iter().all(|x| x.is_finite());
        self.mean.len() == self.deviation.len()
            && [&self.mean, &self.fill].iter().all(|v| v.is_empty() || values.is_multiple_of(v.len()))
            && self.scale.is_finite()
            && finite(&self.mean)
            && finite(&self.fill)
            && finite(&self.deviation)
            && self.deviation.iter().all(|&x| x != 0.0)
    }

    /// Prepares a sample of bytes; the bits are those of [`Preprocessing::apply`].
    pub fn prepare_bytes(&self, from: &[u8], to: &mut [f32]) {
        // A factor of 1 changes no bit.
        to.iter_mut().zip(from).for_each(|(to, &byte)| *to = f32::from(byte) * self.scale);
        self.standardise_values(to);
    }

    /// Prepares one sample, or several one after the other, in place.
    pub fn apply(&self, x: &mut [f32]) {
        if !self.fill.is_empty() {
            for x in x.chunks_mut(self.fill.len()) {
                let holes = x.iter_mut().zip(&self.fill).filter(|(x, _)| x.is_nan());
                holes.for_each(|(x, fill)| *x = *fill);
            }
        }
        if self.scale != 1.0 {
            x.iter_mut().for_each(|x| *x *= self.scale);
        }
        self.standardise_values(x);
    }

    fn standardise_values(&self, x: &mut [f32]) {
        if self.mean.is_empty() {
            return;
        }
        for x in x.chunks_mut(self.mean.len()) {
            for ((x, mean), deviation) in x.iter_mut().zip(&self.mean).zip(&self.deviation) {
                *x = (*x - mean) / deviation;
            }
        }
    }

    /// Finds what fills missing values: one number for each value of a sample, from the numbers that
    /// `train` has there.
    pub fn filling(train: &Dataset, fill: Fill) -> Result<Vec<f32>, NoNumber> {
        let width = train.sample_len();
        let column = |feature: usize| -> Vec<f32> {
            match train.samples() {
                Storage::U8(v) => v.iter().skip(feature).step_by(width).map(|&x| f32::from(x)).collect(),
                Storage::F32(v) => v.iter().skip(feature).step_by(width).copied().filter(|x| !x.is_nan()).collect(),
            }
        };
        let fitted = |feature: usize| {
            let mut present = column(feature);
            match fill {
                _ if present.is_empty() => Err(NoNumber { feature: feature + 1 }),
                Fill::Mean => Ok(mean(&present)),
                Fill::Median => Ok(median(&mut present)),
            }
        };
        (0..width).map(fitted).collect()
    }

    /// The same rule, and mean and standard deviation (of the population) fit on `train` as it leaves
    /// them.
    ///
    /// Fit on the training part only, then set on all parts: the test part must not leak in.
    /// Where a value never changes its deviation counts as 1, so that it becomes 0.
    #[must_use]
    pub fn standardised(self, train: &Dataset, axis: Axis) -> Self {
        let width = match axis {
            Axis::Feature => train.sample_len(),
            Axis::Channel => train.shape().last().copied().unwrap_or(1),
            Axis::All => 1,
        };
        let scaled = Self { mean: Vec::new(), deviation: Vec::new(), ..self };

        // Two passes in f64: exact enough for any data set that fits in memory.
        let mut count = 0.0;
        let mut mean = vec![0.0f64; width];
        each_sample(train, &scaled, |x| {
            for x in x.chunks(width) {
                count += 1.0;
                mean.iter_mut().zip(x).for_each(|(sum, &x)| *sum += f64::from(x));
            }
        });
        mean.iter_mut().for_each(|sum| *sum /= count);
        let mut variance = vec![0.0f64; width];
        each_sample(train, &scaled, |x| {
            for x in x.chunks(width) {
                for ((sum, &x), mean) in variance.iter_mut().zip(x).zip(&mean) {
                    *sum += (f64::from(x) - mean).powi(2);
                }
            }
        });
        let deviation = variance.iter().map(|sum| match (sum / count).sqrt() as f32 {
            deviation if deviation > 0.0 => deviation,
            _ => 1.0,
        });
        Self { deviation: deviation.collect(), mean: mean.iter().map(|&mean| mean as f32).collect(), ..scaled }
    }
}

fn mean(x: &[f32]) -> f32 {
    (x.iter().map(|&x| f64::from(x)).sum::<f64>() / x.len() as f64) as f32
}

fn median(x: &mut [f32]) -> f32 {
    x.sort_by(f32::total_cmp);
    let middle = x.len() / 2;
    if x.len() % 2 == 1 { x[middle] } else { mean(&x[middle - 1..=middle]) }
}

fn each_sample(data: &Dataset, rule: &Preprocessing, mut each: impl FnMut(&[f32])) {
    let mut x = vec![0.0; data.sample_len()];
    for row in 0..data.len() {
        let place = row * x.len()..(row + 1) * x.len();
        match data.samples() {
            Storage::U8(v) => rule.prepare_bytes(&v[place], &mut x),
            Storage::F32(v) => {
                x.copy_from_slice(&v[place]);
                rule.apply(&mut x);
            }
        }
        each(&x);
    }
}

#[cfg(test)]
mod tests {
    use super::super::dataset::Labels;
    use super::*;

    fn data(shape: Vec<usize>, x: Vec<f32>) -> Dataset {
        let rows = x.len() / shape.iter().product::<usize>();
        let labels = Labels::Values { values: vec![0.0; rows], width: 1 };
        Dataset::new(shape, Storage::F32(x), labels).unwrap()
    }

    #[test]
    fn features_get_mean_zero_and_deviation_one() {
        let mut data = data(vec![2], vec![1.0, 7.0, 3.0, 7.0, 5.0, 7.0]);
        data.set_preprocessing(Preprocessing::default().standardised(&data, Axis::Feature));
        let deviation = (8.0f32 / 3.0).sqrt();
        assert_eq!(data.preprocessing().mean, [3.0, 7.0]);
        assert_eq!(data.preprocessing().deviation, [deviation, 1.0]);
        assert_eq!(data.x(), [-2.0 / deviation, 0.0, 0.0, 0.0, 2.0 / deviation, 0.0]);
    }

    #[test]
    fn holes_are_filled_before_anything_else() {
        let holes = data(vec![2], vec![1.0, f32::NAN, f32::NAN, 6.0, 4.0, 8.0, 1.0, 7.0]);
        assert_eq!(Preprocessing::filling(&holes, Fill::Mean), Ok(vec![2.0, 7.0]));
        assert_eq!(Preprocessing::filling(&holes, Fill::Median), Ok(vec![1.0, 7.0]));
        let rule = Preprocessing { fill: vec![2.0, 7.0], scale: 0.5, ..Preprocessing::default() };
        let rule = rule.standardised(&holes, Axis::All);
        assert_eq!(rule.mean, [(1.0 + 2.0 + 4.0 + 1.0 + 7.0 + 6.0 + 8.0 + 7.0) / 16.0]);
        let mut x = [f32::NAN, f32::NAN];
        rule.apply(&mut x);
        assert_eq!(x, [(1.0 - rule.mean[0]) / rule.deviation[0], (3.5 - rule.mean[0]) / rule.deviation[0]]);
        assert!(!Preprocessing { fill: vec![0.0; 3], ..Preprocessing::default() }.fits(4));
        let none = data(vec![1], vec![f32::NAN; 2]);
        let error = Preprocessing::filling(&none, Fill::Mean).unwrap_err().to_string();
        assert_eq!(error, "feature 1 holds no number in the training part; leave it out");
    }

    #[test]
    fn channels_and_all_share_over_pixels() {
        let data = data(vec![2, 2], vec![0.0, 10.0, 2.0, 30.0]);
        let channel = Preprocessing::default().standardised(&data, Axis::Channel);
        assert_eq!((channel.mean, channel.deviation), (vec![1.0, 20.0], vec![1.0, 10.0]));
        let all = Preprocessing { scale: 0.5, ..Preprocessing::default() }.standardised(&data, Axis::All);
        assert_eq!(all.mean, [5.25]);
    }

    proptest::proptest! {
        #[test]
        fn json_keeps_every_bit(scale: f32, mean in proptest::collection::vec(proptest::num::f32::NORMAL, 1..9)) {
            let rule = Preprocessing { fill: mean.clone(), scale, deviation: mean.clone(), mean };
            let text = serde_json::to_string(&rule).unwrap();
            proptest::prop_assert_eq!(serde_json::from_str::<Preprocessing>(&text).unwrap(), rule);
        }
    }

    #[test]
    fn scaling_comes_first() {
        let rule = Preprocessing { scale: 0.5, mean: vec![1.0], deviation: vec![2.0], ..Preprocessing::default() };
        let mut x = [4.0, 8.0];
        rule.apply(&mut x);
        assert_eq!(x, [0.5, 1.5]);
        assert!(rule.fits(7) && !rule.is_identity());
        assert!(!Preprocessing { deviation: vec![0.0], ..rule.clone() }.fits(7));
        assert!(!Preprocessing { mean: vec![0.0; 2], deviation: vec![1.0; 2], ..rule }.fits(7));
    }
}
