//! Inputs whose level or strength has changed, brought back to what a model was trained on.
//!
//! Light, exposure, a coloured lamp, another gain of a microphone: such a shift moves and stretches the values of every
//! channel alike. An int8 model does not survive it, because its scales are those of its calibration: of images at an
//! eighth of the brightness it sees an eighth of the steps. Mean and deviation of each channel over a few samples,
//! which need no labels, say what has happened; a table of 256 entries for each channel undoes it before the network,
//! at one look-up for each value. This is what re-estimated batch normalisation does behind every layer ("Revisiting
//! Batch Normalization for Practical Domain Adaptation", Li et al. 2016), done once, in front of the first.
//!
//! Sums are exact, and a table is made of one f32 expression for each entry, so that all targets have the same bytes.

use crate::math;

/// Values of a channel that are counted; further ones are not, so that sums stay exact.
const MOST: u32 = 1 << 24;

/// What is compared of a channel, in steps of the input's int8 values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments {
    /// Mean.
    pub mean: f32,
    /// Standard deviation.
    pub deviation: f32,
}

/// The values of a channel so far: 24 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    count: u32,
    sum: i64,
    squares: u64,
}

impl Seen {
    /// Sees a value.
    #[inline]
    pub fn add(&mut self, value: i8) {
        if self.count < MOST {
            self.count += 1;
            self.sum += i64::from(value);
            self.squares += u64::from(value.unsigned_abs()).pow(2);
        }
    }

    /// Mean and deviation; `None` before the first value.
    pub fn moments(&self) -> Option<Moments> {
        if self.count == 0 {
            return None;
        }
        let count = self.count as f32;
        // At most 2^62, and never less than 0: exact where squares of floats would cancel.
        let spread = u64::from(self.count) * self.squares - self.sum.unsigned_abs().pow(2);
        Some(Moments { mean: self.sum as f32 / count, deviation: math::sqrt(spread as f32) / count })
    }
}

/// Sees samples whose channels lie side by side, as those of images do: one [`Seen`] for each channel.
pub fn observe(channels: &mut [Seen], samples: &[i8]) {
    for values in samples.chunks(channels.len().max(1)) {
        for (seen, value) in channels.iter_mut().zip(values) {
            seen.add(*value);
        }
    }
}

/// What every value of a channel becomes.
///
/// ```
/// use embernet_core::adapt::normalise::{Moments, Seen, Table, apply, observe};
///
/// // A grey image in bad light: 0 to 63 of 256 levels, as a model's int8 input has them.
/// let mut image: Vec<i8> = (0..256).map(|pixel| (pixel / 4 - 128) as i8).collect();
/// let mut seen = [Seen::default()];
/// observe(&mut seen, &image);
/// // The model's images had these moments.
/// let reference = Moments { mean: 0.0, deviation: 64.0 };
/// let tables = [Table::new(&seen[0].moments().unwrap(), &reference)];
/// apply(&tables, &mut image);
/// assert_eq!((image[0], image[255]), (-109, 109));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table([i8; 256]);

impl Table {
    /// The table that changes nothing.
    pub const IDENTITY: Self = Self::identity();

    const fn identity() -> Self {
        let mut table = [0; 256];
        let (mut rest, mut byte): (&mut [i8], u8) = (&mut table, 0);
        while let Some((entry, others)) = rest.split_first_mut() {
            *entry = byte as i8;
            (rest, byte) = (others, byte.wrapping_add(1));
        }
        Self(table)
    }

    /// Gives values with the moments `seen` those of `reference`, as far as int8 has room: to the nearest, halves up.
    /// What has had one value only is moved, not stretched.
    pub fn new(seen: &Moments, reference: &Moments) -> Self {
        let gain = if seen.deviation > 0.0 { reference.deviation / seen.deviation } else { 1.0 };
        let mut table = Self::IDENTITY;
        for entry in &mut table.0 {
            let to = (f32::from(*entry) - seen.mean) * gain + reference.mean;
            // Above 0, where a cast rounds down. What is no number becomes -128.
            *entry = ((to.clamp(-128.0, 127.0) + 128.5) as i32 - 128) as i8;
        }
        table
    }

    /// What a value becomes.
    #[inline]
    pub fn of(&self, value: i8) -> i8 {
        self.0.get(usize::from(value as u8)).copied().unwrap_or(value)
    }
}

/// Changes samples whose channels lie side by side, by a table for each channel.
pub fn apply(tables: &[Table], samples: &mut [i8]) {
    for values in samples.chunks_mut(tables.len().max(1)) {
        for (value, table) in values.iter_mut().zip(tables) {
            *value = table.of(*value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn moments_are_exact() {
        let mut seen = Seen::default();
        assert_eq!(seen.moments(), None);
        [-128, -128, -126, -126].into_iter().for_each(|value| seen.add(value));
        assert_eq!(seen.moments(), Some(Moments { mean: -127.0, deviation: 1.0 }));
    }

    #[test]
    fn channels_are_told_apart() {
        let mut seen = [Seen::default(); 2];
        observe(&mut seen, &[1, -5, 3, -5]);
        assert_eq!(seen[0].moments(), Some(Moments { mean: 2.0, deviation: 1.0 }));
        assert_eq!(seen[1].moments(), Some(Moments { mean: -5.0, deviation: 0.0 }));
    }

    #[test]
    fn what_exceeds_the_count_changes_nothing() {
        let mut seen = Seen { count: MOST, sum: -128 * i64::from(MOST), squares: u64::from(MOST) << 14 };
        let before = seen;
        seen.add(5);
        assert_eq!(seen, before);
        assert_eq!(seen.moments(), Some(Moments { mean: -128.0, deviation: 0.0 }));
    }

    #[test]
    fn equal_moments_change_nothing() {
        let moments = Moments { mean: -20.0, deviation: 30.0 };
        assert_eq!(Table::new(&moments, &moments), Table::IDENTITY);
        assert!((i8::MIN..=i8::MAX).all(|value| Table::IDENTITY.of(value) == value));
    }

    #[test]
    fn a_shift_of_each_channel_is_undone() {
        let original: Vec<i8> = (0..600).map(|n| ((n * 37) % 200 - 100) as i8).collect();
        let moments = |samples: &[i8]| {
            let mut seen = [Seen::default(); 3];
            observe(&mut seen, samples);
            seen.map(|seen| seen.moments().unwrap())
        };
        let shift = |(at, value): (usize, &i8)| [*value / 4 - 90, *value, *value / 2 + 60][at % 3];
        let mut samples: Vec<i8> = original.iter().enumerate().map(shift).collect();
        let (seen, reference) = (moments(&samples), moments(&original));
        let tables: Vec<Table> = seen.iter().zip(&reference).map(|(seen, to)| Table::new(seen, to)).collect();
        apply(&tables, &mut samples);
        assert!(samples.iter().zip(&original).all(|(a, b)| a.abs_diff(*b) <= 4), "{samples:?}");
    }

    #[test]
    fn a_constant_channel_is_moved_and_limits_hold() {
        let (flat, reference) = (Moments { mean: 10.0, deviation: 0.0 }, Moments { mean: 120.0, deviation: 50.0 });
        let table = Table::new(&flat, &reference);
        assert_eq!((table.of(10), table.of(11), table.of(127), table.of(-128)), (120, 121, 127, -18));
        let nothing = Moments { mean: f32::NAN, deviation: f32::NAN };
        assert_eq!(Table::new(&nothing, &reference).of(3), -128);
    }
}
