//! Integer loops with AVX2, for all tokens of this architecture. Sums wrap, so their order does not matter: exact.

use crate::arch::scalar;
use core::arch::x86_64::*;

/// Elements multiplied at once.
const BLOCK: usize = 16;

/// See [`crate::arch::Isa::dot_i8`].
///
/// # Safety
/// The processor has AVX2.
#[inline]
#[target_feature(enable = "avx2")]
pub unsafe fn dot_i8(init: i32, x: &[i8], w: &[i8]) -> i32 {
    let len = x.len().min(w.len());
    let (x, w) = (x.split_at(len).0, w.split_at(len).0);
    let [sum, ..] = dots([init, 0, 0, 0], x, [w, &[], &[], &[]]);
    sum
}

/// See [`crate::arch::Isa::matvec_i8`].
///
/// # Safety
/// The processor has AVX2.
#[inline]
#[target_feature(enable = "avx2")]
pub unsafe fn matvec_i8(x: &[i8], w: &[i8], row: usize, acc: &mut [i32]) {
    let (quads, _) = acc.as_chunks_mut::<4>();
    let mut done = 0;
    for quad in quads {
        let at = |output: usize| {
            let start = (done + output).checked_mul(row)?;
            w.get(start..start.checked_add(x.len())?)
        };
        let (Some(w0), Some(w1), Some(w2), Some(w3)) = (at(0), at(1), at(2), at(3)) else { break };
        *quad = dots(*quad, x, [w0, w1, w2, w3]);
        done += 4;
    }
    // What is left: less than four outputs, or filters that end too early.
    let (acc, w) = (acc.get_mut(done..).unwrap_or_default(), w.get(done.saturating_mul(row)..).unwrap_or(&[]));
    scalar::matvec_i8(x, w, row, acc);
}

/// Adds to each sum the products of `x` with one filter. Filters have the length of `x`, or none at all.
#[inline]
#[target_feature(enable = "avx2")]
fn dots(sums: [i32; 4], x: &[i8], filters: [&[i8]; 4]) -> [i32; 4] {
    let (blocks, rest) = x.as_chunks::<BLOCK>();
    let filters = filters.map(|filter| filter.as_chunks::<BLOCK>());
    let mut partial = [_mm256_setzero_si256(); 4];
    for (index, x) in blocks.iter().enumerate() {
        let x = widen(x);
        for ((blocks, _), partial) in filters.iter().zip(&mut partial) {
            if let Some(w) = blocks.get(index) {
                // Two products of at most 2^14 each fit the 32 bits that they are added in.
                *partial = _mm256_add_epi32(*partial, _mm256_madd_epi16(x, widen(w)));
            }
        }
    }
    let [p0, p1, p2, p3] = partial;
    let both = _mm256_hadd_epi32(_mm256_hadd_epi32(p0, p1), _mm256_hadd_epi32(p2, p3));
    let four = _mm_add_epi32(_mm256_castsi256_si128(both), _mm256_extracti128_si256::<1>(both));
    let mut totals = [0i32; 4];
    // SAFETY: four integers are 16 bytes.
    unsafe { _mm_storeu_si128(totals.as_mut_ptr().cast(), four) };
    let mut result = sums;
    for ((result, total), (_, w)) in result.iter_mut().zip(totals).zip(filters) {
        *result = scalar::dot_i8(result.wrapping_add(total), rest, w);
    }
    result
}

/// Sixteen bytes as sixteen integers of 16 bits.
#[inline]
#[target_feature(enable = "avx2")]
fn widen(bytes: &[i8; BLOCK]) -> __m256i {
    // SAFETY: a block is 16 bytes.
    _mm256_cvtepi8_epi16(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) })
}
