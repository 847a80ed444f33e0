//! In which order the weights of an int8 layer lie: part of its record.

use crate::arch::IsaId;
use crate::plan::{OWN, PLAIN};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The order of a layer's weights; see [`crate::arch::layout`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct OrderRecord {
    /// [`IsaId`] of the token that reads this order; 0, the scalar one, is the plain order.
    pub isa: u32,
    /// Words of the stream; 0 for the plain order.
    pub words: u32,
}

impl OrderRecord {
    /// Weights as kernels have them by themselves.
    pub const PLAIN: Self = Self { isa: IsaId::Scalar as u32, words: 0 };

    /// The order of `isa`, in a stream of so many words.
    pub const fn of(isa: IsaId, words: u32) -> Self {
        Self { isa: isa as u32, words }
    }

    /// Whether weights lie as kernels have them by themselves.
    pub fn is_plain(&self) -> bool {
        *self == Self::PLAIN
    }

    /// Whether it is the plain one or one of a token's, and this program has loops for it.
    pub fn is_valid(&self) -> bool {
        (PLAIN && self.is_plain()) || self.id().is_some()
    }

    /// Whose order it is; `None` for the plain one.
    pub fn id(&self) -> Option<IsaId> {
        // Where `OWN` is false no loops for other orders get into the program.
        IsaId::from_u32(self.isa).filter(|id| OWN && id.has_layout())
    }

    /// Bytes of the stream.
    pub fn bytes(&self) -> usize {
        4 * self.words as usize
    }
}
