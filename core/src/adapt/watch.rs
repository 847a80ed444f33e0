//! A model watched at work: does what goes in and what comes out still look as it did, and what does it answer?

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::adapt::drift::Drift;
use crate::image::{DType, TensorRecord};
use crate::math;

/// Classes that are counted one by one; the last place counts all further ones, too.
pub const CLASSES: usize = 16;

/// A deviation of the reference below this share of the elements' own deviation counts as that much.
const LEAST: f32 = 1.0 / 256.0;

/// Weight of a new loss in the moving average.
const RECENT: f32 = 1.0 / 16.0;

/// One input or output: two numbers of every sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct TensorWatch {
    /// The mean of its elements: brightness, loudness, an offset of a sensor.
    pub level: Drift,
    /// Their standard deviation: contrast, strength; of a classifier's output how sure it is.
    pub spread: Drift,
}

impl TensorWatch {
    fn new(reference: u32) -> Self {
        Self { level: Drift::new(reference), spread: Drift::new(reference) }
    }

    /// The next sample, as `tensor` says how it lies.
    fn observe(&mut self, tensor: &TensorRecord, sample: &[u8]) {
        let (level, spread) = level_and_spread(tensor, sample);
        let least = LEAST * if self.spread.seen == 0 { spread } else { self.spread.mean };
        self.level.observe(level, least);
        self.spread.observe(spread, least);
    }

    /// The higher score of both ([`Drift::score`]).
    pub fn score(&self) -> f32 {
        math::max(self.level.score(), self.spread.score())
    }
}

/// What was seen of a model since [`Watch::new`]. These 204 bytes are also what a device answers to
/// [`crate::wire::Request::Statistics`].
///
/// All zeros is a watch that sees training only.
#[derive(Clone, Copy, Debug, Default, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Watch {
    /// Training steps.
    pub steps: u32,
    /// Loss of the last one; 0 before the first.
    pub loss: f32,
    /// Moving average of the losses; a new one weighs a sixteenth.
    pub recent_loss: f32,
    /// Input 0 of inference.
    pub input: TensorWatch,
    /// Its output 0.
    pub output: TensorWatch,
    /// How often each element of output 0 was the highest, where it has more than one.
    pub classes: [u32; CLASSES],
}

impl Watch {
    /// Takes the next `reference` samples as normal ([`Drift::new`]); 0 watches training only.
    pub fn new(reference: u32) -> Self {
        if reference == 0 {
            return Self::default();
        }
        Self { input: TensorWatch::new(reference), output: TensorWatch::new(reference), ..Self::default() }
    }

    /// Whether inference is watched.
    pub fn is_on(&self) -> bool {
        self.input.level.reference != 0
    }

    /// The answer's bytes.
    pub fn bytes(&self) -> &[u8] {
        self.as_bytes()
    }

    /// A watch of an answer's bytes, if there are as many as it has.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Self::read_from_bytes(bytes).ok()
    }

    /// Samples as they lie in input 0, before they are run.
    pub fn observe_inputs(&mut self, tensor: &TensorRecord, samples: &[u8]) {
        if self.is_on() {
            samples_of(tensor, samples).for_each(|sample| self.input.observe(tensor, sample));
        }
    }

    /// What they gave in output 0.
    pub fn observe_outputs(&mut self, tensor: &TensorRecord, samples: &[u8]) {
        if !self.is_on() {
            return;
        }
        for sample in samples_of(tensor, samples) {
            self.output.observe(tensor, sample);
            if tensor.elements > 1
                && let Some(count) = self.classes.get_mut(highest(tensor, sample).min(CLASSES - 1))
            {
                *count = count.saturating_add(1);
            }
        }
    }

    /// A training step's loss.
    pub fn observe_loss(&mut self, loss: f32) {
        let first = self.steps == 0;
        self.steps = self.steps.saturating_add(1);
        self.loss = loss;
        self.recent_loss = if first { loss } else { self.recent_loss + (loss - self.recent_loss) * RECENT };
    }

    /// The higher score of input and output ([`Drift::score`]).
    pub fn score(&self) -> f32 {
        math::max(self.input.score(), self.output.score())
    }
}

fn samples_of<'s>(tensor: &TensorRecord, samples: &'s [u8]) -> core::slice::ChunksExact<'s, u8> {
    samples.chunks_exact(tensor.sample_bytes().max(1))
}

/// The elements of a sample as they lie. A device has one copy of what is done with integers, whatever their width.
#[derive(Clone, Copy)]
struct Elements<'s> {
    dtype: DType,
    sample: &'s [u8],
}

impl<'s> Elements<'s> {
    fn len(self) -> usize {
        self.sample.len().checked_div(self.dtype.bytes()).unwrap_or(0)
    }

    fn integers(self) -> impl Iterator<Item = i64> {
        (0..self.len()).map(move |index| self.integer(index))
    }

    fn floats(self) -> impl Iterator<Item = f32> {
        self.sample.as_chunks().0.iter().map(|value| f32::from_le_bytes(*value))
    }

    #[cfg_attr(target_os = "none", inline(never))]
    fn integer(self, index: usize) -> i64 {
        let Self { dtype, sample } = self;
        match dtype {
            DType::I8 => sample.get(index).map_or(0, |value| i64::from(*value as i8)),
            DType::I16 => sample.as_chunks().0.get(index).map_or(0, |value| i64::from(i16::from_le_bytes(*value))),
            _ => sample.as_chunks().0.get(index).map_or(0, |value| i64::from(u32::from_le_bytes(*value))),
        }
    }
}

/// Mean and standard deviation of a sample's elements as real values, the same bits on every target: sums of integers
/// are exact, those of floats in index order.
fn level_and_spread(tensor: &TensorRecord, sample: &[u8]) -> (f32, f32) {
    let elements = Elements { dtype: tensor.dtype(), sample };
    let (mean, deviation) = match elements.dtype {
        DType::F32 => return of_floats(elements),
        _ => of_integers(elements),
    };
    if elements.dtype == DType::U32 {
        return (mean, deviation);
    }
    (tensor.scale * (mean - tensor.zero_point as f32), math::max(tensor.scale, -tensor.scale) * deviation)
}

fn of_integers(elements: Elements<'_>) -> (f32, f32) {
    let count = elements.len().max(1) as i64;
    let sum: i64 = elements.integers().sum();
    // Squares are taken from the nearest integer below or above the mean, which keeps them small and exact.
    let middle = quotient(sum, count);
    let square = |value: i64| (value - middle).saturating_mul(value - middle);
    let squares = elements.integers().map(square).fold(0, i64::saturating_add);
    let off = (sum - middle * count) as f32 / count as f32;
    (middle as f32 + off, math::sqrt(math::max(0.0, squares as f32 / count as f32 - off * off)))
}

/// `sum / count`, rounded towards zero, bit by bit: a division of 64 bits takes a kilobyte on most devices.
fn quotient(sum: i64, count: i64) -> i64 {
    let (mut sum_or_quotient, mut rest, count_bits) = (sum.unsigned_abs(), 0u64, count.unsigned_abs());
    for _ in 0..u64::BITS {
        rest = rest << 1 | sum_or_quotient >> 63;
        let fits = rest >= count_bits;
        sum_or_quotient = sum_or_quotient << 1 | u64::from(fits);
        rest -= if fits { count_bits } else { 0 };
    }
    let size = sum_or_quotient as i64;
    if sum < 0 { size.wrapping_neg() } else { size }
}

fn of_floats(elements: Elements<'_>) -> (f32, f32) {
    let count = elements.len().max(1) as f32;
    let mean = elements.floats().fold(0.0, |sum, value| sum + value) / count;
    let squares = elements.floats().fold(0.0, |sum, value| sum + (value - mean) * (value - mean));
    (mean, math::sqrt(squares / count))
}

/// The first of the highest elements.
fn highest(tensor: &TensorRecord, sample: &[u8]) -> usize {
    let elements = Elements { dtype: tensor.dtype(), sample };
    match elements.dtype {
        DType::F32 => first_highest(elements.floats()),
        _ => first_highest(elements.integers()),
    }
}

fn first_highest<T: PartialOrd>(values: impl Iterator<Item = T>) -> usize {
    let mut best = None;
    for (index, value) in values.enumerate() {
        if best.as_ref().is_none_or(|(_, most)| value > *most) {
            best = Some((index, value));
        }
    }
    best.map_or(0, |(index, _)| index)
}

#[cfg(test)]
mod tests {
    use std::{vec, vec::Vec};

    use super::*;
    use crate::plan::Ref;
    use crate::rng::Rng;

    fn tensor(dtype: DType, elements: u32, scale: f32, zero_point: i32) -> TensorRecord {
        let mut dims = [0; 6];
        dims[0] = elements;
        TensorRecord { at: Ref::NONE, dtype: dtype as u32, elements, rank: 1, dims, scale, zero_point }
    }

    #[test]
    fn a_quotient_is_that_of_the_language() {
        for (sum, count) in [(0, 1), (7, 2), (-7, 2), (1 << 40, 3), (-(1 << 62), 65_535), (5, 9), (i64::MAX, 1)] {
            assert_eq!(quotient(sum, count), sum / count, "{sum} / {count}");
        }
    }

    #[test]
    fn integers_and_floats_have_the_same_level_and_spread() {
        let values: Vec<i8> = vec![-128, 127, 3, 4, 5];
        let bytes: Vec<u8> = values.iter().map(|value| *value as u8).collect();
        let int = level_and_spread(&tensor(DType::I8, 5, 0.5, -2), &bytes);
        let real: Vec<u8> = values.iter().flat_map(|value| (0.5 * (f32::from(*value) + 2.0)).to_le_bytes()).collect();
        let float = level_and_spread(&tensor(DType::F32, 5, 1.0, 0), &real);
        assert!((int.0 - float.0).abs() < 1e-5 && (int.1 - float.1).abs() < 1e-4, "{int:?} {float:?}");
        let wide: Vec<u8> = values.iter().flat_map(|value| i16::from(*value).to_le_bytes()).collect();
        assert_eq!(level_and_spread(&tensor(DType::I16, 5, 0.5, -2), &wide), int);
        assert_eq!(level_and_spread(&tensor(DType::I8, 0, 0.5, 0), &[]), (0.0, 0.0));
    }

    #[test]
    fn darker_inputs_and_other_answers_show() {
        let (input, output) = (tensor(DType::I8, 64, 1.0 / 255.0, -128), tensor(DType::F32, 20, 1.0, 0));
        let mut rng = Rng::new(5);
        let mut watch = Watch::new(200);
        let mut run = |watch: &mut Watch, dark: i32, class: usize, times: usize| {
            for _ in 0..times {
                let sample: Vec<u8> = (0..64).map(|_| (rng.below(200) as i32 / dark - 128) as i8 as u8).collect();
                watch.observe_inputs(&input, &sample);
                let mut answer = [0.01f32; 20];
                answer[class] = 0.81;
                let answer: Vec<u8> = answer.iter().flat_map(|value| value.to_le_bytes()).collect();
                watch.observe_outputs(&output, &answer);
            }
        };
        run(&mut watch, 1, 1, 1000);
        assert!(watch.score() < 10.0, "{watch:?}");
        run(&mut watch, 2, 19, 20);
        assert!(watch.input.level.has_drifted() && watch.input.spread.has_drifted());
        assert!(!watch.output.level.has_drifted(), "its values are the same ones");
        assert_eq!((watch.classes[1], watch.classes[CLASSES - 1]), (1000, 20));
    }

    #[test]
    fn losses_are_watched_always_and_the_rest_when_asked() {
        let mut watch = Watch::default();
        watch.observe_inputs(&tensor(DType::I8, 1, 1.0, 0), &[1]);
        watch.observe_loss(2.0);
        watch.observe_loss(1.0);
        assert_eq!((watch.steps, watch.loss, watch.recent_loss), (2, 1.0, 1.9375));
        assert_eq!((watch.input, watch.is_on()), (TensorWatch::default(), false));
    }

    #[test]
    fn bytes_are_the_watch() {
        let mut watch = Watch::new(3);
        watch.observe_loss(0.25);
        assert_eq!(watch.bytes().len(), 204);
        assert_eq!(Watch::from_bytes(watch.bytes()), Some(watch));
        assert_eq!(Watch::from_bytes(&watch.bytes()[1..]), None);
    }
}
