//! Copies bytes: a reshape that cannot share its input's place, or a gradient that fans out. Any element type.

use super::util::{copy, elements};
use crate::arch::Isa;
use crate::memory::Memory;
use crate::plan::{Access, Context, Operand, Operands, Ref, StepRecord};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `y = x`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Copy {
    /// Bytes of one sample.
    pub bytes: u32,
    /// Source.
    pub x: Ref,
    /// Destination.
    pub y: Ref,
}

impl Copy {
    fn places(&self, samples: usize) -> (Operand, Operand) {
        let bytes = samples.saturating_mul(self.bytes as usize);
        (Operand::i8(self.x, bytes, Access::Read), Operand::i8(self.y, bytes, Access::Write))
    }
}

impl StepRecord for Copy {
    fn operands(&self, samples: usize) -> Operands {
        let (x, y) = self.places(samples);
        Operands::of([x, y])
    }

    fn shape_is_valid(&self) -> bool {
        elements([self.bytes]).is_some()
    }

    fn run<I: Isa>(&self, _: I, memory: &mut Memory<'_>, context: &mut Context) {
        let (x, y) = self.places(context.samples);
        let ([x], [y]) = memory.carve([x], [y]);
        copy(x, y);
    }
}
