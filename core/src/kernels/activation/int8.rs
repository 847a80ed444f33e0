//! The way back through the limits of an int8 layer's outputs.
//!
//! Where an output is at a limit, its sum may lie beyond. Behind a relu's limit the function is flat: no gradient. Where
//! only int8 ends, the float model goes on, and a gradient that would have descent move the output further out is lost,
//! but one that brings it back in goes through: else an output that has run out of range could never come back.

use crate::arch::Isa;
use crate::kernels::requantize::limits_are_valid;
use crate::kernels::util::{copy, elements};
use crate::memory::Slices;
use crate::plan::{Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Limits of an int8 output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Limits {
    /// Least output.
    pub lo: i32,
    /// Greatest output.
    pub hi: i32,
    /// 1 if the function is flat below, 0 if int8 ends there.
    pub flat_below: u32,
    /// 1 if the function is flat above.
    pub flat_above: u32,
}

/// `dy = 0` where `y` is at a limit and the gradient ends there.
pub fn limits_backward_i8(limits: &Limits, y: &[i8], dy: &mut [f32]) {
    for (y, dy) in y.iter().zip(dy) {
        let y = i32::from(*y);
        // Descent moves an output against the sign of its gradient.
        let ends_below = y <= limits.lo && (limits.flat_below != 0 || *dy > 0.0);
        let ends_above = y >= limits.hi && (limits.flat_above != 0 || *dy < 0.0);
        if ends_below || ends_above {
            *dy = 0.0;
        }
    }
}

/// Backward step; in place if `dy` and `dx` are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct LimitsBackwardI8 {
    /// Elements of one sample.
    pub len: u32,
    /// The limits.
    pub limits: Limits,
    /// Output of the forward step.
    pub y: Ref,
    /// Gradient behind the limits.
    pub dy: Ref,
    /// Gradient in front of them.
    pub dx: Ref,
}

impl StepRecord for LimitsBackwardI8 {
    operands! {
        y: read i8 [samples, len],
        dy: input f32 [samples, len],
        dx: write f32 [samples, len],
    }

    fn shape_is_valid(&self) -> bool {
        elements([self.len]).is_some() && limits_are_valid(self.limits.lo, self.limits.hi)
    }

    fn run<I: Isa>(&self, _: I, at: &mut Slices<'_>, _: &mut Context) {
        let (y, dy, dx) = (at.read(), at.read(), at.write());
        copy(dy, dx);
        limits_backward_i8(&self.limits, y, dx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_end_at_limits() {
        let back = |flat_below, flat_above| {
            let limits = Limits { lo: -100, hi: 90, flat_below, flat_above };
            let mut dy = [1.0, -1.0, 1.0, -1.0, 1.0, -1.0];
            limits_backward_i8(&limits, &[-100, -100, -99, 89, 90, 90], &mut dy);
            dy
        };
        assert_eq!(back(1, 1), [0.0, 0.0, 1.0, -1.0, 0.0, 0.0]);
        assert_eq!(back(0, 0), [0.0, -1.0, 1.0, -1.0, 1.0, 0.0], "out of range, they come back in");
    }
}
