//! Examples kept to be learned again: without them a network that learns something new forgets what it knew.
//!
//! The memory holds a fair sample of all examples so far, by reservoir sampling (algorithm R of Vitter, "Random Sampling
//! with a Reservoir", 1985). With a count for each class it is balanced: classes of which there were few keep what they
//! have, and an example of a new class takes the place of one of the fullest (Chrysakis and Moens, "Online Continual
//! Learning from Imbalanced Data", 2020).
//!
//! Examples are int8: a quantised model's inputs or activations as they are, floats by [`crate::quant::quantize_i8`].

use crate::rng::Rng;
use zerocopy::IntoBytes;

/// Mark of a group that has been the fullest: what comes is a fair sample of it from then on.
const FULL: u32 = 1 << 31;

/// Bytes of [`Replay::standing`].
pub const STANDING_BYTES: usize = 20;

/// A fair sample of examples in memory that the caller brings.
///
/// ```
/// use embernet_core::adapt::replay::Replay;
/// use embernet_core::rng::Rng;
///
/// let (mut samples, mut labels, mut seen) = ([0; 4 * 20], [0; 20], [0; 3]); // 20 examples of 4 values; 3 classes
/// let mut replay = Replay::new(&mut samples, &mut labels, &mut seen, Rng::new(1));
/// for example in 0..1000 {
///     let class = if example % 100 == 0 { 2 } else { 0 };
///     replay.keep([1, 2, 3, 4], class);
/// }
/// let (sample, _) = replay.draw().unwrap();
/// assert_eq!(sample, [1, 2, 3, 4]);
/// assert_eq!((0..20).filter(|at| replay.get(*at).unwrap().1 == 2).count(), 10);
/// ```
#[derive(Debug)]
pub struct Replay<'m> {
    samples: &'m mut [i8],
    labels: &'m mut [u16],
    /// Examples seen of each group.
    seen: &'m mut [u32],
    held: usize,
    rng: Rng,
}

impl<'m> Replay<'m> {
    /// An empty memory of `labels.len()` examples, which share `samples` evenly.
    ///
    /// `seen` makes it fair: with one word, all examples have the same chance to be in it; with a word for each class,
    /// it is balanced. Classes beyond the last word share it.
    pub fn new(samples: &'m mut [i8], labels: &'m mut [u16], seen: &'m mut [u32], rng: Rng) -> Self {
        seen.fill(0);
        Self { samples, labels, seen, held: 0, rng }
    }

    /// Values of one example.
    pub fn sample_len(&self) -> usize {
        self.samples.len().checked_div(self.labels.len()).unwrap_or(0)
    }

    /// Examples that it holds.
    pub fn len(&self) -> usize {
        self.held
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// An example that it holds.
    pub fn get(&self, at: usize) -> Option<(&[i8], u16)> {
        let label = *self.labels.get(..self.held)?.get(at)?;
        let len = self.sample_len();
        Some((self.samples.get(at * len..)?.get(..len)?, label))
    }

    /// One of them, each with the same chance.
    pub fn draw(&mut self) -> Option<(&[i8], u16)> {
        let at = self.rng.below(self.held as u32) as usize;
        self.get(at)
    }

    /// Sees an example and keeps it, perhaps in place of another one, or lets it go. Says where it keeps it.
    ///
    /// Values beyond [`Replay::sample_len`] are left out; missing ones leave what was there.
    pub fn keep(&mut self, sample: impl IntoIterator<Item = i8>, label: u16) -> Option<usize> {
        let place = self.place(label)?;
        let len = self.sample_len();
        let to = self.samples.get_mut(place * len..)?.get_mut(..len)?;
        to.iter_mut().zip(sample).for_each(|(to, value)| *to = value);
        *self.labels.get_mut(place)? = label;
        Some(place)
    }

    /// How many examples it holds and which random numbers come next. With [`Replay::parts`] this is all of it, to be
    /// kept over a loss of power.
    pub fn standing(&self) -> [u8; STANDING_BYTES] {
        let mut bytes = [0; STANDING_BYTES];
        let [low, high] = self.rng.state();
        let words = [self.held as u32, low as u32, (low >> 32) as u32, high as u32, (high >> 32) as u32];
        for (place, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *place = word.to_le_bytes();
        }
        bytes
    }

    /// Its memory: samples, labels, counts of what was seen.
    pub fn parts(&self) -> [&[u8]; 3] {
        [self.samples.as_bytes(), self.labels.as_bytes(), self.seen.as_bytes()]
    }

    /// [`Replay::parts`], to be filled with what they were before [`Replay::go_on`].
    pub fn parts_mut(&mut self) -> [&mut [u8]; 3] {
        [self.samples.as_mut_bytes(), self.labels.as_mut_bytes(), self.seen.as_mut_bytes()]
    }

    /// Goes on from there, to the same bits, once its memory is what it was.
    pub fn go_on(&mut self, standing: [u8; STANDING_BYTES]) {
        let mut words = standing.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word));
        let mut next = || words.next().unwrap_or(0);
        self.held = (next() as usize).min(self.labels.len());
        let mut long = || u64::from(next()) | u64::from(next()) << 32;
        self.rng = Rng::from_state([long(), long()]);
    }

    fn group(&self, label: u16) -> usize {
        usize::from(label).min(self.seen.len().saturating_sub(1))
    }

    fn held_of(&self, group: usize) -> u32 {
        let labels = self.labels.iter().take(self.held);
        labels.filter(|label| self.group(**label) == group).count() as u32
    }

    /// Where the next example of this class goes, if anywhere.
    fn place(&mut self, label: u16) -> Option<usize> {
        let group = self.group(label);
        let seen = self.seen.get_mut(group)?;
        // The count stands still when it is as high as it gets: a chance of one in 2^31 then remains what it is.
        *seen = (*seen & !FULL).saturating_add(1).min(FULL - 1) | (*seen & FULL);
        if self.held < self.labels.len() {
            self.held += 1;
            return Some(self.held - 1);
        }
        let held = self.held_of(group);
        let fullest = (0..self.seen.len()).rev().max_by_key(|group| self.held_of(*group))?;
        let fullest = if held == self.held_of(fullest) { group } else { fullest };
        *self.seen.get_mut(fullest)? |= FULL;
        let seen = *self.seen.get(group)?;
        let from = if seen & FULL != 0 {
            // A fair sample of its group: as many places as it holds, among all it has seen.
            if self.rng.below(seen & !FULL) >= held {
                return None;
            }
            group
        } else {
            fullest
        };
        let nth = self.rng.below(self.held_of(from)) as usize;
        let labels = self.labels.iter().take(self.held).enumerate();
        labels.filter(|(_, label)| self.group(**label) == from).map(|(at, _)| at).nth(nth)
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn every_example_has_the_same_chance() {
        // 40 examples for 10 places, many times: each is kept in a quarter of the runs.
        let mut kept = [0u32; 40];
        for seed in 0..4000 {
            let (mut samples, mut labels, mut seen) = ([0; 10], [0; 10], [0]);
            let mut replay = Replay::new(&mut samples, &mut labels, &mut seen, Rng::new(seed));
            for example in 0..40 {
                replay.keep([example], example as u16 % 7);
            }
            assert_eq!(replay.len(), 10);
            for at in 0..10 {
                let (sample, label) = replay.get(at).unwrap();
                assert_eq!(label, sample[0] as u16 % 7);
                kept[sample[0] as usize] += 1;
            }
        }
        // 1000 expected, standard deviation 27: five of them.
        assert!(kept.iter().all(|count| count.abs_diff(1000) < 137), "{kept:?}");
    }

    #[test]
    fn classes_one_after_the_other_share_the_memory() {
        let (mut samples, mut labels, mut seen) = ([0; 60], [0; 30], [0; 3]);
        let mut replay = Replay::new(&mut samples, &mut labels, &mut seen, Rng::new(2));
        for (class, examples) in [(0, 1000), (1, 200), (2, 40)] {
            for example in 0..examples {
                replay.keep([class as i8, (example % 100) as i8], class);
            }
        }
        let count = |class| (0..30).filter(|at| replay.get(*at).unwrap().1 == class).count();
        assert_eq!([0, 1, 2].map(count), [10, 10, 10]);
        assert!((0..30).all(|at| replay.get(at).is_some_and(|(sample, label)| sample[0] as u16 == label)));
        // More of the first class changes which ones of it are there, and nothing else.
        let others: Vec<(Vec<i8>, u16)> = entries(&replay).into_iter().filter(|(_, label)| *label != 0).collect();
        for _ in 0..1000 {
            replay.keep([0, 101], 0);
        }
        assert_eq!(entries(&replay).into_iter().filter(|(_, label)| *label != 0).collect::<Vec<_>>(), others);
        let new = entries(&replay).into_iter().filter(|(sample, _)| sample[1] == 101).count();
        assert!((2..=8).contains(&new), "{new} of 10, 5 expected");
    }

    fn entries(replay: &Replay<'_>) -> Vec<(Vec<i8>, u16)> {
        (0..replay.len()).filter_map(|at| replay.get(at)).map(|(sample, label)| (sample.to_vec(), label)).collect()
    }

    #[test]
    fn strange_memories_do_no_harm() {
        let mut nothing = Replay::new(&mut [], &mut [], &mut [], Rng::new(1));
        assert_eq!((nothing.keep([1], 3), nothing.is_empty()), (None, true));
        assert_eq!(nothing.draw(), None);
        let (mut samples, mut labels, mut seen) = ([0; 5], [0; 2], [0]);
        let mut replay = Replay::new(&mut samples, &mut labels, &mut seen, Rng::new(1));
        assert_eq!(replay.sample_len(), 2);
        assert_eq!(replay.keep([1, 2, 3], u16::MAX), Some(0));
        assert_eq!(replay.draw(), Some((&[1, 2][..], u16::MAX)));
        assert_eq!(replay.get(1), None);
        replay.go_on([0xFF; STANDING_BYTES]);
        assert_eq!(replay.len(), 2, "no more than there is room for");
        assert!(replay.draw().is_some());
    }
}
