//! What a running step sees, for whoever looks at it from outside, and bytes seen as elements.

use crate::plan::{Operand, Ref};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

pub use crate::arch::Slices;

/// What a running step sees: the image's data section and the arena.
#[derive(Debug)]
pub struct Memory<'m> {
    /// Frozen parameters and tables, in flash.
    pub data: &'m [u8],
    /// Trainable parameters, optimiser state, activations and scratch.
    pub arena: &'m mut [u8],
}

impl Memory<'_> {
    /// Copies what lies in the data section to the arena.
    pub fn load(&mut self, from: Operand, to: Operand) {
        let from = range(self.data, &from);
        crate::kernels::util::copy(from, self.write(to));
    }

    /// Reads one operand.
    #[inline]
    pub fn read(&self, operand: Operand) -> &[u8] {
        if operand.at.is_data() { range(self.data, &operand) } else { range(self.arena, &operand) }
    }

    /// Borrows one operand for writing; empty unless it lies in the arena.
    #[inline]
    pub fn write(&mut self, operand: Operand) -> &mut [u8] {
        if operand.at.is_data() {
            return Default::default();
        }
        let start = operand.at.offset();
        self.arena.get_mut(start..start.saturating_add(operand.bytes)).unwrap_or_default()
    }
}

fn range<'a>(bytes: &'a [u8], operand: &Operand) -> &'a [u8] {
    let start = operand.at.offset();
    bytes.get(start..start.saturating_add(operand.bytes)).unwrap_or(&[])
}

/// Bytes seen as elements; empty if they are misaligned or no whole number of elements (never after parsing).
#[inline]
pub fn view<T: FromBytes + Immutable + KnownLayout>(bytes: &[u8]) -> &[T] {
    // What the conversion finds out again costs nothing then; its errors would.
    if !holds::<T>(bytes) {
        return &[];
    }
    <[T]>::ref_from_bytes(bytes).unwrap_or(&[])
}

/// [`view`] for writing.
#[inline]
pub fn view_mut<T: FromBytes + IntoBytes + Immutable + KnownLayout>(bytes: &mut [u8]) -> &mut [T] {
    if !holds::<T>(bytes) {
        return Default::default();
    }
    <[T]>::mut_from_bytes(bytes).unwrap_or_default()
}

/// Whether bytes are a whole number of aligned elements.
#[inline(always)]
fn holds<T>(bytes: &[u8]) -> bool {
    let holds = bytes.as_ptr().addr().is_multiple_of(align_of::<T>()) && bytes.len().is_multiple_of(size_of::<T>());
    // An absent operand is an empty slice of bytes, which need not be aligned.
    debug_assert!(holds || bytes.is_empty(), "misaligned or ragged operand");
    holds
}

/// Bytes as signed ones.
#[inline(always)]
pub fn signed_mut(bytes: &mut [u8]) -> &mut [i8] {
    <[i8]>::mut_from_bytes(bytes).unwrap_or_default()
}

impl Operand {
    /// An absent operand.
    pub const NONE: Operand = Operand { at: Ref::NONE, bytes: 0, access: crate::plan::Access::Read, align: 1 };
}
