//! Velocities and first moments: int16 with an exponent that follows them.

use crate::kernels::fixed::block::{MIN_EXPONENT, exponent, mantissas_mut, mark, set_head};
use crate::kernels::fixed::number::{Factor, shift};
use crate::kernels::util::from_mut;
use crate::rng::Bits;

/// Bits that a value has below its unit while it is updated.
pub const FINE: u32 = 12;

/// Bits of values beside their signs, before an update.
const BITS: u32 = 14;

/// What [`mark`] is once there are values.
pub const USED: i16 = 1;

/// The state of one parameter; empty for rules without.
#[derive(Debug)]
pub struct First<'a> {
    block: &'a mut [i16],
    len: usize,
    /// Power of two of a value's unit.
    pub exponent: i32,
    /// The least that it may be: what an update adds is never shifted left.
    least: i32,
    /// How far what is added is shifted right to [`FINE`] units.
    pub gain: u32,
    /// The share that is kept, in units of 2^-16.
    pub keep: u32,
    /// Bits that are left free above the values, for what an update adds.
    spare: u32,
    /// Bits that values have needed so far.
    pub peak: u32,
}

impl<'a> First<'a> {
    /// For updates that add up to 2^30 units of `2^gain`, and mostly much less: sums over many pixels have room for the
    /// greatest that there could be. So the exponent follows the values down to `spare` bits above them; what once does
    /// not fit is limited.
    pub fn new(len: usize, block: &'a mut [i16], gain: i32, keep: f32, spare: u32) -> Self {
        let least = gain.saturating_add(FINE as i32).max(MIN_EXPONENT);
        let mut own = exponent(block);
        if mark(block) != USED {
            own = gain.saturating_add(30 - BITS as i32).max(least);
        } else if own < least {
            let right = own - least;
            for value in mantissas_mut(block, len) {
                *value = shift(i32::from(*value), right) as i16;
            }
            own = least;
        }
        let right = (own - FINE as i32).saturating_sub(gain).clamp(0, 31) as u32;
        Self { block, len, exponent: own, least, gain: right, keep: Factor::of(keep).q16(), spare, peak: 0 }
    }

    /// The values from `start` on.
    pub fn from(&mut self, start: usize) -> &mut [i16] {
        from_mut(mantissas_mut(self.block, self.len), start)
    }

    /// Brings the values to an exponent that fits them.
    pub fn finish(self, bits: &mut Bits) {
        if self.block.is_empty() {
            return;
        }
        let (needed, mut exponent) = (32 - self.peak.leading_zeros(), self.exponent);
        if needed > BITS {
            exponent += 1;
            for value in mantissas_mut(self.block, self.len) {
                *value = ((i32::from(*value) + (bits.advance() >> 31) as i32) >> 1) as i16;
            }
        } else {
            // As small a unit as the next update will leave.
            let left =
                (BITS - self.spare).saturating_sub(needed).min(exponent.saturating_sub(self.least).max(0) as u32);
            if left > 0 && needed > 0 {
                exponent -= left as i32;
                for value in mantissas_mut(self.block, self.len) {
                    *value = (i32::from(*value) << left) as i16;
                }
            }
        }
        let mark = if needed == 0 { 0 } else { USED };
        set_head(self.block, exponent, mark);
    }
}

/// Rounds a value at random; gives its bits.
#[inline(always)]
pub fn store(fine: i32, noise: u32, to: &mut i16) -> u32 {
    let new = (fine.wrapping_add((noise >> (32 - FINE)) as i32) >> FINE).clamp(-0x7fff, 0x7fff);
    *to = new as i16;
    (new ^ (new >> 31)) as u32
}
