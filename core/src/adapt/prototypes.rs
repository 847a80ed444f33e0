//! Class means: a classifier that learns a class from a handful of examples, and forgets none.
//!
//! An example is a vector of int8 features, mostly the output of a network's last layer but one; float features become int8 by
//! [`crate::quant::quantize_i8`]. A class is the sum of
//! its examples, and what is asked belongs to the class whose mean is nearest (the nearest-class-mean classifier of
//! Mensink et al., "Distance-Based Image Classification: Generalizing to New Classes at Near-Zero Cost", 2013; the
//! prototypes of Snell et al., "Prototypical Networks for Few-shot Learning", 2017).
//!
//! Sums and counts are integers, so that the order of examples does not matter and nothing is lost to rounding however
//! many there are. Distances are compared as exact fractions: the same answer on every target.

use zerocopy::IntoBytes;

/// The most examples of one class.
pub const MOST_EXAMPLES: u32 = u16::MAX as u32;

/// The most features: a distance, multiplied by the square of the examples, stays within 60 bits.
pub const MOST_FEATURES: usize = 4096;

/// Words of a class before its sums: the number of examples, and the sum of their squared lengths.
const HEAD: usize = 3;

/// Why a class was not learned or not restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PrototypesError {
    /// An example of another length.
    Features {
        /// Features that it has.
        found: usize,
        /// Features of all examples.
        expected: usize,
    },
    /// There is no place for this class.
    NoSuchClass {
        /// The class.
        class: usize,
        /// Classes that the memory has place for.
        capacity: usize,
    },
    /// The class has [`MOST_EXAMPLES`].
    Full,
    /// Bytes that are no prototypes of this many classes and features.
    Damaged,
}

impl core::fmt::Display for PrototypesError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Features { found, expected } => write!(f, "the example has {found} features, expected {expected}"),
            Self::NoSuchClass { class, capacity } => write!(f, "class {class}, but there is place for {capacity}"),
            Self::Full => write!(f, "the class has {MOST_EXAMPLES} examples, which is the most"),
            Self::Damaged => f.write_str("the bytes are no prototypes of this shape"),
        }
    }
}

impl core::error::Error for PrototypesError {}

/// The class that something is nearest to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Nearest {
    /// Its number; of equally near ones the lowest.
    pub class: usize,
    /// Squared distance from its mean, rounded down.
    pub distance: u32,
}

/// Classes in memory that the caller brings.
///
/// ```
/// use embernet_core::adapt::prototypes::{Prototypes, words};
///
/// let mut memory = [0; words(3, 2)]; // up to 3 classes of 2 features
/// let mut prototypes = Prototypes::new(&mut memory, 2);
/// prototypes.learn(0, &[10, 0]).unwrap();
/// prototypes.learn(0, &[12, 2]).unwrap();
/// prototypes.learn(1, &[-90, 50]).unwrap();
/// let nearest = prototypes.nearest(&[12, 1]).unwrap();
/// assert_eq!((nearest.class, nearest.distance), (0, 1));
/// ```
#[derive(Debug)]
pub struct Prototypes<'m> {
    /// For each class its examples, the sum of their squared lengths (low word first), and the sums of each feature.
    words: &'m mut [i32],
    features: usize,
}

/// Words of memory for so many classes.
pub const fn words(classes: usize, features: usize) -> usize {
    classes * (HEAD + features)
}

/// One class of `words`.
#[derive(Clone, Copy)]
struct Class<'w> {
    count: u32,
    /// Sum of the examples' squared lengths.
    squares: u64,
    sums: &'w [i32],
}

impl<'w> Class<'w> {
    fn of(words: &'w [i32]) -> Option<Self> {
        let ([count, low, high], sums) = words.split_first_chunk::<HEAD>()?;
        let squares = u64::from(low.cast_unsigned()) | u64::from(high.cast_unsigned()) << 32;
        Some(Self { count: count.cast_unsigned(), squares, sums })
    }

    /// The squared distance of `x` from the mean, times the square of the count.
    fn scaled_distance(&self, x: &[i8]) -> u64 {
        let count = self.count.cast_signed();
        // At most 2^16 times 2^8, so that the product fits 32 bits and its square 64.
        let distance = |(x, sum): (&i8, &i32)| i64::from(count.wrapping_mul(i32::from(*x)).wrapping_sub(*sum));
        x.iter().zip(self.sums).map(distance).fold(0, |sum, distance| sum.wrapping_add((distance * distance) as u64))
    }

    fn squared_count(&self) -> u64 {
        u64::from(self.count) * u64::from(self.count)
    }

    /// The mean squared distance of the examples from their mean, times the square of the count.
    fn scaled_spread(&self) -> u64 {
        let length =
            self.sums.iter().fold(0u64, |sum, part| sum.wrapping_add((i64::from(*part) * i64::from(*part)) as u64));
        (u64::from(self.count).wrapping_mul(self.squares)).saturating_sub(length)
    }
}

impl<'m> Prototypes<'m> {
    /// No class yet. There is place for as many as [`words`] says; `features` above [`MOST_FEATURES`] leave no place.
    pub fn new(words: &'m mut [i32], features: usize) -> Self {
        words.fill(0);
        let words = if features <= MOST_FEATURES { words } else { &mut [] };
        Self { words, features }
    }

    /// How many classes there is place for.
    pub fn capacity(&self) -> usize {
        self.words.chunks_exact(HEAD + self.features).len()
    }

    fn classes(&self) -> impl Iterator<Item = Class<'_>> {
        self.words.chunks_exact(HEAD + self.features).filter_map(Class::of)
    }

    /// Examples of a class so far; 0 if there is none.
    pub fn examples(&self, class: usize) -> u32 {
        self.classes().nth(class).map_or(0, |class| class.count)
    }

    /// A class that has no example yet.
    pub fn unused(&self) -> Option<usize> {
        self.classes().position(|class| class.count == 0)
    }

    /// One more example of a class.
    pub fn learn(&mut self, class: usize, example: &[i8]) -> Result<(), PrototypesError> {
        let (features, capacity) = (self.features, self.capacity());
        if example.len() != features {
            return Err(PrototypesError::Features { found: example.len(), expected: features });
        }
        let words = self.words.chunks_exact_mut(HEAD + features).nth(class);
        let ([count, low, high], sums) = words
            .and_then(|words| words.split_first_chunk_mut::<HEAD>())
            .ok_or(PrototypesError::NoSuchClass { class, capacity })?;
        if count.cast_unsigned() >= MOST_EXAMPLES {
            return Err(PrototypesError::Full);
        }
        *count += 1;
        let length: u32 = example.iter().map(|x| (i32::from(*x) * i32::from(*x)).cast_unsigned()).sum();
        let (sum, carry) = low.cast_unsigned().overflowing_add(length);
        *low = sum.cast_signed();
        *high = high.wrapping_add(i32::from(carry));
        sums.iter_mut().zip(example).for_each(|(sum, x)| *sum = sum.wrapping_add(i32::from(*x)));
        Ok(())
    }

    /// Forgets a class; its place is free again.
    pub fn forget(&mut self, class: usize) {
        if let Some(words) = self.words.chunks_exact_mut(HEAD + self.features).nth(class) {
            words.fill(0);
        }
    }

    /// The class whose mean is nearest. `None` if there is none, or if `x` has another number of features.
    pub fn nearest(&self, x: &[i8]) -> Option<Nearest> {
        if x.len() != self.features {
            return None;
        }
        let mut best: Option<(usize, u64, u64)> = None;
        for (index, class) in self.classes().enumerate().filter(|(_, class)| class.count != 0) {
            let (distance, scale) = (class.scaled_distance(x), class.squared_count());
            let is_nearer = |(_, least, least_scale): (_, u64, u64)| {
                u128::from(distance) * u128::from(least_scale) < u128::from(least) * u128::from(scale)
            };
            if best.is_none_or(is_nearer) {
                best = Some((index, distance, scale));
            }
        }
        best.map(|(class, distance, scale)| Nearest { class, distance: whole(distance, scale) })
    }

    /// The class whose mean points in the most similar direction (cosine), for features whose length says nothing. Of
    /// equal ones the lowest; `None` also if no mean has a direction. Fractions are compared with 32 binary places.
    pub fn most_similar(&self, x: &[i8]) -> Option<usize> {
        if x.len() != self.features {
            return None;
        }
        let mut best: Option<(usize, i128)> = None;
        for (index, class) in self.classes().enumerate() {
            let products = x.iter().zip(class.sums).map(|(x, sum)| i64::from(*x) * i64::from(*sum));
            let dot = i128::from(products.fold(0i64, i64::wrapping_add));
            let length = class.sums.iter().map(|sum| i64::from(*sum) * i64::from(*sum)).fold(0i64, i64::wrapping_add);
            // The square of the cosine with its sign, but for the length of `x`, which is the same for all.
            let Some(similarity) = ((dot * dot) << 32).checked_div(i128::from(length)) else { continue };
            let similarity = if dot < 0 { -similarity } else { similarity };
            if best.is_none_or(|(_, most)| similarity > most) {
                best = Some((index, similarity));
            }
        }
        best.map(|(class, _)| class)
    }

    /// The mean squared distance of a class's examples from their mean, rounded down: what to compare the distance of
    /// something with that may belong to no class.
    pub fn spread(&self, class: usize) -> u32 {
        self.classes().nth(class).map_or(0, |class| whole(class.scaled_spread(), class.squared_count()))
    }

    /// The classes as bytes, for a record of the program's own.
    pub fn bytes(&self) -> &[u8] {
        self.words.as_bytes()
    }

    /// Puts back what [`Prototypes::bytes`] gave, with as many classes and features. Bytes that no examples can have
    /// given change nothing.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<(), PrototypesError> {
        let (words, _) = bytes.as_chunks::<4>();
        let mut classes = words.chunks_exact(HEAD + self.features);
        if bytes.len() != size_of_val(self.words) || !classes.all(is_possible) {
            return Err(PrototypesError::Damaged);
        }
        self.words.iter_mut().zip(words).for_each(|(to, from)| *to = i32::from_le_bytes(*from));
        Ok(())
    }
}

/// Whether examples can have given these words of a class.
fn is_possible(class: &[[u8; 4]]) -> bool {
    let Some(([count, low, high], sums)) = class.split_first_chunk::<HEAD>() else { return false };
    let count = u64::from(u32::from_le_bytes(*count));
    let squares = u64::from(u32::from_le_bytes(*low)) | u64::from(u32::from_le_bytes(*high)) << 32;
    count <= MOST_EXAMPLES.into()
        && squares <= (count << 14).saturating_mul(sums.len() as u64)
        && sums.iter().all(|sum| u64::from(i32::from_le_bytes(*sum).unsigned_abs()) <= count << 7)
}

/// A fraction, rounded down.
fn whole(numerator: u64, denominator: u64) -> u32 {
    numerator.checked_div(denominator).unwrap_or(0).min(u64::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use std::{vec, vec::Vec};

    use super::*;
    use crate::rng::Rng;

    fn vector(rng: &mut Rng, features: usize) -> Vec<i8> {
        (0..features).map(|_| rng.next_u32() as i8).collect()
    }

    /// The definition, in rational numbers of wide integers.
    fn nearest_as_defined(classes: &[Vec<Vec<i8>>], x: &[i8]) -> Option<usize> {
        let distance = |examples: &Vec<Vec<i8>>| {
            let n = examples.len() as i128;
            let sum = |at: usize| examples.iter().map(|example| i128::from(example[at])).sum::<i128>();
            let scaled = (0..x.len()).map(|at| (n * i128::from(x[at]) - sum(at)).pow(2)).sum::<i128>();
            (scaled, n * n)
        };
        let less = |(a, a_scale): (i128, i128), (b, b_scale): (i128, i128)| a * b_scale < b * a_scale;
        let present = (0..classes.len()).filter(|class| !classes[*class].is_empty());
        present.fold(None, |best, class| match best {
            Some(best) if !less(distance(&classes[class]), distance(&classes[best])) => Some(best),
            _ => Some(class),
        })
    }

    #[test]
    fn the_nearest_mean_is_the_definitions() {
        let mut rng = Rng::new(3);
        for features in [1, 2, 7, 33] {
            let mut memory = vec![0; words(5, features)];
            let mut prototypes = Prototypes::new(&mut memory, features);
            let mut classes = vec![Vec::new(); 5];
            for _ in 0..60 {
                let (class, example) = (rng.below(4) as usize, vector(&mut rng, features));
                prototypes.learn(class, &example).unwrap();
                classes[class].push(example);
                let x = vector(&mut rng, features);
                let nearest = prototypes.nearest(&x).unwrap();
                assert_eq!(Some(nearest.class), nearest_as_defined(&classes, &x));
            }
            assert_eq!(prototypes.unused(), Some(4));
            assert_eq!((0..5).map(|class| prototypes.examples(class)).sum::<u32>(), 60);
        }
    }

    #[test]
    fn the_order_of_examples_does_not_matter_and_bytes_bring_them_back() {
        let mut rng = Rng::new(4);
        let mut examples: Vec<(usize, Vec<i8>)> = (0..300).map(|at| (at % 3, vector(&mut rng, 6))).collect();
        let mut learned = Vec::new();
        for _ in 0..2 {
            let mut memory = [0; words(3, 6)];
            let mut prototypes = Prototypes::new(&mut memory, 6);
            examples.iter().for_each(|(class, example)| prototypes.learn(*class, example).unwrap());
            learned.push(prototypes.bytes().to_vec());
            rng.shuffle(&mut examples);
        }
        assert_eq!(learned[0], learned[1]);

        let mut memory = [0; words(3, 6)];
        let mut again = Prototypes::new(&mut memory, 6);
        again.restore(&learned[0]).unwrap();
        assert_eq!(again.bytes(), learned[0]);
        for bad in [&learned[0][1..], &[0xFF; 4 * words(3, 6)][..], &[]] {
            assert_eq!(again.restore(bad), Err(PrototypesError::Damaged));
        }
        assert_eq!(again.bytes(), learned[0], "nothing has changed");
    }

    #[test]
    fn spread_and_distance_are_squared_lengths() {
        let mut memory = [0; words(2, 2)];
        let mut prototypes = Prototypes::new(&mut memory, 2);
        for example in [[-10, 4], [10, 4], [10, -4], [-10, -4]] {
            prototypes.learn(1, &example).unwrap();
        }
        assert_eq!((prototypes.spread(1), prototypes.spread(0)), (116, 0));
        assert_eq!(prototypes.nearest(&[3, -5]), Some(Nearest { class: 1, distance: 34 }));
        prototypes.forget(1);
        assert_eq!((prototypes.examples(1), prototypes.nearest(&[0, 0])), (0, None));
    }

    #[test]
    fn cosine_looks_at_directions_only() {
        let mut memory = [0; words(4, 2)];
        let mut prototypes = Prototypes::new(&mut memory, 2);
        assert_eq!(prototypes.most_similar(&[1, 1]), None);
        prototypes.learn(0, &[1, 0]).unwrap();
        prototypes.learn(1, &[90, 90]).unwrap();
        prototypes.learn(2, &[-120, -120]).unwrap();
        prototypes.learn(3, &[0, 0]).unwrap();
        assert_eq!([[5, 4], [127, 20], [-1, -1], [-1, 3]].map(|x| prototypes.most_similar(&x)), [1, 0, 2, 1].map(Some));
        assert_eq!(prototypes.nearest(&[5, 4]).unwrap().class, 0, "for the distance it is another one");
    }

    #[test]
    fn extremes_are_exact() {
        let mut memory = vec![0; words(2, MOST_FEATURES)];
        let mut prototypes = Prototypes::new(&mut memory, MOST_FEATURES);
        let (low, high) = (vec![-128; MOST_FEATURES], vec![127; MOST_FEATURES]);
        for _ in 0..MOST_EXAMPLES {
            prototypes.learn(1, &low).unwrap();
        }
        assert_eq!(prototypes.learn(1, &low), Err(PrototypesError::Full));
        let far = 255 * 255 * MOST_FEATURES as u32;
        assert_eq!(prototypes.nearest(&high), Some(Nearest { class: 1, distance: far }));
        assert_eq!((prototypes.nearest(&low).unwrap().distance, prototypes.spread(1)), (0, 0));
        assert_eq!((prototypes.most_similar(&high), prototypes.examples(1)), (Some(1), MOST_EXAMPLES));
        let bytes = prototypes.bytes().to_vec();
        prototypes.restore(&bytes).unwrap();
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let mut memory = [0; words(2, 3)];
        let mut prototypes = Prototypes::new(&mut memory, 3);
        assert_eq!(prototypes.learn(0, &[1]), Err(PrototypesError::Features { found: 1, expected: 3 }));
        assert_eq!(prototypes.learn(2, &[1, 2, 3]), Err(PrototypesError::NoSuchClass { class: 2, capacity: 2 }));
        assert_eq!((prototypes.nearest(&[1]), prototypes.most_similar(&[1])), (None, None));
        assert_eq!(Prototypes::new(&mut [0; 10_000], MOST_FEATURES + 1).capacity(), 0);
        assert_eq!(Prototypes::new(&mut [], 3).unused(), None);
    }
}
