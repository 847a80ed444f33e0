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
use crate::kernels::util::{sub, sub_mut};
use crate::rng::draw;
use core::ops::Range;

/// An integer that stands for a real.
pub trait Stored: Copy {
    /// As a float.
    fn to_f32(self) -> f32;
    /// So many steps further, within its limits.
    fn moved(self, steps: i32) -> Self;
}

impl Stored for i8 {
    fn to_f32(self) -> f32 {
        f32::from(self)
    }

    /// Symmetric: -128 stays unused, as in TensorFlow Lite's weights.
    fn moved(self, steps: i32) -> Self {
        i32::from(self).saturating_add(steps).clamp(-127, 127) as i8
    }
}

impl Stored for i32 {
    fn to_f32(self) -> f32 {
        self as f32
    }

    fn moved(self, steps: i32) -> Self {
        self.saturating_add(steps)
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
pub struct Quantized<'a, T> {
    /// The integers.
    pub values: &'a mut [T],
    /// Real value of a step of each of them.
    pub scales: Scales<'a>,
    /// Sets the random numbers of this tensor apart from those of others.
    pub seed: u32,
    /// Whether the rule works on reals. If not, it works on the integers, as descent without that scaling would: for
    /// comparisons, and for rules that are linear in the gradient.
    pub scaled: bool,
}

impl<T: Stored> Parameters for Quantized<'_, T> {
    fn count(&self) -> usize {
        self.values.len()
    }

    // One copy for all layers.
    #[inline(never)]
    fn change(&mut self, update: u32, range: Range<usize>, mut rule: impl FnMut(Range<usize>, &mut [f32])) {
        let Self { values, scales, seed, scaled } = self;
        let mut start = range.start;
        while start < range.end {
            let len = BLOCK.min(range.end - start);
            let mut reals = [0.0; BLOCK];
            let (integers, reals) = (sub_mut(values, start, len), sub_mut(&mut reals, 0, len));
            for ((real, integer), scale) in reals.iter_mut().zip(&*integers).zip(scales.from(start)) {
                *real = integer.to_f32() * scale;
            }
            rule(start..start + len, reals);
            let drawn = (start..).map(|number| draw(update, seed.wrapping_add(number as u32)));
            for (((integer, real), scale), drawn) in integers.iter_mut().zip(reals).zip(scales.from(start)).zip(drawn) {
                let change = *real - integer.to_f32() * scale;
                let steps = if *scaled { change / scale } else { change * scale };
                *integer = integer.moved(rounded(steps, drawn));
            }
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
        *to = w.to_f32() * scale;
    }
}

#[cfg(test)]
mod tests;
