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
//!
//! As a step of a model this is [`crate::kernels::normalise`].

use crate::kernels::lookup::ENTRIES;
use crate::kernels::util::{from, from_mut};
use crate::math;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Values of a channel that are counted; further ones are not, so that sums stay exact.
const MOST: u32 = 1 << 24;

/// What is compared of a channel, in steps of the input's int8 values.
#[derive(Clone, Copy, Debug, Default, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Moments {
    /// Mean.
    pub mean: f32,
    /// Standard deviation.
    pub deviation: f32,
}

/// The values of a channel so far: 16 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Seen {
    count: u32,
    sum: i32,
    /// Low word, high word: words need no more alignment than an arena has.
    squares: [u32; 2],
}

impl Seen {
    /// Sees a value.
    #[inline]
    pub fn add(&mut self, value: i8) {
        if self.count < MOST {
            self.count += 1;
            // At most 2^24 times 2^7, downwards.
            self.sum = self.sum.wrapping_add(i32::from(value));
            let [low, high] = &mut self.squares;
            let (sum, carry) = low.overflowing_add(u32::from(value.unsigned_abs()).pow(2));
            (*low, *high) = (sum, high.wrapping_add(u32::from(carry)));
        }
    }

    /// Mean and deviation; `None` before the first value.
    pub fn moments(&self) -> Option<Moments> {
        if self.count == 0 {
            return None;
        }
        let count = self.count as f32;
        let [low, high] = self.squares.map(u64::from);
        // At most 2^62, and never less than 0: exact where squares of floats would cancel. A checkpoint may hold any bytes.
        let squares = u64::from(self.count).wrapping_mul(high << 32 | low);
        let spread = squares.saturating_sub(u64::from(self.sum.unsigned_abs()).pow(2));
        Some(Moments { mean: self.sum as f32 / count, deviation: math::sqrt(spread as f32) / count })
    }
}

/// Sees samples whose channels lie side by side, as those of images do: one [`Seen`] for each channel.
pub fn observe(channels: &mut [Seen], samples: &[i8]) {
    let stride = channels.len().max(1);
    for (number, channel) in channels.iter_mut().enumerate() {
        // In registers meanwhile.
        let mut seen = *channel;
        for value in from(samples, number).iter().step_by(stride) {
            seen.add(*value);
        }
        *channel = seen;
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
#[derive(Clone, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct Table([i8; ENTRIES]);

impl Table {
    /// The table that changes nothing.
    pub const IDENTITY: Self = Self::identity();

    const fn identity() -> Self {
        let mut table = [0; ENTRIES];
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
        let mut table = Self::IDENTITY;
        table.set(seen, reference);
        table
    }

    /// Becomes [`Table::new`].
    pub fn set(&mut self, seen: &Moments, reference: &Moments) {
        let gain = if seen.deviation > 0.0 { reference.deviation / seen.deviation } else { 1.0 };
        for (byte, entry) in (0..=u8::MAX).zip(&mut self.0) {
            let to = (f32::from(byte as i8) - seen.mean) * gain + reference.mean;
            // Above 0, where a cast rounds down. What is no number becomes -128.
            *entry = ((to.clamp(-128.0, 127.0) + 128.5) as i32 - 128) as i8;
        }
    }

    /// What a value becomes.
    #[inline]
    pub fn of(&self, value: i8) -> i8 {
        self.0.get(usize::from(value as u8)).copied().unwrap_or(value)
    }
}

/// Makes each channel's table of what was seen of it, which is forgotten; of nothing the table that changes nothing.
pub fn normalise(tables: &mut [Table], channels: &mut [Seen], reference: &[Moments]) {
    for ((table, seen), reference) in tables.iter_mut().zip(channels).zip(reference) {
        match seen.moments() {
            Some(moments) => table.set(&moments, reference),
            // Without a deviation nothing is stretched.
            None => table.set(&Moments::default(), &Moments::default()),
        }
        *seen = Seen::default();
    }
}

/// Changes samples whose channels lie side by side, by a table for each channel.
pub fn apply(tables: &[Table], samples: &mut [i8]) {
    for (number, table) in tables.iter().enumerate() {
        for value in from_mut(samples, number).iter_mut().step_by(tables.len().max(1)) {
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
        let mut seen = Seen { count: MOST, sum: -128 * MOST as i32, squares: [0, 1 << 6] };
        let before = seen;
        seen.add(5);
        assert_eq!(seen, before);
        assert_eq!(seen.moments(), Some(Moments { mean: -128.0, deviation: 0.0 }));
    }

    #[test]
    fn sums_of_many_values_are_exact() {
        let mut seen = Seen::default();
        // Their squares pass 2^32.
        for value in (0..600_000).map(|n| [-128, 127, -127][n % 3]) {
            seen.add(value);
        }
        let mean = -128.0 / 3.0;
        let Moments { mean: found, deviation } = seen.moments().unwrap();
        let square = (128.0f64.powi(2) + 2.0 * 127.0f64.powi(2)) / 3.0;
        assert!((f64::from(found) - mean).abs() < 1e-4);
        assert!((f64::from(deviation) - (square - mean * mean).sqrt()).abs() < 1e-3);
    }

    #[test]
    fn any_bytes_have_moments() {
        let seen = Seen { count: u32::MAX, sum: i32::MIN, squares: [u32::MAX; 2] };
        assert!(seen.moments().unwrap().deviation >= 0.0);
    }

    #[test]
    fn tables_are_made_of_what_was_seen_since_the_last() {
        let reference = [Moments { mean: 0.0, deviation: 50.0 }; 2];
        let (mut tables, mut seen) = ([Table::IDENTITY, Table::IDENTITY], [Seen::default(); 2]);
        observe(&mut seen, &[10, 3, 30, 3]);
        normalise(&mut tables, &mut seen, &reference);
        assert_eq!((tables[0].of(10), tables[0].of(30), tables[1].of(3)), (-50, 50, 0));
        assert_eq!(seen, [Seen::default(); 2]);
        normalise(&mut tables, &mut seen, &reference);
        assert_eq!(tables, [Table::IDENTITY, Table::IDENTITY]);
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
