//! AVX-512: sixteen floats at a time, masks for free.

use super::int8;
use crate::arch::vector::narrow::{self, Narrow};
use crate::arch::vector::pack::{self, Block};
use crate::arch::vector::tile::{self, Tile};
use crate::arch::vector::{Quads, Vector, gemm, loops, norm, pool, window};
use crate::arch::{Gemm, Threads};
use crate::optim::Optimizer;
use core::arch::x86_64::*;

/// Proof that the processor has AVX-512 F, BW, DQ and VL (every one with AVX-512 but Xeon Phi); multiply-adds are
/// fused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx512 {
    threads: Threads,
}

impl Avx512 {
    /// A token of one thread, if this processor has the instructions.
    pub fn new() -> Option<Self> {
        let found = std::is_x86_feature_detected!("avx512f")
            && std::is_x86_feature_detected!("avx512bw")
            && std::is_x86_feature_detected!("avx512dq")
            && std::is_x86_feature_detected!("avx512vl");
        found.then_some(Self { threads: Threads::ONE })
    }
}

vector_isa!(
    Avx512: Avx512,
    features "avx512f,avx512bw,avx512dq,avx512vl",
    vectors Fused
);

/// Sixteen floats; `mul_add` rounds once.
#[derive(Clone, Copy)]
struct Fused(__m512);

impl Vector for Fused {
    const LANES: usize = 16;
    const TILE_ROWS: usize = 12;
    const FUSED: bool = true;
    type Mask = __mmask16;

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn splat(x: f32) -> Self {
        Self(_mm512_set1_ps(x))
    }

    #[inline(always)]
    fn prefetch(from: *const f32, vectors: usize) {
        for vector in 0..vectors {
            // SAFETY: a prefetch reads nothing.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(vector * 16).cast()) };
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller says that sixteen floats are there.
        Self(unsafe { _mm512_loadu_ps(from) })
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller says that sixteen floats may be written there.
        unsafe { _mm512_storeu_ps(to, self.0) }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn mask(lanes: usize) -> __mmask16 {
        ((1u32 << lanes) - 1) as __mmask16
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn load_masked(from: *const f32, mask: __mmask16) -> Self {
        // SAFETY: the caller says that the masked floats are there; the instruction touches no others.
        Self(unsafe { _mm512_maskz_loadu_ps(mask, from) })
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn store_masked(self, to: *mut f32, mask: __mmask16) {
        // SAFETY: the caller says that the masked floats may be written; the instruction touches no others.
        unsafe { _mm512_mask_storeu_ps(to, mask, self.0) }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn select(self, other: Self, mask: __mmask16) -> Self {
        Self(_mm512_mask_blend_ps(mask, other.0, self.0))
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn greater(self, x: Self) -> __mmask16 {
        _mm512_cmp_ps_mask::<_CMP_GT_OQ>(self.0, x.0)
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn equal(self, x: Self) -> __mmask16 {
        _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(self.0, x.0)
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn add(self, x: Self) -> Self {
        Self(_mm512_add_ps(self.0, x.0))
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn sub(self, x: Self) -> Self {
        Self(_mm512_sub_ps(self.0, x.0))
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn mul(self, x: Self) -> Self {
        Self(_mm512_mul_ps(self.0, x.0))
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn div(self, x: Self) -> Self {
        Self(_mm512_div_ps(self.0, x.0))
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn sqrt(self) -> Self {
        Self(_mm512_sqrt_ps(self.0))
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn mul_add(self, x: Self, y: Self) -> Self {
        Self(_mm512_fmadd_ps(self.0, x.0, y.0))
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn max(self, x: Self) -> Self {
        // The instruction gives its first operand if that is greater, else the second: `x > self ? x : self`.
        Self(_mm512_max_ps(x.0, self.0))
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn min(self, x: Self) -> Self {
        // Likewise `x < self ? x : self`.
        Self(_mm512_min_ps(x.0, self.0))
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq")]
    unsafe fn settle(self, least: f32) -> Self {
        let size = _mm512_andnot_ps(_mm512_set1_ps(-0.0), self.0);
        let stays = _mm512_cmp_ps_mask::<_CMP_NLT_UQ>(size, _mm512_set1_ps(least));
        Self(_mm512_maskz_mov_ps(stays, self.0))
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq")]
    unsafe fn load_transposed(quads: Quads, stride: usize) -> [Self; 4] {
        // Rows r, r + 4, r + 8 and r + 12 side by side, so that what is left is a 4x4 transposition in each quarter.
        let four = |r: usize| {
            let [first, second, third, fourth] = quads.map(|quad| {
                // SAFETY: the caller says that four floats are at each row.
                unsafe { _mm_loadu_ps(quad.add(r * stride)) }
            });
            let half = _mm512_insertf32x4::<1>(_mm512_castps128_ps512(first), second);
            _mm512_insertf32x4::<3>(_mm512_insertf32x4::<2>(half, third), fourth)
        };
        let (r0, r1, r2, r3) = (four(0), four(1), four(2), four(3));
        let (low_01, high_01) = (_mm512_unpacklo_ps(r0, r1), _mm512_unpackhi_ps(r0, r1));
        let (low_23, high_23) = (_mm512_unpacklo_ps(r2, r3), _mm512_unpackhi_ps(r2, r3));
        [
            Self(_mm512_shuffle_ps::<0x44>(low_01, low_23)),
            Self(_mm512_shuffle_ps::<0xee>(low_01, low_23)),
            Self(_mm512_shuffle_ps::<0x44>(high_01, high_23)),
            Self(_mm512_shuffle_ps::<0xee>(high_01, high_23)),
        ]
    }

    #[inline(never)]
    unsafe fn tile<const ROWS: usize, const VECTORS: usize, const MASKED: bool>(tile: &Tile) {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
        unsafe fn enter<const ROWS: usize, const VECTORS: usize, const MASKED: bool>(tile: &Tile) {
            // SAFETY: the caller's promises are the same.
            unsafe { tile::run::<Fused, ROWS, VECTORS, MASKED>(tile) }
        }
        // SAFETY: the caller's promises are the same.
        unsafe { enter::<ROWS, VECTORS, MASKED>(tile) }
    }

    #[inline(never)]
    unsafe fn narrow<const ROWS: usize, const VECTORS: usize>(narrow: &Narrow) {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
        unsafe fn enter<const ROWS: usize, const VECTORS: usize>(narrow: &Narrow) {
            // SAFETY: the caller's promises are the same.
            unsafe { narrow::run::<Fused, ROWS, VECTORS>(narrow) }
        }
        // SAFETY: the caller's promises are the same.
        unsafe { enter::<ROWS, VECTORS>(narrow) }
    }

    #[inline(never)]
    unsafe fn pack(block: &Block, width: usize, to: *mut f32) {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
        unsafe fn enter(block: &Block, width: usize, to: *mut f32) {
            // SAFETY: the caller's promises are the same.
            unsafe { pack::run::<Fused>(block, width, to) }
        }
        // SAFETY: the caller's promises are the same.
        unsafe { enter(block, width, to) }
    }
}
