//! NEON: four floats at a time.

use crate::arch::scalar as int8;
use crate::arch::vector::narrow::{self, Narrow};
use crate::arch::vector::pack::{self, Block};
use crate::arch::vector::tile::{self, Tile};
use crate::arch::vector::{Quads, Vector, gemm, loops, norm, pool, window};
use crate::arch::{Gemm, Threads};
use crate::optim::Optimizer;
use core::arch::aarch64::*;

/// Proof that the processor has NEON; multiply-adds are fused. Products of int8 are the definition's loops, which the
/// compiler makes vectors of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neon {
    threads: Threads,
}

impl Neon {
    /// A token of one thread, if this processor has the instructions: all but a few without floats have.
    pub fn new() -> Option<Self> {
        std::arch::is_aarch64_feature_detected!("neon").then_some(Self { threads: Threads::ONE })
    }
}

vector_isa!(Neon: Neon, features "neon", vectors Fused);

/// Four floats; `mul_add` rounds once.
#[derive(Clone, Copy)]
struct Fused(float32x4_t);

impl Vector for Fused {
    const LANES: usize = 4;
    const TILE_ROWS: usize = 12;
    const FUSED: bool = true;
    type Mask = uint32x4_t;

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn splat(x: f32) -> Self {
        Self(vdupq_n_f32(x))
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller says that four floats are there.
        Self(unsafe { vld1q_f32(from) })
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller says that four floats may be written there.
        unsafe { vst1q_f32(to, self.0) }
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn mask(lanes: usize) -> uint32x4_t {
        // SAFETY: the array has four numbers.
        let places = unsafe { vld1q_u32([0, 1, 2, 3].as_ptr()) };
        vcgtq_u32(vdupq_n_u32(lanes as u32), places)
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn load_masked(from: *const f32, mask: uint32x4_t) -> Self {
        let mut values = [0.0; 4];
        for (lane, (value, wanted)) in values.iter_mut().zip(lanes(mask)).enumerate() {
            if wanted != 0 {
                // SAFETY: the caller says that the masked floats are there; no others are touched.
                *value = unsafe { *from.wrapping_add(lane) };
            }
        }
        // SAFETY: the array has four floats.
        Self(unsafe { vld1q_f32(values.as_ptr()) })
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn store_masked(self, to: *mut f32, mask: uint32x4_t) {
        let mut values = [0.0; 4];
        // SAFETY: the array has four floats.
        unsafe { vst1q_f32(values.as_mut_ptr(), self.0) };
        for (lane, (value, wanted)) in values.into_iter().zip(lanes(mask)).enumerate() {
            if wanted != 0 {
                // SAFETY: the caller says that the masked floats may be written; no others are touched.
                unsafe { *to.wrapping_add(lane) = value };
            }
        }
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn select(self, other: Self, mask: uint32x4_t) -> Self {
        Self(vbslq_f32(mask, self.0, other.0))
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn greater(self, x: Self) -> uint32x4_t {
        vcgtq_f32(self.0, x.0)
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn equal(self, x: Self) -> uint32x4_t {
        vceqq_f32(self.0, x.0)
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn add(self, x: Self) -> Self {
        Self(vaddq_f32(self.0, x.0))
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn sub(self, x: Self) -> Self {
        Self(vsubq_f32(self.0, x.0))
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn mul(self, x: Self) -> Self {
        Self(vmulq_f32(self.0, x.0))
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn div(self, x: Self) -> Self {
        Self(vdivq_f32(self.0, x.0))
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn sqrt(self) -> Self {
        Self(vsqrtq_f32(self.0))
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn mul_add(self, x: Self, y: Self) -> Self {
        Self(vfmaq_f32(y.0, self.0, x.0))
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn max(self, x: Self) -> Self {
        // Not the instruction for it, which gives not-a-number if either is.
        Self(vbslq_f32(vcgtq_f32(x.0, self.0), x.0, self.0))
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn min(self, x: Self) -> Self {
        Self(vbslq_f32(vcltq_f32(x.0, self.0), x.0, self.0))
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn settle(self, least: f32) -> Self {
        let small = vcltq_f32(vabsq_f32(self.0), vdupq_n_f32(least));
        Self(vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(self.0), small)))
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn load_transposed([first, ..]: Quads, stride: usize) -> [Self; 4] {
        // SAFETY: the caller says that four floats are at each row.
        let row = |r: usize| unsafe { vld1q_f32(first.add(r * stride)) };
        let (r0, r1, r2, r3) = (row(0), row(1), row(2), row(3));
        // Pairs of elements, then pairs of pairs.
        let even = |a, b| vreinterpretq_f64_f32(vtrn1q_f32(a, b));
        let odd = |a, b| vreinterpretq_f64_f32(vtrn2q_f32(a, b));
        let (even_01, odd_01, even_23, odd_23) = (even(r0, r1), odd(r0, r1), even(r2, r3), odd(r2, r3));
        [
            Self(vreinterpretq_f32_f64(vtrn1q_f64(even_01, even_23))),
            Self(vreinterpretq_f32_f64(vtrn1q_f64(odd_01, odd_23))),
            Self(vreinterpretq_f32_f64(vtrn2q_f64(even_01, even_23))),
            Self(vreinterpretq_f32_f64(vtrn2q_f64(odd_01, odd_23))),
        ]
    }

    #[inline(never)]
    unsafe fn tile<const ROWS: usize, const VECTORS: usize, const MASKED: bool>(tile: &Tile) {
        #[target_feature(enable = "neon")]
        unsafe fn enter<const ROWS: usize, const VECTORS: usize, const MASKED: bool>(tile: &Tile) {
            // SAFETY: the caller's promises are the same.
            unsafe { tile::run::<Fused, ROWS, VECTORS, MASKED>(tile) }
        }
        // SAFETY: the caller's promises are the same.
        unsafe { enter::<ROWS, VECTORS, MASKED>(tile) }
    }

    #[inline(never)]
    unsafe fn narrow<const ROWS: usize, const VECTORS: usize>(narrow: &Narrow) {
        #[target_feature(enable = "neon")]
        unsafe fn enter<const ROWS: usize, const VECTORS: usize>(narrow: &Narrow) {
            // SAFETY: the caller's promises are the same.
            unsafe { narrow::run::<Fused, ROWS, VECTORS>(narrow) }
        }
        // SAFETY: the caller's promises are the same.
        unsafe { enter::<ROWS, VECTORS>(narrow) }
    }

    #[inline(never)]
    unsafe fn pack(block: &Block, width: usize, to: *mut f32) {
        #[target_feature(enable = "neon")]
        unsafe fn enter(block: &Block, width: usize, to: *mut f32) {
            // SAFETY: the caller's promises are the same.
            unsafe { pack::run::<Fused>(block, width, to) }
        }
        // SAFETY: the caller's promises are the same.
        unsafe { enter(block, width, to) }
    }
}

/// All bits of a lane are set, or none.
#[inline]
#[target_feature(enable = "neon")]
fn lanes(mask: uint32x4_t) -> [u32; 4] {
    let mut lanes = [0; 4];
    // SAFETY: the array has four numbers.
    unsafe { vst1q_u32(lanes.as_mut_ptr(), mask) };
    lanes
}
