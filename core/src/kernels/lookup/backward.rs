//! The way back through a function of one int8 value: its slope at each of the 256, as a table of the host's.

use super::ENTRIES;
use crate::arch::Isa;
use crate::kernels::util::{copy, elements};
use crate::memory::Slices;
use crate::plan::{Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `dy *= slopes[x]`, in the order of [`super::ENTRIES`].
pub fn backward_i8(slopes: &[f32], x: &[i8], dy: &mut [f32]) {
    for (dy, x) in dy.iter_mut().zip(x) {
        *dy *= slopes.get(usize::from(*x as u8)).copied().unwrap_or(0.0);
    }
}

/// Backward step; in place if `dy` and `dx` are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct LookupBackwardI8 {
    /// Elements of one sample.
    pub len: u32,
    /// Real slopes, one for each byte of `x`.
    pub slopes: Ref,
    /// Input of the forward step.
    pub x: Ref,
    /// Gradient of the output.
    pub dy: Ref,
    /// Gradient of the input.
    pub dx: Ref,
}

impl StepRecord for LookupBackwardI8 {
    operands! {
        slopes: read f32 [const ENTRIES],
        x: read i8 [samples, len],
        dy: input f32 [samples, len],
        dx: write f32 [samples, len],
    }

    fn shape_is_valid(&self) -> bool {
        elements([self.len]).is_some()
    }

    fn run<I: Isa>(&self, _: I, at: &mut Slices<'_>, _: &mut Context) {
        let (slopes, x, dy, dx) = (at.read(), at.read(), at.read(), at.write());
        copy(dy, dx);
        backward_i8(slopes, x, dx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn every_byte_has_its_slope() {
        let slopes: Vec<f32> = (0..ENTRIES).map(|i| i as f32).collect();
        let mut dy = [2.0; 4];
        backward_i8(&slopes, &[0, 127, -128, -1], &mut dy);
        assert_eq!(dy, [0.0, 254.0, 256.0, 510.0]);
    }
}
