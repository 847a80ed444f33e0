//! How many multiply-adds this core can do: loops that do nothing else.

/// Floating-point operations of one repetition of any peak loop.
pub const FLOPS: f64 = 2.0 * 16.0 * 8.0 * STEPS as f64;
const STEPS: u64 = 96;

/// A loop's name and the loop, which runs so many repetitions.
pub type Peak = (&'static str, fn(u64));

/// The loops that this processor can run, narrow ones first.
pub fn available() -> Vec<Peak> {
    #[cfg(target_arch = "x86_64")]
    {
        let mut peaks: Vec<Peak> = Vec::new();
        if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
            peaks.push(("256-bit peak", x86::wide_256));
        }
        if std::is_x86_feature_detected!("avx512f") {
            peaks.push(("512-bit peak", x86::wide_512));
        }
        peaks
    }
    #[cfg(not(target_arch = "x86_64"))]
    Vec::new()
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::STEPS;
    use std::arch::x86_64::*;
    use std::hint::black_box;

    /// Independent sums: more than latency times throughput of any processor so far.
    const SUMS: usize = 12;

    #[target_feature(enable = "avx2,fma")]
    fn run_256(repetitions: u64) {
        let (a, b) = (_mm256_set1_ps(black_box(0.999)), _mm256_set1_ps(black_box(1e-6)));
        let mut sums = [_mm256_set1_ps(1.0); SUMS];
        for _ in 0..repetitions * STEPS * 16 / SUMS as u64 {
            for sum in &mut sums {
                *sum = _mm256_fmadd_ps(*sum, a, b);
            }
        }
        black_box(sums);
    }

    #[target_feature(enable = "avx512f")]
    fn run_512(repetitions: u64) {
        let (a, b) = (_mm512_set1_ps(black_box(0.999)), _mm512_set1_ps(black_box(1e-6)));
        let mut sums = [_mm512_set1_ps(1.0); SUMS];
        for _ in 0..repetitions * STEPS * 8 / SUMS as u64 {
            for sum in &mut sums {
                *sum = _mm512_fmadd_ps(*sum, a, b);
            }
        }
        black_box(sums);
    }

    pub fn wide_256(repetitions: u64) {
        // SAFETY: `available` lists this loop only where AVX2 and FMA are found.
        unsafe { run_256(repetitions) }
    }

    pub fn wide_512(repetitions: u64) {
        // SAFETY: `available` lists this loop only where AVX-512 is found.
        unsafe { run_512(repetitions) }
    }
}
