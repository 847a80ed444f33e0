//! One generator for weight initialisation, shuffling and stochastic rounding.
//!
//! PCG-XSH-RR 64/32 (O'Neill, "PCG: A Family of Simple Fast Space-Efficient Statistically Good Algorithms", 2014):
//! small, fast on 32-bit cores and the same everywhere.

/// A seeded generator of 32-bit words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rng {
    state: u64,
    increment: u64,
}

impl Rng {
    /// A generator for `seed`; equal seeds give equal sequences on every target.
    pub fn new(seed: u64) -> Self {
        Self::with_stream(seed, 54)
    }

    /// An independent sequence for the same seed.
    pub fn with_stream(seed: u64, stream: u64) -> Self {
        let mut rng = Self { state: 0, increment: (stream << 1) | 1 };
        rng.next_u32();
        rng.state = rng.state.wrapping_add(seed);
        rng.next_u32();
        rng
    }

    /// Where the sequence stands, for [`Rng::from_state`].
    pub fn state(&self) -> [u64; 2] {
        [self.state, self.increment]
    }

    /// The generator that goes on from there.
    pub fn from_state([state, increment]: [u64; 2]) -> Self {
        // An even increment, which no generator has, would shorten the sequence.
        Self { state, increment: increment | 1 }
    }

    /// The next 32 bits.
    pub fn next_u32(&mut self) -> u32 {
        let old = self.state;
        self.state = old.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(self.increment);
        let xorshifted = (((old >> 18) ^ old) >> 27) as u32;
        xorshifted.rotate_right((old >> 59) as u32)
    }

    /// A whole number in `0..bound`, without bias; 0 if `bound` is 0.
    pub fn below(&mut self, bound: u32) -> u32 {
        // Lemire, "Fast Random Integer Generation in an Interval", 2019.
        let mut product = u64::from(self.next_u32()) * u64::from(bound);
        if (product as u32) < bound {
            let threshold = bound.wrapping_neg().checked_rem(bound).unwrap_or(0);
            while (product as u32) < threshold {
                product = u64::from(self.next_u32()) * u64::from(bound);
            }
        }
        (product >> 32) as u32
    }

    /// A number in `[0, 1)` with 24 random bits.
    pub fn unit_f32(&mut self) -> f32 {
        (self.next_u32() >> 8) as f32 * (1.0 / 16_777_216.0)
    }

    /// A number in `[lo, hi)`.
    pub fn uniform_f32(&mut self, lo: f32, hi: f32) -> f32 {
        lo + (hi - lo) * self.unit_f32()
    }

    /// Fisher-Yates shuffle in place.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last as u32 + 1) as usize;
            if other < items.len() && last < items.len() {
                items.swap(last, other);
            }
        }
    }
}

/// 32 random bits for an update's parameter, without a generator's state: those that PCG-RXS-M-XS-32 (O'Neill 2014)
/// makes of a counter.
#[inline]
pub fn draw(update: u32, parameter: u32) -> u32 {
    let state = parameter.wrapping_mul(747_796_405).wrapping_add(update.wrapping_mul(2_891_336_453));
    let word = ((state >> ((state >> 28) + 4)) ^ state).wrapping_mul(277_803_737);
    (word >> 22) ^ word
}

/// A short sequence that begins at some bits, such as [`draw`]'s: the upper bits of a linear congruential generator
/// (that of PCG's 32-bit state), at one multiplication each.
#[derive(Clone, Copy, Debug)]
pub struct Bits(pub u32);

impl Bits {
    /// The next ones; the upper ones are the best.
    #[inline(always)]
    pub fn advance(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_the_published_reference_sequence() {
        // pcg32-demo, seed 42, stream 54 (pcg-random.org).
        let mut rng = Rng::new(42);
        let expected = [0xa15c_02b7, 0x7b47_f409, 0xba1d_3330, 0x83d2_f293, 0xbfa4_784b, 0xcbed_606e];
        for word in expected {
            assert_eq!(rng.next_u32(), word);
        }
    }

    #[test]
    fn it_goes_on_from_its_state() {
        let mut rng = Rng::with_stream(3, 4);
        rng.next_u32();
        let mut other = Rng::from_state(rng.state());
        assert_eq!(other.next_u32(), rng.next_u32());
        assert_eq!(other, rng);
    }

    #[test]
    fn below_stays_below() {
        let mut rng = Rng::new(1);
        assert_eq!(rng.below(0), 0);
        for bound in 1..100 {
            assert!(rng.below(bound) < bound);
        }
    }

    #[test]
    fn shuffle_keeps_every_item() {
        let mut items: std::vec::Vec<u32> = (0..100).collect();
        Rng::new(7).shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<std::vec::Vec<u32>>());
        items.sort();
        assert_eq!(items, (0..100).collect::<std::vec::Vec<u32>>());
    }
}
