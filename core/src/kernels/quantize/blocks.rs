//! Between f32 and int8 in blocks, each with the size of its greatest value: what is kept of an activation for the
//! backward pass where RAM is short.
//!
//! A value of the block with greatest size `s` becomes `round(|x| * 127 / s)` with its sign, and comes back as that
//! many times `s / 127`. Nothing else becomes 0 or the greatest value: what limits of an activation function left
//! untouched still lies within them, so that its gradient passes or stops where it would have without this.
//!
//! Dettmers et al. 2021, "8-bit optimizers via block-wise quantization", have the scale of each block; Chen et al.
//! 2021, "ActNN: reducing training memory footprint via 2-bit activation compressed training", keep activations so.

use crate::arch::Isa;
use crate::kernels::util::{elements, rows, rows_mut};
use crate::memory::Slices;
use crate::plan::{Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Values with one scale.
pub const BLOCK: usize = 64;

/// The code of a block's greatest value.
const MOST: i32 = i8::MAX as i32;

/// Codes of samples of `len` values each, and the size of the greatest value of each block.
///
/// Where a value is none, its block's scale is none, too.
pub fn quantize_blocks(len: usize, x: &[f32], codes: &mut [i8], scales: &mut [f32]) {
    let samples = rows(x, len).zip(rows_mut(codes, len)).zip(rows_mut(scales, len.div_ceil(BLOCK)));
    for ((x, codes), scales) in samples {
        for ((x, codes), scale) in x.chunks(BLOCK).zip(codes.chunks_mut(BLOCK)).zip(scales) {
            *scale = x.iter().fold(0.0, |most, x| f32::from_bits(most.to_bits().max(x.abs().to_bits())));
            let factor = MOST as f32 / *scale;
            for (code, x) in codes.iter_mut().zip(x) {
                let size = match x.abs() {
                    0.0 => 0,
                    size if size == *scale => MOST,
                    size => ((size * factor + 0.5) as i32).clamp(1, MOST - 1),
                };
                *code = if x.is_sign_negative() { -size } else { size } as i8;
            }
        }
    }
}

/// The values of these codes.
pub fn dequantize_blocks(len: usize, codes: &[i8], scales: &[f32], y: &mut [f32]) {
    let samples = rows(codes, len).zip(rows(scales, len.div_ceil(BLOCK))).zip(rows_mut(y, len));
    for ((codes, scales), y) in samples {
        for ((codes, scale), y) in codes.chunks(BLOCK).zip(scales).zip(y.chunks_mut(BLOCK)) {
            let step = *scale / MOST as f32;
            for (y, code) in y.iter_mut().zip(codes) {
                *y = match i32::from(*code) {
                    MOST => *scale,
                    code if code == -MOST => -*scale,
                    code => code as f32 * step,
                };
            }
        }
    }
}

fn is_valid(len: u32, blocks: u32) -> bool {
    elements([len]).is_some() && blocks as usize == (len as usize).div_ceil(BLOCK)
}

/// Step from f32 to blocks of int8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct QuantizeBlocks {
    /// Elements of one sample.
    pub len: u32,
    /// Blocks of one sample: a [`BLOCK`]th of that, rounded up.
    pub blocks: u32,
    /// Input, f32.
    pub x: Ref,
    /// Output, int8.
    pub codes: Ref,
    /// Output, f32.
    pub scales: Ref,
}

impl StepRecord for QuantizeBlocks {
    operands! {
        x: read f32 [samples, len],
        codes: write i8 [samples, len],
        scales: write f32 [samples, blocks],
    }

    fn shape_is_valid(&self) -> bool {
        is_valid(self.len, self.blocks)
    }

    fn run<I: Isa>(&self, _: I, at: &mut Slices<'_>, _: &mut Context) {
        let (x, codes, scales) = (at.read(), at.write(), at.write());
        quantize_blocks(self.len as usize, x, codes, scales);
    }
}

/// Step from blocks of int8 to f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DequantizeBlocks {
    /// Elements of one sample.
    pub len: u32,
    /// Blocks of one sample: a [`BLOCK`]th of that, rounded up.
    pub blocks: u32,
    /// Input, int8.
    pub codes: Ref,
    /// Input, f32.
    pub scales: Ref,
    /// Output, f32.
    pub y: Ref,
}

impl StepRecord for DequantizeBlocks {
    operands! {
        codes: read i8 [samples, len],
        scales: read f32 [samples, blocks],
        y: write f32 [samples, len],
    }

    fn shape_is_valid(&self) -> bool {
        is_valid(self.len, self.blocks)
    }

    fn run<I: Isa>(&self, _: I, at: &mut Slices<'_>, _: &mut Context) {
        let (codes, scales, y) = (at.read(), at.read(), at.write());
        dequantize_blocks(self.len as usize, codes, scales, y);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    fn round_trip(len: usize, x: &[f32]) -> Vec<f32> {
        let mut codes = vec![0; x.len()];
        let mut scales = vec![0.0; x.len() / len * len.div_ceil(BLOCK)];
        let mut y = vec![f32::NAN; x.len()];
        quantize_blocks(len, x, &mut codes, &mut scales);
        dequantize_blocks(len, &codes, &scales, &mut y);
        y
    }

    proptest! {
        /// Within half a step, or within one beside 0 and the greatest value, which come back as they were.
        #[test]
        fn values_come_back(len in 1usize..150, samples in 1usize..3, seed: u64, exponent in -120i32..120) {
            let mut rng = crate::rng::Rng::new(seed);
            let unit = 2f32.powi(exponent);
            let mut x: Vec<f32> = (0..len * samples).map(|_| rng.uniform_f32(-1.0, 1.0) * unit).collect();
            for zero in 0..len * samples / 5 {
                x[zero * 5] = 0.0;
            }
            let y = round_trip(len, &x);
            for (x, y) in x.chunks(len).zip(y.chunks(len)) {
                for (x, y) in x.chunks(BLOCK).zip(y.chunks(BLOCK)) {
                    let most = x.iter().fold(0f32, |most, x| most.max(x.abs()));
                    for (x, y) in x.iter().zip(y) {
                        prop_assert_eq!(*x == 0.0, *y == 0.0);
                        prop_assert_eq!(x.abs() == most, y.abs() == most);
                        prop_assert!(*x == 0.0 || x.is_sign_negative() == y.is_sign_negative());
                        let steps = (f64::from(*x) - f64::from(*y)).abs() / (f64::from(most.max(f32::MIN_POSITIVE)) / 127.0);
                        let beside = y.abs() < 1.5 * most / 127.0 || y.abs() > 125.5 * most / 127.0;
                        prop_assert!(steps < if beside { 1.001 } else { 0.501 }, "{} {} {}", x, y, most);
                    }
                }
            }
        }
    }

    #[test]
    fn odd_values_stay_odd() {
        assert_eq!(round_trip(3, &[0.0, -0.0, 0.0]), [0.0; 3]);
        let tiny = f32::from_bits(1);
        assert_eq!(round_trip(3, &[tiny, -tiny, 0.0]), [tiny, -tiny, 0.0]);
        let found = round_trip(3, &[f32::INFINITY, 1.0, f32::NEG_INFINITY]);
        assert!(found[0] == f32::INFINITY && found[2] == f32::NEG_INFINITY);
        // One value that is none spoils its block, and no other.
        let mut x = [1.0; 2 * BLOCK];
        x[3] = f32::NAN;
        let found = round_trip(2 * BLOCK, &x);
        assert!(found[..BLOCK].iter().all(|y| y.is_nan()) && found[BLOCK..].iter().all(|y| *y == 1.0));
    }

    #[test]
    fn wrong_counts_of_blocks_are_refused() {
        let step =
            QuantizeBlocks { len: 65, blocks: 2, x: Ref::arena(0), codes: Ref::arena(260), scales: Ref::arena(328) };
        assert!(step.shape_is_valid());
        assert!(!QuantizeBlocks { blocks: 1, ..step }.shape_is_valid());
        assert!(!QuantizeBlocks { blocks: 3, ..step }.shape_is_valid());
        assert!(!QuantizeBlocks { len: 0, blocks: 0, ..step }.shape_is_valid());
    }
}
