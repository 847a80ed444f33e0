//! Copies bytes: a reshape that cannot share its input's place, or a gradient that fans out. Any element type.

use super::util::{copy, elements, from};
use crate::arch::Isa;
use crate::memory::Slices;
use crate::plan::{Context, Ref, StepRecord, operands};
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

impl StepRecord for Copy {
    operands! {
        x: read u8 [samples, bytes],
        y: write u8 [samples, bytes],
    }

    fn shape_is_valid(&self) -> bool {
        elements([self.bytes]).is_some()
    }

    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, _: &mut Context) {
        let (x, y): (&[u8], &mut [u8]) = (at.read(), at.write());
        // A host's threads share whole words.
        match (<[f32]>::ref_from_bytes(x), <[f32]>::mut_from_bytes(y)) {
            (Ok(x), Ok(y)) if I::ID.packs() => {
                isa.split(y.len(), 1, [(y, 1)], |of, [y]| copy(from(x, of.start), y));
            }
            _ => copy(x, y),
        }
    }
}
