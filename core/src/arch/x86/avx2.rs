//! AVX2: eight floats at a time, with and without FMA.

use super::int8;
use crate::arch::vector::narrow::{self, Narrow};
use crate::arch::vector::pack::{self, Block};
use crate::arch::vector::tile::{self, Tile};
use crate::arch::vector::{Quads, Vector, gemm, loops, norm, pool, window};
use crate::arch::{Gemm, Threads};
use crate::optim::Optimizer;
use core::arch::x86_64::*;

/// Proof that the processor has AVX2 and FMA; multiply-adds are fused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx2 {
    threads: Threads,
}

/// Proof that the processor has AVX2; every operation is rounded, so that all results are the scalar token's bits.
///
/// It replays on a PC what a device computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx2Exact {
    threads: Threads,
}

impl Avx2 {
    /// A token of one thread, if this processor has the instructions.
    pub fn new() -> Option<Self> {
        let found = std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma");
        found.then_some(Self { threads: Threads::ONE })
    }
}

impl Avx2Exact {
    /// A token of one thread, if this processor has the instructions.
    pub fn new() -> Option<Self> {
        std::is_x86_feature_detected!("avx2").then_some(Self { threads: Threads::ONE })
    }
}

vector_isa!(Avx2: Avx2, features "avx2,fma", vectors Fused);
vector_isa!(Avx2Exact: Avx2Exact, features "avx2", vectors Exact);

/// Eight floats; `mul_add` rounds once.
#[derive(Clone, Copy)]
struct Fused(__m256);

/// Eight floats; `mul_add` rounds twice.
#[derive(Clone, Copy)]
struct Exact(__m256);

macro_rules! vector {
    ($name:ident, fused $fused:literal, features $features:literal, mul_add |$a:ident, $x:ident, $y:ident| $mul_add:expr) => {
        impl Vector for $name {
            const LANES: usize = 8;
            const TILE_ROWS: usize = 6;
            const FUSED: bool = $fused;
            type Mask = __m256i;

            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn splat(x: f32) -> Self {
                Self(_mm256_set1_ps(x))
            }

            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn load(from: *const f32) -> Self {
                // SAFETY: the caller says that eight floats are there.
                Self(unsafe { _mm256_loadu_ps(from) })
            }

            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn store(self, to: *mut f32) {
                // SAFETY: the caller says that eight floats may be written there.
                unsafe { _mm256_storeu_ps(to, self.0) }
            }

            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn mask(lanes: usize) -> __m256i {
                _mm256_cmpgt_epi32(_mm256_set1_epi32(lanes as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))
            }

            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn load_masked(from: *const f32, mask: __m256i) -> Self {
                // SAFETY: the caller says that the masked floats are there; the instruction touches no others.
                Self(unsafe { _mm256_maskload_ps(from, mask) })
            }

            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn store_masked(self, to: *mut f32, mask: __m256i) {
                // SAFETY: the caller says that the masked floats may be written; the instruction touches no others.
                unsafe { _mm256_maskstore_ps(to, mask, self.0) }
            }

            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn select(self, other: Self, mask: __m256i) -> Self {
                Self(_mm256_blendv_ps(other.0, self.0, _mm256_castsi256_ps(mask)))
            }

            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn greater(self, x: Self) -> __m256i {
                _mm256_castps_si256(_mm256_cmp_ps::<_CMP_GT_OQ>(self.0, x.0))
            }

            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn equal(self, x: Self) -> __m256i {
                _mm256_castps_si256(_mm256_cmp_ps::<_CMP_EQ_OQ>(self.0, x.0))
            }

            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn add(self, x: Self) -> Self {
                Self(_mm256_add_ps(self.0, x.0))
            }

            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn sub(self, x: Self) -> Self {
                Self(_mm256_sub_ps(self.0, x.0))
            }

            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn mul(self, x: Self) -> Self {
                Self(_mm256_mul_ps(self.0, x.0))
            }

            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn div(self, x: Self) -> Self {
                Self(_mm256_div_ps(self.0, x.0))
            }

            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn sqrt(self) -> Self {
                Self(_mm256_sqrt_ps(self.0))
            }

            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn mul_add(self, x: Self, y: Self) -> Self {
                let ($a, $x, $y) = (self.0, x.0, y.0);
                Self($mul_add)
            }

            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn max(self, x: Self) -> Self {
                // The instruction gives its first operand if that is greater, else the second: `x > self ? x : self`.
                Self(_mm256_max_ps(x.0, self.0))
            }

            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn min(self, x: Self) -> Self {
                // Likewise `x < self ? x : self`.
                Self(_mm256_min_ps(x.0, self.0))
            }

            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn load_transposed([low, high, ..]: Quads, stride: usize) -> [Self; 4] {
                // Rows r and r + 4 side by side, so that what is left is a 4x4 transposition in each half.
                let pair = |r: usize| {
                    // SAFETY: the caller says that four floats are at each row.
                    unsafe {
                        let low = _mm256_castps128_ps256(_mm_loadu_ps(low.add(r * stride)));
                        _mm256_insertf128_ps::<1>(low, _mm_loadu_ps(high.add(r * stride)))
                    }
                };
                let (r0, r1, r2, r3) = (pair(0), pair(1), pair(2), pair(3));
                let (low_01, high_01) = (_mm256_unpacklo_ps(r0, r1), _mm256_unpackhi_ps(r0, r1));
                let (low_23, high_23) = (_mm256_unpacklo_ps(r2, r3), _mm256_unpackhi_ps(r2, r3));
                [
                    Self(_mm256_shuffle_ps::<0x44>(low_01, low_23)),
                    Self(_mm256_shuffle_ps::<0xee>(low_01, low_23)),
                    Self(_mm256_shuffle_ps::<0x44>(high_01, high_23)),
                    Self(_mm256_shuffle_ps::<0xee>(high_01, high_23)),
                ]
            }

            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn settle(self, least: f32) -> Self {
                let size = _mm256_andnot_ps(_mm256_set1_ps(-0.0), self.0);
                let stays = _mm256_cmp_ps::<_CMP_NLT_UQ>(size, _mm256_set1_ps(least));
                Self(_mm256_and_ps(self.0, stays))
            }

            #[inline(never)]
            unsafe fn tile<const ROWS: usize, const VECTORS: usize, const MASKED: bool>(tile: &Tile) {
                #[target_feature(enable = $features)]
                unsafe fn enter<const ROWS: usize, const VECTORS: usize, const MASKED: bool>(tile: &Tile) {
                    // SAFETY: the caller's promises are the same.
                    unsafe { tile::run::<$name, ROWS, VECTORS, MASKED>(tile) }
                }
                // SAFETY: the caller's promises are the same.
                unsafe { enter::<ROWS, VECTORS, MASKED>(tile) }
            }

            #[inline(never)]
            unsafe fn narrow<const ROWS: usize, const VECTORS: usize>(narrow: &Narrow) {
                #[target_feature(enable = $features)]
                unsafe fn enter<const ROWS: usize, const VECTORS: usize>(narrow: &Narrow) {
                    // SAFETY: the caller's promises are the same.
                    unsafe { narrow::run::<$name, ROWS, VECTORS>(narrow) }
                }
                // SAFETY: the caller's promises are the same.
                unsafe { enter::<ROWS, VECTORS>(narrow) }
            }

            #[inline(never)]
            unsafe fn pack(block: &Block, width: usize, to: *mut f32) {
                #[target_feature(enable = $features)]
                unsafe fn enter(block: &Block, width: usize, to: *mut f32) {
                    // SAFETY: the caller's promises are the same.
                    unsafe { pack::run::<$name>(block, width, to) }
                }
                // SAFETY: the caller's promises are the same.
                unsafe { enter(block, width, to) }
            }
        }
    };
}

vector!(Fused, fused true, features "avx2,fma", mul_add |a, x, y| _mm256_fmadd_ps(a, x, y));
vector!(Exact, fused false, features "avx2", mul_add |a, x, y| _mm256_add_ps(_mm256_mul_ps(a, x), y));
