//! Second moments: 16-bit floats, the upper half of an f32 without its sign (8 bits of exponent, 8 of mantissa).
//! Squares span twice as many powers of two as gradients do, so that integers with one exponent would lose the small
//! ones, by whose roots Adam and AdaGrad divide.

use super::first::USED;
use crate::kernels::fixed::block::{mantissas_mut, mark, set_head};
use crate::kernels::fixed::number::{Factor, mul_q16, shift};
use crate::kernels::util::from_mut;
use crate::optim::OptimizerRecord;

/// Ratios are in units of 2^-20,
pub const RATIO_BITS: i32 = 20;
/// and at most 8 in size: Adam's own do not reach 4 with its usual settings.
const MOST: i32 = 8 << RATIO_BITS;

/// Entries of the table for each power of two.
const STEPS: usize = 64;
/// `2^20 / sqrt(m)` for mantissas m from 256 to 1024: of even exponents, then of odd ones.
#[allow(clippy::indexing_slicing, reason = "what leaves the array does not compile")]
const ROOTS: [u32; 2 * STEPS] = {
    let (mut roots, mut i) = ([0; 2 * STEPS], 0);
    while i < 2 * STEPS {
        // The middle of a step.
        let mantissa = (256 + 4 * (i % STEPS) as u64 + 2) << (i / STEPS);
        roots[i] = ((1u64 << 40) / mantissa).isqrt() as u32;
        i += 1;
    }
    roots
};

/// The second moments of one parameter; empty for rules without.
#[derive(Debug)]
pub struct Second<'a> {
    values: &'a mut [i16],
    rule: Gain,
}

/// What of a square comes in, what of the moment stays, and the least that a root takes.
#[derive(Clone, Copy, Debug)]
pub struct Gain {
    /// `1 - beta_2`, or 1 where all of the moment stays.
    gain: Factor,
    /// Whether all of it stays.
    keeps: bool,
    /// `epsilon` squared, as a moment.
    least: u16,
}

impl<'a> Second<'a> {
    /// With the optimiser's settings. Moments of which all `keeps` start from what the settings say, others from 0.
    pub fn new(block: &'a mut [i16], len: usize, settings: &OptimizerRecord, keeps: bool) -> Self {
        // Rules without second moments need no float for them.
        let rule = if block.is_empty() {
            Gain { gain: Factor { mantissa: 0, exponent: 0 }, keeps, least: 0 }
        } else {
            let least = (settings.epsilon * settings.epsilon).to_bits() >> 15;
            let gain = if keeps { 1.0 } else { 1.0 - settings.beta_2 };
            Gain { gain: Factor::of(gain), keeps, least: least.min(0xffff) as u16 }
        };
        if keeps && mark(block) != USED {
            mantissas_mut(block, len).fill((settings.state_init.to_bits() >> 15) as i16);
            set_head(block, 0, USED);
        }
        Self { values: mantissas_mut(block, len), rule }
    }

    /// The rule, and the values from `start` on.
    pub fn from(&mut self, start: usize) -> (Gain, &mut [i16]) {
        (self.rule, from_mut(self.values, start))
    }
}

impl Gain {
    /// `v + (g^2 - v)(1 - beta_2)`, or `v + g^2`, rounded at random; `g` in units of `2^exponent`.
    pub fn advance(self, v: i16, g: i32, exponent: i32, noise: u32) -> i16 {
        let (old, old_exponent) = unpack(v as u16);
        let lost = shift(self.gain.mantissa_times(old as i32), self.gain.exponent + 16);
        let kept = if self.keeps { old } else { old.saturating_sub(lost.max(0) as u32) };
        // A square of 16 bits, of which 24 are kept.
        let size = g.unsigned_abs();
        let bits = 32 - size.leading_zeros() as i32;
        let narrow = if bits > 16 { size >> (bits - 16) } else { size << (16 - bits) };
        let square = narrow.wrapping_mul(narrow) >> 8;
        let new = mul_q16(square as i32, self.gain.mantissa) as u32;
        let new_exponent =
            (exponent.saturating_add(bits - 16)).saturating_mul(2).saturating_add(self.gain.exponent + 24);
        if new == 0 {
            return pack(kept, old_exponent, noise);
        }
        if kept == 0 {
            return pack(new, new_exponent, noise);
        }
        let apart = old_exponent.saturating_sub(new_exponent).clamp(-31, 31);
        if apart >= 0 {
            pack(kept + (new >> apart), old_exponent, noise)
        } else {
            pack(new + (kept >> -apart), new_exponent, noise)
        }
    }

    /// `m / max(sqrt(v), epsilon)` in units of `2^-`[`RATIO_BITS`], for a moment in units of `2^exponent`.
    pub fn ratio(self, m: i32, exponent: i32, v: i16) -> i32 {
        let v = (v as u16).max(self.least);
        // 2^((v >> 8) - 135) is the unit of the mantissa; half of an even exponent is that of the root.
        let power = i32::from(v >> 8) - 135;
        let odd = (power & 1) as usize;
        let root = ROOTS.get(odd * STEPS + usize::from(v >> 2 & 0x3f)).copied().unwrap_or(0);
        let left = exponent.saturating_sub((power - odd as i32) / 2).saturating_add(16 - 20 + RATIO_BITS);
        shift(mul_q16(m, root), left).clamp(-MOST, MOST)
    }
}

/// A mantissa of 24 bits and its exponent.
fn unpack(v: u16) -> (u32, i32) {
    let exponent = i32::from(v >> 8);
    if exponent == 0 { (0, 0) } else { (u32::from(v & 0xff | 0x100) << 15, exponent - 150) }
}

/// A moment of at most 25 bits, rounded at random. What is not 0 never becomes 0: its root divides.
fn pack(mantissa: u32, exponent: i32, noise: u32) -> i16 {
    if mantissa == 0 {
        return 0;
    }
    let bits = 32 - mantissa.leading_zeros() as i32;
    let mantissa = if bits > 24 { mantissa >> (bits - 24) } else { mantissa << (24 - bits) };
    let biased = exponent.saturating_add(bits - 24 + 150);
    let float = match biased {
        ..1 => 1 << 23,
        1..=254 => (mantissa & 0x7f_ffff) | (biased as u32) << 23,
        _ => 0x7f00_0000,
    };
    ((float + (noise >> 17)) >> 15) as i16
}
