//! Exponents of sums of products: how far each product is shifted, so that 32 bits hold them all.

use super::block::{MAX_EXPONENT, MIN_EXPONENT, exponent, stride};
use super::number::log2_up;
use crate::kernels::util::rows;

/// Sums of products of mantissas, in units of `2^exponent`, each product shifted right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sums {
    /// Power of two of the sums' unit.
    pub exponent: i32,
    /// Bits that each product loses, rounded down.
    pub right: u32,
}

/// Bits by which a bias may be shifted left.
const ROOM: i32 = 15;

impl Sums {
    /// For so many products of mantissas with these exponents, and a bias with this one.
    ///
    /// A product has 30 bits, `2^n` of them shifted right by n have as many, and so has the bias: all fit 32.
    #[inline]
    pub fn new(terms: usize, [a, b]: [i32; 2], bias: i32) -> Self {
        let product = a.saturating_add(b);
        let exponent = (product + log2_up(terms) as i32).max(bias - ROOM);
        Self { exponent, right: (exponent - product).min(31) as u32 }
    }

    /// Every sum starts from its bias, whose exponent this is; an absent one counts as zeros.
    #[inline]
    pub fn start(self, bias: (i32, &[i16]), sums: &mut [i32]) {
        let (exponent, bias) = bias;
        if bias.is_empty() {
            return sums.fill(0);
        }
        // At most ROOM.
        let left = exponent.saturating_sub(self.exponent);
        let (left, right) = (left.clamp(0, ROOM) as u32, (-left).clamp(0, 31) as u32);
        for (sum, bias) in sums.iter_mut().zip(bias) {
            *sum = i32::from(*bias) << left >> right;
        }
    }
}

/// How the products of several samples are brought to one unit: those of gradients with inputs.
#[derive(Clone, Copy, Debug)]
pub struct Gradient {
    /// Power of two of the sums' unit.
    pub exponent: i32,
    /// Elements of a sample's input and of its gradient; none of the former for biases.
    pub len: [usize; 2],
}

/// What a bias is multiplied by: 2^14, the exponent of which is this.
pub const ONE: (i16, i32) = (1 << 14, -14);

impl Gradient {
    /// For products of the blocks in `x` and `dy`, `terms` of each sample.
    pub fn new(len: [usize; 2], x: &[i16], dy: &[i16], terms: usize) -> Self {
        let (mut exponent, mut samples) = (2 * MIN_EXPONENT, 0usize);
        let mut gradient = Self { exponent, len };
        for own in gradient.products(x, dy) {
            exponent = exponent.max(own);
            samples += 1;
        }
        let headroom = log2_up(samples.saturating_mul(terms)) as i32;
        gradient.exponent = (exponent + headroom).min(2 * MAX_EXPONENT);
        gradient
    }

    /// The exponent of every sample's products.
    fn products<'a>(self, x: &'a [i16], dy: &'a [i16]) -> impl Iterator<Item = i32> + 'a {
        let [inputs, outputs] = self.len;
        let mut x = rows(x, stride(inputs));
        let each = rows(dy, stride(outputs));
        each.map(move |dy| {
            let x = if inputs == 0 { ONE.1 } else { x.next().map_or(MIN_EXPONENT, exponent) };
            x.saturating_add(exponent(dy))
        })
    }

    /// How far the products of a sample with these exponents are shifted right.
    #[inline]
    pub fn right(self, [x, dy]: [i32; 2]) -> u32 {
        self.exponent.saturating_sub(x.saturating_add(dy)).clamp(0, 31) as u32
    }
}
