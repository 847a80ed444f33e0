//! Parameters that are integers with scales: int8 weights, int32 biases.
//!
//! An update unpacks some of them to reals, has the rule change those, and moves each integer by the change over its
//! scale, rounded at random: up or down so that the mean is right. A change far below one step of the scale would
//! otherwise be lost every time.
//!
//! A gradient of the loss with respect to an integer is that of the real times the scale, so this is the scaling of Lin
//! et al. 2022 ("On-Device Training Under 256KB Memory", section 3.1): theirs divides that gradient by the scale
//! squared. Either way gradients and parameters are to each other as in the float model.

use super::Parameters;
use super::state::BLOCK;
use crate::kernels::util::{copy, from, from_mut, sub, sub_mut};
use crate::rng::draw;
use core::ops::Range;

/// The integers of a tensor that learns. Their kind is known when the program runs: a device has no room for two copies of
/// what changes them.
#[derive(Debug)]
pub enum Values<'a> {
    /// Weights: from -127 to 127. -128 stays unused, as in TensorFlow Lite's.
    I8(&'a mut [i8]),
    /// Biases.
    I32(&'a mut [i32]),
}

impl Values<'_> {
    fn len(&self) -> usize {
        match self {
            Self::I8(values) => values.len(),
            Self::I32(values) => values.len(),
        }
    }

    fn limits(&self) -> (i32, i32) {
        match self {
            Self::I8(_) => (-127, 127),
            Self::I32(_) => (i32::MIN, i32::MAX),
        }
    }

    /// Those from `start` on, as many as there is room for.
    fn load(&self, start: usize, to: &mut [i32]) {
        match self {
            Self::I8(values) => to.iter_mut().zip(from(values, start)).for_each(|(to, from)| *to = i32::from(*from)),
            Self::I32(values) => copy(from(values, start), to),
        }
    }

    /// Writes them back; they are within the limits.
    fn store(&mut self, start: usize, from: &[i32]) {
        match self {
            Self::I8(values) => from_mut(values, start).iter_mut().zip(from).for_each(|(to, from)| *to = *from as i8),
            Self::I32(values) => copy(from, from_mut(values, start)),
        }
    }
}

impl<'a> From<&'a mut [i8]> for Values<'a> {
    fn from(values: &'a mut [i8]) -> Self {
        Self::I8(values)
    }
}

impl<'a> From<&'a mut [i32]> for Values<'a> {
    fn from(values: &'a mut [i32]) -> Self {
        Self::I32(values)
    }
}

/// Which parameter has which scale.
#[derive(Clone, Copy, Debug)]
pub struct Scales<'a> {
    /// The table: one for each output channel, or one for all.
    pub table: &'a [f32],
    /// What all of them are multiplied by.
    pub factor: f32,
    /// Neighbouring parameters that share an entry; behind the table's end it begins anew.
    pub run: usize,
}

impl Scales<'_> {
    /// The scales of the parameters from `start` on.
    fn from(self, start: usize) -> impl Iterator<Item = f32> {
        let Self { table, factor, run } = self;
        let entry = start.checked_div(run).unwrap_or(0);
        let (mut left, mut entry) =
            (run - start.checked_rem(run).unwrap_or(0), entry.checked_rem(table.len()).unwrap_or(0));
        core::iter::from_fn(move || {
            let scale = table.get(entry).copied()? * factor;
            left = left.saturating_sub(1);
            if left == 0 {
                (left, entry) = (run, if entry + 1 < table.len() { entry + 1 } else { 0 });
            }
            Some(scale)
        })
    }
}

/// All parameters of one tensor.
#[derive(Debug)]
pub struct Quantized<'a> {
    /// The integers.
    pub values: Values<'a>,
    /// Real value of a step of each of them.
    pub scales: Scales<'a>,
    /// Sets the random numbers of this tensor apart from those of others.
    pub seed: u32,
    /// Whether the rule works on reals. If not, it works on the integers, as descent without that scaling would: for
    /// comparisons, and for rules that are linear in the gradient.
    pub scaled: bool,
}

impl Parameters for Quantized<'_> {
    fn count(&self) -> usize {
        self.values.len()
    }

    // One copy for all layers.
    #[inline(never)]
    fn change(&mut self, update: u32, range: Range<usize>, mut rule: impl FnMut(Range<usize>, &mut [f32])) {
        let Self { values, scales, seed, scaled } = self;
        let (lo, hi) = values.limits();
        let mut start = range.start;
        while start < range.end {
            let len = BLOCK.min(range.end - start);
            let (mut integers, mut reals) = ([0; BLOCK], [0.0; BLOCK]);
            let (integers, reals) = (sub_mut(&mut integers, 0, len), sub_mut(&mut reals, 0, len));
            values.load(start, integers);
            for ((real, integer), scale) in reals.iter_mut().zip(&*integers).zip(scales.from(start)) {
                *real = *integer as f32 * scale;
            }
            rule(start..start + len, reals);
            let drawn = (start..).map(|number| draw(update, seed.wrapping_add(number as u32)));
            for (((integer, real), scale), drawn) in integers.iter_mut().zip(reals).zip(scales.from(start)).zip(drawn) {
                let change = *real - *integer as f32 * scale;
                let steps = if *scaled { change / scale } else { change * scale };
                *integer = integer.saturating_add(rounded(steps, drawn)).max(lo).min(hi);
            }
            values.store(start, integers);
            start += len;
        }
    }
}

/// One of the two integers beside `x`, the nearer one more often, so that the mean is `x`. What is no number is 0.
pub fn rounded(x: f32, drawn: u32) -> i32 {
    let shifted = x + (drawn >> 8) as f32 * (1.0 / 16_777_216.0);
    let towards_zero = shifted as i32;
    if (towards_zero as f32) > shifted { towards_zero.saturating_sub(1) } else { towards_zero }
}

/// Real values of weights `start..start + to.len()` of a filter with this scale.
pub fn unpack(scale: f32, w: &[i8], start: usize, to: &mut [f32]) {
    let len = to.len();
    for (to, w) in to.iter_mut().zip(sub(w, start, len)) {
        *to = f32::from(*w) * scale;
    }
}

#[cfg(test)]
mod tests;
