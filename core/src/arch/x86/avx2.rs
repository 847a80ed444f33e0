//! AVX2 with FMA: eight floats at a time, sums split over lanes. `docs/numerics.md` bounds the difference from the
//! scalar token.

use crate::arch::{Isa, IsaId};

/// Proof that the processor has AVX2 and FMA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx2(());

impl Avx2 {
    /// A token, if this processor has the instructions.
    pub fn new() -> Option<Self> {
        (std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma")).then_some(Self(()))
    }
}

impl Isa for Avx2 {
    const ID: IsaId = IsaId::Avx2;
}
