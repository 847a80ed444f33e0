//! From raw values to network input: scaling and standardising.

use serde::{Deserialize, Serialize};

use super::dataset::Dataset;

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

/// What is done to every raw value before the network sees it: `(x * scale - mean) / deviation`.
///
/// It is kept with the model, so that whoever feeds the model, on the PC or beside a device, does
/// the same, with the same bits. The default changes nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocessing {
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
        Self { scale: 1.0, mean: Vec::new(), deviation: Vec::new() }
    }
}

impl Preprocessing {
    /// Whether [`Preprocessing::apply`] leaves every value as it is.
    pub fn is_identity(&self) -> bool {
        self.scale == 1.0 && self.mean.is_empty()
    }

    /// Whether it can be applied to samples of `values` values: the means repeat a whole number of
    /// times, each has a deviation, and all numbers are finite.
    pub fn fits(&self, values: usize) -> bool {
        let finite = |v: &[f32]| v.iter().all(|x| x.is_finite());
        self.mean.len() == self.deviation.len()
            && (self.mean.is_empty() || values.is_multiple_of(self.mean.len()))
            && self.scale.is_finite()
            && finite(&self.mean)
            && finite(&self.deviation)
            && self.deviation.iter().all(|&x| x != 0.0)
    }

    /// Prepares one sample, or several one after the other, in place.
    pub fn apply(&self, x: &mut [f32]) {
        if self.scale != 1.0 {
            x.iter_mut().for_each(|x| *x *= self.scale);
        }
        if self.mean.is_empty() {
            return;
        }
        for x in x.chunks_mut(self.mean.len()) {
            for ((x, mean), deviation) in x.iter_mut().zip(&self.mean).zip(&self.deviation) {
                *x = (*x - mean) / deviation;
            }
        }
    }

    /// Fits mean and standard deviation (of the population) on `train`, after scaling by `scale`.
    ///
    /// Fit on the training part only, then set on all parts: the test part must not leak in.
    /// Where a value never changes its deviation counts as 1, so that it becomes 0.
    pub fn standardise(train: &Dataset, axis: Axis, scale: f32) -> Self {
        let width = match axis {
            Axis::Feature => train.sample_len(),
            Axis::Channel => train.shape().last().copied().unwrap_or(1),
            Axis::All => 1,
        };
        let scaled = Self { scale, ..Self::default() };

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
        Self { scale, deviation: deviation.collect(), mean: mean.iter().map(|&mean| mean as f32).collect() }
    }
}

fn each_sample(data: &Dataset, rule: &Preprocessing, mut each: impl FnMut(&[f32])) {
    let mut x = Vec::new();
    for row in 0..data.len() {
        x.clear();
        data.gather_raw(&[row], &mut x);
        rule.apply(&mut x);
        each(&x);
    }
}

#[cfg(test)]
mod tests {
    use super::super::dataset::{Labels, Storage};
    use super::*;

    fn data(shape: Vec<usize>, x: Vec<f32>) -> Dataset {
        let rows = x.len() / shape.iter().product::<usize>();
        let labels = Labels::Values { values: vec![0.0; rows], width: 1 };
        Dataset::new(shape, Storage::F32(x), labels).unwrap()
    }

    #[test]
    fn features_get_mean_zero_and_deviation_one() {
        let mut data = data(vec![2], vec![1.0, 7.0, 3.0, 7.0, 5.0, 7.0]);
        data.set_preprocessing(Preprocessing::standardise(&data, Axis::Feature, 1.0));
        let deviation = (8.0f32 / 3.0).sqrt();
        assert_eq!(data.preprocessing().mean, [3.0, 7.0]);
        assert_eq!(data.preprocessing().deviation, [deviation, 1.0]);
        assert_eq!(data.x(), [-2.0 / deviation, 0.0, 0.0, 0.0, 2.0 / deviation, 0.0]);
    }

    #[test]
    fn channels_and_all_share_over_pixels() {
        let data = data(vec![2, 2], vec![0.0, 10.0, 2.0, 30.0]);
        let channel = Preprocessing::standardise(&data, Axis::Channel, 1.0);
        assert_eq!((channel.mean, channel.deviation), (vec![1.0, 20.0], vec![1.0, 10.0]));
        let all = Preprocessing::standardise(&data, Axis::All, 0.5);
        assert_eq!(all.mean, [5.25]);
    }

    proptest::proptest! {
        #[test]
        fn json_keeps_every_bit(scale: f32, mean in proptest::collection::vec(proptest::num::f32::NORMAL, 1..9)) {
            let rule = Preprocessing { scale, deviation: mean.clone(), mean };
            let text = serde_json::to_string(&rule).unwrap();
            proptest::prop_assert_eq!(serde_json::from_str::<Preprocessing>(&text).unwrap(), rule);
        }
    }

    #[test]
    fn scaling_comes_first() {
        let rule = Preprocessing { scale: 0.5, mean: vec![1.0], deviation: vec![2.0] };
        let mut x = [4.0, 8.0];
        rule.apply(&mut x);
        assert_eq!(x, [0.5, 1.5]);
        assert!(rule.fits(7) && !rule.is_identity());
        assert!(!Preprocessing { deviation: vec![0.0], ..rule.clone() }.fits(7));
        assert!(!Preprocessing { mean: vec![0.0; 2], deviation: vec![1.0; 2], ..rule }.fits(7));
    }
}
