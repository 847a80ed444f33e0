//! Average pool, int16 forward. Input and output share their scale.

use crate::arch::Isa;
use crate::kernels::pool::{self, Pool2d, forward_step};
use crate::kernels::requantize::limits_are_valid_i16;
use crate::memory::Slices;
use crate::plan::{Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `y = clamp(sum of window / elements of window, lo, hi)`, rounded to nearest, halves away from zero. Windows of up
/// to 65535 elements sum up within 32 bits.
pub fn forward_i16(shape: &Pool2d, x: &[i16], lo: i32, hi: i32, y: &mut [i16]) {
    pool::forward_i16(shape, true, x, lo, hi, y);
}

/// Forward step, int16, with the activation's limits fused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ForwardI16 {
    /// Shape.
    pub shape: Pool2d,
    /// Input.
    pub x: Ref,
    /// Output.
    pub y: Ref,
    /// Least output.
    pub lo: i32,
    /// Greatest output.
    pub hi: i32,
}

forward_step!(ForwardI16: i16, is_dense, limits_are_valid_i16, |_, shape, x, lo, hi, y| forward_i16(shape, x, lo, hi, y));
