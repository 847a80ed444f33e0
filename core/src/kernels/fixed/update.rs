//! Optimisers on int16 parameters. A backward kernel hands over sums, a tile at a time; nothing else of a gradient
//! ever exists, unless several passes make an update.
//!
//! Results are rounded at random, up or down so that the mean is right: most updates are smaller than a unit of the
//! weight. The bits are a function of the parameter's place and of the update's number. Where weights grow, so does
//! their exponent; no update changes a weight by more than the greatest that its mantissa can hold.

mod first;
mod passes;
mod second;
#[cfg(test)]
mod tests;

use super::block::{MAX_EXPONENT, exponent, mantissas_mut, open, set_head};
use super::number::{Factor, LIMIT, mul_q16, shift};
use super::trained::Parameter;
use crate::arch::Isa;
use crate::kernels::util::{from, from_mut};
use crate::optim::{Optimizer, Rule};
use crate::rng::{Bits, draw};
use first::{FINE, First};
pub use passes::Sink;
use second::Second;

/// Most elements of a tile. Tiles begin at places that follow from the layer's shape alone, because random bits do.
pub const TILE: usize = 64;

/// Room for one.
pub type Tile = [i32; TILE];

/// The tiles of a matrix of gradients, in order: `(first row, how many)` and `(first column, how many)`. As many whole
/// rows as fit, or a piece of one.
#[inline(always)]
pub fn tiles([rows, columns]: [usize; 2], mut visit: impl FnMut((usize, usize), (usize, usize))) {
    // No division, which takes a small core as long as ten of these.
    let (mut row_step, column_step) = (1, columns.clamp(1, TILE));
    while (row_step + 1) * column_step <= TILE {
        row_step += 1;
    }
    let mut row = 0;
    while row < rows {
        let count = row_step.min(rows - row);
        let mut column = 0;
        while column < columns {
            let width = column_step.min(columns - column);
            visit((row, count), (column, width));
            column += column_step;
        }
        row += row_step;
    }
}

/// Bits of weights beside their signs: one less than a mantissa has, so that an update finds room.
pub const WEIGHT_BITS: u32 = 14;

/// The update of one parameter.
#[derive(Debug)]
pub struct Update<'a> {
    rule: Rule,
    step: u32,
    len: usize,
    block: &'a mut [i16],
    exponent: i32,
    /// Bits that weights have needed so far.
    peak: u32,
    /// Power of two of the gradient's unit.
    gradient: i32,
    rate: Factor,
    decay: Factor,
    /// How far sums are shifted right to that unit: decay may be larger than gradients.
    coarser: i32,
    first: First<'a>,
    second: Second<'a>,
}

impl<'a> Update<'a> {
    /// For sums in units of `2^gradient`, at most `LIMIT` in size.
    pub fn new(optimizer: &Optimizer, parameter: Parameter<'a>, gradient: i32) -> Self {
        let (settings, rate) = (&optimizer.settings, Factor::of(optimizer.rate));
        let Parameter { len, block, first, second, .. } = parameter;
        // AdaGrad has sums of squares alone.
        let only_squares = optimizer.rule == Rule::AdaGrad;
        let (first, second) = if only_squares { (second, first) } else { (first, second) };
        let decay = Factor::of(settings.weight_decay);
        // A weight's decay has 28 bits at most.
        let least = if decay.mantissa == 0 { gradient } else { exponent(block) + 15 + decay.exponent + 16 - 28 };
        let coarser = least.saturating_sub(gradient).max(0);
        let gradient = gradient.saturating_add(coarser);
        // Velocities take in the gradient times the rate, first moments the gradient.
        let (gain, spare) = match optimizer.rule {
            // A tenth of it, or as little.
            Rule::Adam => (gradient, 1),
            _ => (gradient + rate.exponent + 16, 4),
        };
        Self {
            rule: optimizer.rule,
            step: optimizer.step,
            len,
            exponent: exponent(block),
            block,
            peak: 0,
            gradient,
            rate,
            decay,
            coarser,
            first: First::new(len, first, gain, settings.momentum, spare),
            second: Second::new(second, len, settings, only_squares),
        }
    }

    /// Takes the gradient of the parameters from `start` on: at most [`TILE`] of them.
    pub fn tile<I: Isa>(&mut self, isa: I, start: usize, gradient: &mut [i32]) {
        self.add_decay(start, gradient);
        let bits = Bits(draw(self.step, start as u32));
        match self.rule {
            Rule::Sgd => self.sgd(isa, start, gradient, bits),
            Rule::Momentum { nesterov } => self.momentum(nesterov, start, gradient, bits),
            Rule::Adam => self.adam(start, gradient, bits),
            Rule::AdaGrad => self.adagrad(start, gradient, bits),
        }
    }

    /// Brings weights and state to exponents that fit them.
    pub fn finish(mut self) {
        let mut bits = Bits(draw(self.step, u32::MAX));
        if self.peak >> WEIGHT_BITS > 0 && self.exponent < MAX_EXPONENT {
            self.exponent += 1;
            for w in mantissas_mut(self.block, self.len) {
                *w = ((i32::from(*w) + (bits.advance() >> 31) as i32) >> 1) as i16;
            }
            set_head(self.block, self.exponent, 0);
        }
        self.first.finish(&mut bits);
    }

    /// `g += weight_decay * w`.
    fn add_decay(&self, start: usize, gradient: &mut [i32]) {
        if self.decay.mantissa == 0 {
            return;
        }
        let left = (self.exponent - 14 + self.decay.exponent + 16).saturating_sub(self.gradient);
        let (_, w) = open(self.block, self.len);
        for (g, w) in gradient.iter_mut().zip(from(w, start)) {
            let decay = shift(self.decay.mantissa_times(i32::from(*w) << 14), left);
            *g = shift(*g, -self.coarser).saturating_add(decay).clamp(-LIMIT, LIMIT);
        }
    }

    /// `w -= lr g`.
    fn sgd<I: Isa>(&mut self, isa: I, start: usize, gradient: &mut [i32], bits: Bits) {
        let rounding = Rounding::between(self.gradient + self.rate.exponent + 16, self.exponent);
        if rounding.left != 0 {
            gradient.iter_mut().for_each(|g| *g = shift(*g, rounding.left));
        }
        let w = from_mut(mantissas_mut(self.block, self.len), start);
        self.peak |= isa.descend_fixed(self.rate.mantissa, rounding.right, bits, gradient, w);
    }

    /// `v = momentum v - lr g`, then `w += v` (or, Nesterov, `w += momentum v - lr g`).
    #[inline(never)]
    fn momentum(&mut self, nesterov: bool, start: usize, gradient: &[i32], mut bits: Bits) {
        let First { keep, gain, .. } = self.first;
        let rounding = Rounding::between(self.first.exponent - FINE as i32, self.exponent);
        let weights = from_mut(mantissas_mut(self.block, self.len), start);
        let (rate, mut peak) = (self.rate, self.peak);
        let mut first_peak = self.first.peak;
        for ((w, v), g) in weights.iter_mut().zip(self.first.from(start)).zip(gradient) {
            let step = rate.mantissa_times(*g) >> gain;
            let velocity = mul_q16(i32::from(*v) << FINE, keep).wrapping_sub(step);
            first_peak |= first::store(velocity, bits.advance(), v);
            let change = if nesterov { mul_q16(velocity, keep).wrapping_sub(step) } else { velocity };
            peak |= rounding.subtract(change.wrapping_neg(), bits.advance(), w);
        }
        (self.peak, self.first.peak) = (peak, first_peak);
    }

    /// `m += (g - m)(1 - beta_1)`; `v += (g^2 - v)(1 - beta_2)`; `w -= rate m / max(sqrt(v), epsilon)`.
    #[inline(never)]
    fn adam(&mut self, start: usize, gradient: &[i32], mut bits: Bits) {
        let First { keep, gain, exponent, .. } = self.first;
        let fine = exponent - FINE as i32;
        let rounding = Rounding::between(self.rate.exponent + 16 - second::RATIO_BITS, self.exponent);
        let weights = from_mut(mantissas_mut(self.block, self.len), start);
        let (rate, mut peak) = (self.rate, self.peak);
        let mut first_peak = self.first.peak;
        let (second, moments) = self.second.from(start);
        for (((w, m), v), g) in weights.iter_mut().zip(self.first.from(start)).zip(moments).zip(gradient) {
            let old = i32::from(*m) << FINE;
            // The mean keeps beta_1 of itself: m + (g - m)(1 - beta_1).
            let moment = old.wrapping_add(mul_q16((*g >> gain).wrapping_sub(old), (1 << 16) - keep));
            first_peak |= first::store(moment, bits.advance(), m);
            *v = second.advance(*v, *g, self.gradient, bits.advance());
            let ratio = second.ratio(moment, fine, *v);
            peak |= rounding.subtract(rate.mantissa_times(ratio), bits.advance(), w);
        }
        (self.peak, self.first.peak) = (peak, first_peak);
    }

    /// `v += g^2`; `w -= lr g / max(sqrt(v), epsilon)`.
    #[inline(never)]
    fn adagrad(&mut self, start: usize, gradient: &[i32], mut bits: Bits) {
        let rounding = Rounding::between(self.rate.exponent + 16 - second::RATIO_BITS, self.exponent);
        let weights = from_mut(mantissas_mut(self.block, self.len), start);
        let (rate, mut peak) = (self.rate, self.peak);
        let (second, squares) = self.second.from(start);
        for ((w, v), g) in weights.iter_mut().zip(squares).zip(gradient) {
            *v = second.advance(*v, *g, self.gradient, bits.advance());
            let ratio = second.ratio(*g, self.gradient, *v);
            peak |= rounding.subtract(rate.mantissa_times(ratio), bits.advance(), w);
        }
        self.peak = peak;
    }
}

/// How a change becomes units of a weight: shifted first where it is far from them, then rounded at random.
#[derive(Clone, Copy, Debug)]
struct Rounding {
    left: i32,
    right: u32,
}

impl Rounding {
    /// From units of `2^from` to those of `2^to`.
    fn between(from: i32, to: i32) -> Self {
        let right = to.saturating_sub(from);
        // At most 30 bits are rounded: a change of as many and the random ones fit 32.
        let rounded = right.clamp(1, 30);
        Self { left: rounded - right, right: rounded as u32 }
    }

    /// `w -= change`; gives the bits of the new weight.
    #[inline(always)]
    fn subtract(self, change: i32, noise: u32, w: &mut i16) -> u32 {
        let change = if self.left == 0 { change } else { shift(change, self.left) };
        subtract(change, self.right, noise, w)
    }
}

/// `w -= change / 2^right`, rounded by the upper bits of `noise`; gives the bits of the new weight.
#[inline(always)]
pub fn subtract(change: i32, right: u32, noise: u32, w: &mut i16) -> u32 {
    let rounded = change.wrapping_add((noise >> (32 - right)) as i32) >> right;
    let new = i32::from(*w).wrapping_sub(rounded);
    *w = new as i16;
    if i32::from(*w) != new {
        *w = if new < 0 { -i16::MAX } else { i16::MAX };
    }
    let new = i32::from(*w);
    (new ^ (new >> 31)) as u32
}
